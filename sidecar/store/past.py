"""Users as of a past moment, by the time of receipt: what Zimwatch had been told by then, and nothing after it."""

from __future__ import annotations

import itertools
from collections import defaultdict
from typing import Any, Final, NamedTuple

import msgspec
import sqlalchemy as sa

from sidecar.domain import login_state
from sidecar.domain.events import Event
from sidecar.domain.lease import Leases
from sidecar.domain.lease_time import LeaseTime
from sidecar.domain.presence import presence
from sidecar.domain.status import NOT_LOGGED_IN, Status
from sidecar.store import lookup, rows, tables
from sidecar.store.lookup import Found, FoundUser, Search
from sidecar.store.records import SessionRow, StoredEvent, UserDetail, UserRow

# A client that has said nothing within this many of the user's events before the moment is not in the picture.
FOLDED_EVENTS: Final = 1_500


# How many of a user's events are read to learn since when the status was what it was.
SINCE_EVENTS: Final = 100
# How many users a page of the past looks at.
LOOKED_AT_MOST: Final = 700


class _Moment(NamedTuple):
    """What an event says of its user."""

    position: int
    previous: int | None
    user_status: Status | None
    occurred_at_us: int
    received_at_us: int
    connection_event: str | None
    platform: str | None


class Then(msgspec.Struct, frozen=True):
    """``detail`` is None where nobody had heard of the user by then; ``events`` are the newest first."""

    detail: UserDetail | None
    events: list[StoredEvent]


def position_at(connection: sa.Connection, as_of_us: int) -> int:
    """The position of the last event received at or before the moment; 0 where there was none.

    Events are committed in the order of their receipt, so that a binary search over the key will do.
    """
    low, high = 0, connection.exec_driver_sql("SELECT COALESCE(MAX(position), 0) FROM events").scalar_one()
    received = "SELECT position, received_at_us FROM events WHERE position <= ? ORDER BY position DESC LIMIT 1"
    while low < high:
        middle = (low + high + 1) // 2
        found = connection.exec_driver_sql(received, (middle,)).first()
        if found is None or found[1] <= as_of_us:
            low = middle
        else:
            high = found[0] - 1
    return int(low)


def users_as_of(connection: sa.Connection, wanted: Search, as_of_us: int, *, time: LeaseTime) -> Found:
    """A page of users as they stood then, in the order of app and id; ids that were asked for, in their order.

    Of ``wanted`` the id, the ids, the app, the status and the reason count. Who was not heard of by then is left out.
    """
    position = position_at(connection, as_of_us)
    asked = Search(
        q=wanted.q, match=wanted.match, ids=wanted.ids, app_id=wanted.app_id, order="id", cursor=wanted.cursor
    )
    users: list[FoundUser] = []
    last: str | None = None
    for looked_at, who in enumerate(lookup.everyone(connection, asked, time)):
        if not asked.is_by_ids and (looked_at == LOOKED_AT_MOST or len(users) == wanted.limit):
            return Found(users, last, ended_early=len(users) < wanted.limit)
        last = lookup.cursor_at((who.app_id, who.user_id))
        then = _row_as_of(connection, who, position)
        if then is not None and wanted.status in {None, then.status} and wanted.reason in {None, then.reason}:
            users.append(FoundUser(then, 0))
    return Found(users, None, ended_early=False)


def _row_as_of(connection: sa.Connection, user: Any, position: int) -> UserRow | None:  # noqa: ANN401 - a row
    """The user as of the event at ``position``; None where its first event came later."""
    # One walk along the pointers: over what came later, then as far as the status stayed the same.
    sql = (
        "WITH RECURSIVE chain (position, previous, user_status, occurred_at_us, received_at_us, connection_event,"
        " platform) AS (SELECT position, previous_user_position, user_status, occurred_at_us, received_at_us,"
        " connection_event, platform FROM events WHERE position = ?"
        " UNION ALL"
        " SELECT e.position, e.previous_user_position, e.user_status, e.occurred_at_us, e.received_at_us,"
        " e.connection_event, e.platform FROM chain JOIN events e ON e.position = chain.previous)"
        " SELECT * FROM chain WHERE position <= ?"
    )
    driver: Any = connection.connection.driver_connection
    rows_then: list[_Moment] = []
    for row in itertools.islice(driver.execute(sql, (user.last_position, position)), SINCE_EVENTS):
        rows_then.append(_Moment(*row))
        if rows_then[-1].user_status != rows_then[0].user_status and any(row.platform for row in rows_then):
            break
    if not rows_then:
        return None
    newest = rows_then[0]
    same = list(itertools.takewhile(lambda row: row.user_status == newest.user_status, rows_then))
    # The event that brought the status; where even the first of these had it, that was earlier still.
    first = same[-1] if len(same) < SINCE_EVENTS else None
    return UserRow(
        app_id=user.app_id,
        user_id=user.user_id,
        status=newest.user_status or NOT_LOGGED_IN,
        since_us=first.occurred_at_us if first is not None and first.connection_event is not None else None,
        reason=first.connection_event if first is not None else None,
        unconfirmed=False,
        token_expires_at_us=None,
        last_seen_at_us=newest.received_at_us,
        platform=next((row.platform for row in rows_then if row.platform is not None), None),
        position=newest.position,
        server=None,
        disagreement=None,
    )


def user_as_of(
    connection: sa.Connection, app_id: int, user_id: str, as_of_us: int, *, limit: int, leases: Leases
) -> Then:
    """The user's status, clients and newest events as they stood then."""
    stored = _events_until(connection, app_id, user_id, position_at(connection, as_of_us))
    if not stored:
        return Then(None, [])
    by_client: dict[bytes, list[Event]] = defaultdict(list)
    for one in stored:
        by_client[one.event.client_id].append(one.event)
    states = {client_id: login_state.fold(own) for client_id, own in by_client.items()}
    found = presence(list(states.values()))
    sessions = [_session(client_id, states[client_id], own, as_of_us, leases) for client_id, own in by_client.items()]
    sessions.sort(key=lambda row: (row.status == NOT_LOGGED_IN, -(row.since_us or 0)))
    live = [row for row in sessions if row.status != NOT_LOGGED_IN]
    newest = stored[0]
    user = UserRow(
        app_id=app_id,
        user_id=user_id,
        status=found.status,
        since_us=found.since_us,
        reason=found.reason,
        unconfirmed=bool(live) and all(row.unconfirmed for row in live),
        token_expires_at_us=found.decided_by.token_expires_at_us if found.decided_by else None,
        last_seen_at_us=max(one.event.received_at_us for one in stored),
        platform=sessions[0].platform,
        position=newest.position,
        server=None,
        disagreement=None,
    )
    return Then(UserDetail(user, sessions), stored[:limit])


def _events_until(connection: sa.Connection, app_id: int, user_id: str, position: int) -> list[StoredEvent]:
    """The user's events up to ``position``, newest first, along the pointers."""
    sql = (
        "WITH RECURSIVE chain (position) AS ("
        "SELECT last_position FROM user_status WHERE app_id = :app_id AND user_id = :user_id"
        " UNION ALL SELECT previous_user_position FROM chain JOIN events USING (position)"
        " WHERE previous_user_position IS NOT NULL),"
        " until (position) AS (SELECT position FROM chain WHERE position <= :position LIMIT :most)"
        f" SELECT {rows.columns(tables.events, of='events')} FROM until JOIN events USING (position)"
        " ORDER BY position DESC"
    )
    given = {"app_id": app_id, "user_id": user_id, "position": position, "most": FOLDED_EVENTS}
    return [rows.stored_event(row) for row in connection.exec_driver_sql(sql, given)]


def _session(
    client_id: bytes, state: login_state.LoginState, own: list[Event], as_of_us: int, leases: Leases
) -> SessionRow:
    """A client as it stood; heartbeats are not on the record, so its last event is its last sign of life."""
    seen_us = max(event.received_at_us for event in own)
    silent = leases.until_us(seen_us, sends_heartbeats=False) < as_of_us
    of_state: dict[str, Any] = {
        name: getattr(state, name) for name in SessionRow.__struct_fields__ if hasattr(state, name)
    }
    told: dict[str, Any] = {
        name: next((value for event in own if (value := getattr(event, name)) is not None), None)
        for name in ("platform", "sdk_name", "sdk_version", "app_version", "device_id")
    }
    return SessionRow(
        client_id=client_id,
        last_seen_at_us=seen_us,
        unconfirmed=state.status != NOT_LOGGED_IN and silent,
        **of_state,
        **told,
    )
