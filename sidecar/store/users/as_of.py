"""Users as of a past moment: from the events received by then, and none after it."""

from __future__ import annotations

import itertools
from collections import defaultdict
from typing import Any, Final, NamedTuple

import msgspec
import sqlalchemy as sa

from sidecar.domain import events, login_state
from sidecar.domain.events import Event
from sidecar.domain.lease import Leases, Now
from sidecar.domain.moment import clock_off_us
from sidecar.domain.presence import presence
from sidecar.domain.sdk_words import LOGOUT
from sidecar.domain.session import Session
from sidecar.domain.status import NOT_LOGGED_IN, Status
from sidecar.store import database, mapping, schema
from sidecar.store.log_positions import position_as_of
from sidecar.store.mapping import Client
from sidecar.store.users import user_list
from sidecar.store.users.user_orders import cursor_at
from sidecar.store.users.user_query import ListedUser, UserPage, UserQuery
from sidecar.store.users.user_reads import session_of
from sidecar.store.values import StoredEvent, UserDetail, UserRow

# How many of a user's events are read for its clients: a client with none among them is left out.
FOLDED_EVENTS: Final = 1_500
# How many of a user's events are read to find since when the status lasts.
SINCE_EVENTS: Final = 100
# How many users one page looks at.
LOOKED_AT_MOST: Final = 700


class UserAsOf(msgspec.Struct, frozen=True):
    """A user as of a moment, None if it had no event by then, and its newest events until then, newest first."""

    detail: UserDetail | None
    events: list[StoredEvent]


class _Change(NamedTuple):
    """The columns of an event that its user's status is read from."""

    position: int
    previous: int | None
    user_status: Status | None
    moment_us: int
    received_at_us: int
    connection_event: str | None
    platform: str | None
    type: str

    @property
    def reason(self) -> str | None:
        return LOGOUT if self.type == events.LOGOUT else self.connection_event


def users_as_of(connection: sa.Connection, query: UserQuery, as_of_us: int, now: Now) -> UserPage[ListedUser]:
    """A page of users as of the moment, by app and id, or in the order of the query's ids.

    Only id, ids, app, status and reason of the query count. Users without an event by then are left out.
    """
    most = query.page_size
    position = position_as_of(connection, as_of_us)
    by_id = UserQuery(q=query.q, match=query.match, ids=query.ids, apps=query.apps, order="id", cursor=query.cursor)
    users: list[ListedUser] = []
    last: str | None = None
    unknown: list[str] = []
    for looked_at, (place, row) in enumerate(user_list.every_user(connection, by_id, now.time)):
        if looked_at == LOOKED_AT_MOST or len(users) == most:
            return UserPage(users, last, ended_early=len(users) < most, unknown_ids=tuple(unknown))
        last = cursor_at(place)
        if row is None:
            unknown.append(by_id.exact_ids[place[0]])
            continue
        user = _row_as_of(connection, row, position)
        if user is not None and query.status in {None, user.status} and query.reason in {None, user.reason}:
            users.append(ListedUser(user, 0))
    return UserPage(users, None, unknown_ids=tuple(unknown))


def user_as_of(
    connection: sa.Connection,
    app_id: int,
    user_id: str,
    as_of_us: int,
    now: Now,
    *,
    limit: int,
    until_position: int | None = None,
) -> UserAsOf:
    """The user's status, clients and newest ``limit`` events as of the moment.

    ``until_position`` is the last event that counts, if it is known.
    """
    if until_position is None:
        until_position = position_as_of(connection, as_of_us)
    stored = _events_until(connection, app_id, user_id, until_position)
    if not stored:
        return UserAsOf(None, [])
    by_client: dict[bytes, list[Event]] = defaultdict(list)
    for one in stored:
        by_client[one.event.client_id].append(one.event)
    clients = [_client(client_id, own) for client_id, own in by_client.items()]
    found = presence([client.state for client in clients])
    sessions = [_session(client, as_of_us, now.leases) for client in clients]
    sessions.sort(key=lambda row: (row.status == NOT_LOGGED_IN, -(row.since_us or 0)))
    live = [row for row in sessions if row.status != NOT_LOGGED_IN]
    user = UserRow(
        app_id=app_id,
        user_id=user_id,
        status=found.status,
        since_us=found.since_us,
        reason=found.reason,
        unconfirmed=bool(live) and all(row.unconfirmed for row in live),
        token_expires_at_us=found.decided_by.token_expires_at_us if found.decided_by else None,
        last_seen_at_us=max(client.last_seen_at_us for client in clients),
        platform=sessions[0].platform,
        position=stored[0].position,
    )
    return UserAsOf(UserDetail(user, sessions), stored[:limit])


def _row_as_of(connection: sa.Connection, user: Any, position: int) -> UserRow | None:  # noqa: ANN401 - a row
    """The user as of the event at ``position``; None if its first event came later."""
    # One walk along the pointers: past later events, then as far as the status stays the same.
    sql = (
        "WITH RECURSIVE chain (position, previous, user_status, moment_us, received_at_us, connection_event,"
        " platform, type) AS (SELECT position, previous_user_position, user_status, moment_us, received_at_us,"
        " connection_event, platform, type FROM events WHERE position = ?"
        " UNION ALL"
        " SELECT e.position, e.previous_user_position, e.user_status, e.moment_us, e.received_at_us,"
        " e.connection_event, e.platform, e.type FROM chain JOIN events e ON e.position = chain.previous)"
        " SELECT * FROM chain WHERE position <= ?"
    )
    chain = database.of(connection).walk(connection, sql, (user.last_position, position), most=SINCE_EVENTS)
    changes: list[_Change] = []
    for row in itertools.islice(chain, SINCE_EVENTS):
        changes.append(_Change(*row))
        if changes[-1].user_status != changes[0].user_status and any(one.platform for one in changes):
            break
    if not changes:
        return None
    newest = changes[0]
    since_us, reason = _since(list(itertools.takewhile(lambda one: one.user_status == newest.user_status, changes)))
    return UserRow(
        app_id=user.app_id,
        user_id=user.user_id,
        status=newest.user_status or NOT_LOGGED_IN,
        since_us=since_us,
        reason=reason,
        unconfirmed=False,
        token_expires_at_us=None,
        last_seen_at_us=newest.received_at_us,
        platform=next((one.platform for one in changes if one.platform is not None), None),
        position=newest.position,
    )


def _since(same: list[_Change]) -> tuple[int | None, str | None]:
    """Since when and why the status is what all of these have, newest first; None where that is before them."""
    if len(same) == SINCE_EVENTS:
        return None, None
    first = same[-1]
    if first.reason == LOGOUT:
        # The connection event that confirms the logout, if one followed.
        first = next((one for one in reversed(same) if one.connection_event is not None), first)
    return (None if first.reason is None else first.moment_us), first.reason


def _events_until(connection: sa.Connection, app_id: int, user_id: str, position: int) -> list[StoredEvent]:
    """The user's events up to ``position``, newest first, along the pointers."""
    sql = (
        "WITH RECURSIVE chain (position) AS ("
        "SELECT last_position FROM user_status WHERE app_id = :app_id AND user_id = :user_id"
        " UNION ALL SELECT previous_user_position FROM chain JOIN events USING (position)"
        " WHERE previous_user_position IS NOT NULL),"
        " until (position) AS (SELECT position FROM chain WHERE position <= :position LIMIT :most)"
        f" SELECT {mapping.columns(schema.events, of='events')} FROM until JOIN events USING (position)"
        " ORDER BY position DESC"
    )
    given = {"app_id": app_id, "user_id": user_id, "position": position, "most": FOLDED_EVENTS}
    return [mapping.stored_event(row) for row in connection.exec_driver_sql(sql, given)]


def _client(client_id: bytes, own: list[Event]) -> Client:
    """A client from its events, newest first. Heartbeats are not stored: the last event is its last sign of life."""
    reported: dict[str, Any] = {
        name: next((value for event in own if (value := getattr(event, name)) is not None), None)
        for name in ("platform", "sdk_name", "sdk_version", "app_version", "device_id")
    }
    reporter = next((event for event in own if event.reporter_name is not None), None)
    if reporter is not None:
        reported |= {"reporter_name": reporter.reporter_name, "reporter_version": reporter.reporter_version}
    return Client(
        client_key=0,
        client_id=client_id,
        user_key=0,
        state=login_state.fold(own),
        last_seen_at_us=max(event.received_at_us for event in own),
        clock_off_us=clock_off_us(max(own, key=lambda event: event.order)),
        **reported,
    )


def _session(client: Client, as_of_us: int, leases: Leases) -> Session:
    is_past = client.last_seen_at_us + leases.silent_us < as_of_us
    return session_of(client, lease_us=leases.silent_us, is_past=is_past)
