"""Reads of users: one, several, those that changed, their timeline and their counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Final

import sqlalchemy as sa

from sidecar.domain.app_ids import AppIds
from sidecar.domain.lease import LeaseTime, Now
from sidecar.domain.login_state import LoginState
from sidecar.domain.server_view import disagreement
from sidecar.domain.session import Session
from sidecar.domain.status import NOT_LOGGED_IN, OFFLINE, ONLINE
from sidecar.store import mapping, schema
from sidecar.store.conditions import in_apps
from sidecar.store.mapping import Client
from sidecar.store.users import client_rows, leases, server_views, user_walk
from sidecar.store.users.user_walk import GroupFilter
from sidecar.store.users.users_by_id import rows_of_users
from sidecar.store.values import StoredEvent, Summary, UserDetail, UserId, UserRow

# How many users one commit message names.
_PUBLISHED_AT_ONCE: Final = 1_000
# A user's detail has all live clients, and this many in all.
SESSIONS_SHOWN: Final = 100
_OF_STATE: Final = tuple(name for name in Session.__struct_fields__ if name in LoginState.__struct_fields__)
_OF_CLIENT: Final = tuple(name for name in Session.__struct_fields__ if name in Client.__struct_fields__)


def user_rows(connection: sa.Connection, found: Sequence[Any], now: Now) -> list[UserRow]:
    """Rows of ``user_status`` as values, with the view of ZEGO's server."""
    views = server_views.views(connection, {(row.app_id, row.user_id) for row in found})
    return [_user_row(row, views.get((row.app_id, row.user_id)), now) for row in found]


def is_unconfirmed(row: Any, time: LeaseTime) -> bool:  # noqa: ANN401 - a row of ``user_status``
    """Whether every live client of this user has been silent for longer than its lease.

    One that had ended stays so without a sign of life, also when a crash has made all leases longer.
    """
    return bool(row.lease_lapsed) or (
        row.lease_until_us is not None and time.is_silent(row.lease_until_us, seen_us=row.last_seen_at_us)
    )


def _user_row(row: Any, stored: server_views.StoredView | None, now: Now) -> UserRow:  # noqa: ANN401
    unconfirmed = is_unconfirmed(row, now.time)
    return UserRow(
        app_id=row.app_id,
        user_id=row.user_id,
        status=row.status,
        since_us=row.since_us,
        reason=row.reason,
        unconfirmed=unconfirmed,
        token_expires_at_us=row.token_expires_at_us,
        last_seen_at_us=row.last_seen_at_us,
        platform=row.platform,
        position=row.changed_position,
        server=stored.view if stored else None,
        disagreement=disagreement(
            row.status,
            stored.view if stored else None,
            since_us=stored.differs_since_us if stored else None,
            unconfirmed=unconfirmed,
            time=now.time,
            lease_us=now.leases.heartbeat_us,
        ),
    )


def differing(connection: sa.Connection, now: Now) -> set[int]:
    """The keys of users whose status has differed from ZEGO's server for long enough to count as a disagreement."""
    since = "differs_since_us"
    sql = (
        "SELECT user_key FROM server_views JOIN user_status USING (app_id, user_id)"
        f" WHERE {leases.is_past(since, since, now.time, after_us=now.leases.heartbeat_us)}"
    )
    return {row[0] for row in connection.exec_driver_sql(sql)}


def users_changed_since(connection: sa.Connection, position: int, limit: int, now: Now) -> list[UserRow]:
    """The newest ``limit`` users that changed after a position, the oldest change first."""
    found = [key for _, key, _ in islice(user_walk.walk(connection, GroupFilter(), above=position), limit)]
    return user_rows(connection, user_walk.rows_of(connection, found[::-1]), now)


def users_named(connection: sa.Connection, names: Sequence[UserId], now: Now) -> list[UserRow]:
    """The known ones of these users, by app and id; in any order."""
    return user_rows(connection, list(rows_of_users(connection, schema.user_status, names)), now)


def users_that_began_to_disagree(connection: sa.Connection, before: LeaseTime, now: Now) -> Iterator[list[UserId]]:
    """Users whose disagreement with ZEGO's server began to count from ``before`` to ``now``, in slices."""
    since = "differs_since_us"
    ended = leases.ended_between(since, since, before, now.time, after_us=now.leases.heartbeat_us)
    found = connection.exec_driver_sql(f"SELECT app_id, user_id FROM server_views WHERE {ended}")
    while some := found.fetchmany(_PUBLISHED_AT_ONCE):
        yield [(row[0], row[1]) for row in some]


def user(connection: sa.Connection, app_id: int, user_id: str, now: Now) -> UserDetail | None:
    """One user and its clients, the live ones first; None for an unknown user."""
    sql = f"SELECT {user_walk.COLUMNS} FROM user_status WHERE app_id = ? AND user_id = ?"
    found = connection.exec_driver_sql(sql, (app_id, user_id)).first()
    if found is None:
        return None
    clients = client_rows.newest(connection, found.user_key, SESSIONS_SHOWN)
    clients += mapping.unpack(found.clients)
    clients.sort(key=_rank, reverse=True)
    (row,) = user_rows(connection, [found], now)
    sessions = [_session(one, now, has_lapsed=found.lease_lapsed) for one in clients[:SESSIONS_SHOWN]]
    return UserDetail(row, sessions)


def _rank(client: Client) -> tuple[bool, int, bytes]:
    state = client.state
    return (state.status != NOT_LOGGED_IN, state.since_us or 0, state.last_id)


def _session(client: Client, now: Now, *, has_lapsed: bool) -> Session:
    lasts_us = now.leases.lasts_us(sends_heartbeats=client.sends_heartbeats, heartbeat_after_s=client.heartbeat_after_s)
    is_past = has_lapsed or now.time.is_silent(client.last_seen_at_us + lasts_us, seen_us=client.last_seen_at_us)
    return session_of(client, lease_us=lasts_us, is_past=is_past)


def session_of(client: Client, *, lease_us: int, is_past: bool) -> Session:
    """A client as a value, and the duration of its lease; ``is_past``: it has ended."""
    state = client.state
    of_state = {name: getattr(state, name) for name in _OF_STATE}
    of_client = {name: getattr(client, name) for name in _OF_CLIENT}
    unconfirmed = is_past and state.status != NOT_LOGGED_IN
    return Session(**of_state, **of_client, lease_us=lease_us, unconfirmed=unconfirmed)


def timeline(
    connection: sa.Connection,
    app_id: int,
    user_id: str,
    *,
    before: int | None,
    limit: int,
    beginning_with: int | None = None,
) -> list[StoredEvent]:
    """A user's events, newest first, along the pointers.

    Only those before the user's event at ``before``, or from the one at ``beginning_with`` on.
    """
    sql = (
        f"WITH RECURSIVE {_chain(before, beginning_with)}"
        f" SELECT {mapping.columns(schema.events, of='events')} FROM chain JOIN events USING (position)"
        " ORDER BY position DESC"
    )
    given: dict[str, Any] = {"app_id": app_id, "user_id": user_id, "limit": limit}
    given |= {"before": before if beginning_with is None else beginning_with}
    return [mapping.stored_event(row) for row in connection.exec_driver_sql(sql, given)]


def newest_connection_event(
    connection: sa.Connection, app_id: int, user_id: str, connection_event: str, *, before: int, within: int
) -> StoredEvent | None:
    """The newest event with this connection event among the ``within`` ones before the user's event at ``before``."""
    sql = (
        f"WITH RECURSIVE {_chain(before)}"
        f" SELECT {mapping.columns(schema.events, of='events')} FROM chain JOIN events USING (position)"
        " WHERE connection_event = :connection_event ORDER BY position DESC LIMIT 1"
    )
    given = {
        "app_id": app_id,
        "user_id": user_id,
        "before": before,
        "limit": within,
        "connection_event": connection_event,
    }
    found = connection.exec_driver_sql(sql, given).first()
    return None if found is None else mapping.stored_event(found)


def _chain(before: int | None, beginning_with: int | None = None) -> str:
    """The common table expression ``chain``: positions of a user's newest ``:limit`` events, along the pointers.

    ``:before`` is the position before which it begins, or at which it does with ``beginning_with``.
    """
    # The position of another user's event finds nothing, so that no cursor leads into another timeline.
    start = "SELECT last_position, 1 FROM user_status WHERE app_id = :app_id AND user_id = :user_id"
    if before is not None or beginning_with is not None:
        column = "position" if beginning_with is not None else "previous_user_position"
        start = f"SELECT {column}, 1 FROM events WHERE position = :before AND app_id = :app_id AND user_id = :user_id"
    return (
        f"chain (position, length) AS ({start} UNION ALL SELECT previous_user_position, length + 1"
        " FROM chain JOIN events USING (position) WHERE previous_user_position IS NOT NULL AND length < :limit)"
    )


def summary(connection: sa.Connection, apps: AppIds = None) -> Summary:
    """The counts of users by status, of these apps."""
    own = in_apps(apps)
    sql = f"SELECT status, unconfirmed, SUM(users) FROM user_groups WHERE {own.sql} GROUP BY status, unconfirmed"
    counts: Counter[str] = Counter()
    for status, unconfirmed, users in connection.exec_driver_sql(sql, own.values):
        counts[status] += int(users)
        counts[f"unconfirmed_{status}"] += int(users) if unconfirmed else 0
    return Summary(
        online=counts[ONLINE],
        offline=counts[OFFLINE],
        not_logged_in=counts[NOT_LOGGED_IN],
        unconfirmed_online=counts[f"unconfirmed_{ONLINE}"],
        unconfirmed_offline=counts[f"unconfirmed_{OFFLINE}"],
    )
