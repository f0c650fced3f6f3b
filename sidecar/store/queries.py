"""Every read of users and events. Functions of a connection; nothing here writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Final

import sqlalchemy as sa

from sidecar.domain.lease import Leases
from sidecar.domain.lease_time import LeaseTime
from sidecar.domain.server_view import disagreement
from sidecar.domain.status import NOT_LOGGED_IN, OFFLINE, ONLINE
from sidecar.store import groups, lease_time, rows, server_views, tables
from sidecar.store.records import Rejected, SessionRow, StoredEvent, Summary, UserDetail, UserFilter, UserRow

# Users that a sweep tells of at once.
_TOLD_AT_ONCE: Final = 1_000
# What a page shows of a user's clients: all that are live, and this many in all.
SESSIONS_SHOWN = 100


def user_rows(connection: sa.Connection, found: Sequence[Any], time: LeaseTime, leases: Leases) -> list[UserRow]:
    """Rows of ``user_status`` as they are shown, with what ZEGO's server says of these users."""
    views = server_views.views(connection, {(row.app_id, row.user_id) for row in found})
    return [_user_row(row, views.get((row.app_id, row.user_id)), time, leases) for row in found]


def is_unconfirmed(row: Any, time: LeaseTime) -> bool:  # noqa: ANN401 - a row of ``user_status``
    """Whether every live client of this user has been silent for longer than its lease."""
    return row.lease_until_us is not None and time.is_past(row.lease_until_us, begun_us=row.last_seen_at_us)


def _user_row(row: Any, kept: server_views.Kept | None, time: LeaseTime, leases: Leases) -> UserRow:  # noqa: ANN401
    unconfirmed = is_unconfirmed(row, time)
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
        server=kept.view if kept else None,
        disagreement=disagreement(
            row.status,
            kept.view if kept else None,
            since_us=kept.differs_since_us if kept else None,
            unconfirmed=unconfirmed,
            time=time,
            lease_us=leases.heartbeat_us,
        ),
    )


def apart(connection: sa.Connection, time: LeaseTime, leases: Leases) -> set[int]:
    """The keys of the users of whom devices and server have said different things for long enough to be marked."""
    since = "differs_since_us"
    sql = (
        "SELECT user_key FROM server_views JOIN user_status USING (app_id, user_id)"
        f" WHERE {lease_time.is_past(since, since, time, after_us=leases.heartbeat_us)}"
    )
    return {row[0] for row in connection.exec_driver_sql(sql)}


# How many users are named in one statement.
_NAMES_AT_ONCE: Final = 400


def users_changed_since(
    connection: sa.Connection, position: int, limit: int, time: LeaseTime, leases: Leases
) -> list[UserRow]:
    """Oldest change first; the newest ``limit`` of them."""
    found = [key for _, key, _ in islice(groups.walk(connection, UserFilter(), above=position), limit)]
    return user_rows(connection, groups.rows_of(connection, found[::-1]), time, leases)


def users_named(
    connection: sa.Connection, names: Sequence[tuple[int, str]], time: LeaseTime, leases: Leases
) -> list[UserRow]:
    """Those of the users that are known."""
    found: list[UserRow] = []
    for start in range(0, len(names), _NAMES_AT_ONCE):
        some = names[start : start + _NAMES_AT_ONCE]
        sql = (
            f"WITH wanted (app_id, user_id) AS (VALUES {', '.join(['(?, ?)'] * len(some))})"
            f" SELECT {groups.COLUMNS} FROM wanted CROSS JOIN user_status USING (app_id, user_id)"
        )
        flat = tuple(part for name in some for part in name)
        rows_found = [groups.Row(*row) for row in connection.exec_driver_sql(sql, flat)]
        found += user_rows(connection, rows_found, time, leases)
    return found


def users_that_came_apart(
    connection: sa.Connection, before: LeaseTime, time: LeaseTime, leases: Leases
) -> Iterator[list[tuple[int, str]]]:
    """Who began to disagree with ZEGO's server for long enough, from ``before`` to ``time``: in runs."""
    since = "differs_since_us"
    ended = lease_time.ended_between(since, since, before, time, after_us=leases.heartbeat_us)
    found = connection.exec_driver_sql(f"SELECT app_id, user_id FROM server_views WHERE {ended}")
    while some := found.fetchmany(_TOLD_AT_ONCE):
        yield [(row[0], row[1]) for row in some]


def user(connection: sa.Connection, app_id: int, user_id: str, time: LeaseTime, leases: Leases) -> UserDetail | None:
    """One user and its clients, the live ones first."""
    sql = f"SELECT {groups.COLUMNS} FROM user_status WHERE app_id = ? AND user_id = ?"
    found = connection.exec_driver_sql(sql, (app_id, user_id)).first()
    if found is None:
        return None
    sql = (
        f"SELECT {rows.columns(tables.clients)} FROM clients WHERE user_key = ?"
        f" ORDER BY status = '{NOT_LOGGED_IN}', since_us DESC, last_id DESC LIMIT {SESSIONS_SHOWN}"
    )
    clients = [rows.client_of(row) for row in connection.exec_driver_sql(sql, (found.user_key,))]
    if found.clients is not None:
        clients += rows.unpack(found.clients)
    clients.sort(key=_place, reverse=True)
    (row,) = user_rows(connection, [found], time, leases)
    return UserDetail(row, [_session(one, time, leases) for one in clients[:SESSIONS_SHOWN]])


def _place(client: rows.Client) -> tuple[bool, int, bytes]:
    state = client.state
    return (state.status != NOT_LOGGED_IN, state.since_us or 0, state.last_id)


def _session(client: rows.Client, time: LeaseTime, leases: Leases) -> SessionRow:
    state = client.state
    until_us = leases.until_us(client.last_seen_at_us, sends_heartbeats=client.sends_heartbeats)
    of_state = {name: getattr(state, name) for name in SessionRow.__struct_fields__ if hasattr(state, name)}
    of_client = {name: getattr(client, name) for name in SessionRow.__struct_fields__ if hasattr(client, name)}
    late = state.status != NOT_LOGGED_IN and time.is_past(until_us, begun_us=client.last_seen_at_us)
    return SessionRow(**of_state, **of_client, unconfirmed=late)


def timeline(
    connection: sa.Connection, app_id: int, user_id: str, *, before: int | None, limit: int
) -> list[StoredEvent]:
    """A user's events, newest first, by following the pointers; ``before`` is the position to go on from."""
    # A cursor that is not of this user finds nothing: it must not lead into another's timeline.
    start = "SELECT last_position FROM user_status WHERE app_id = :app_id AND user_id = :user_id"
    if before is not None:
        start = (
            "SELECT previous_user_position FROM events"
            " WHERE position = :before AND app_id = :app_id AND user_id = :user_id"
        )
    sql = (
        f"WITH RECURSIVE chain (position) AS ({start} UNION ALL SELECT previous_user_position"
        " FROM chain JOIN events USING (position) WHERE previous_user_position IS NOT NULL LIMIT :limit)"
        f" SELECT {rows.columns(tables.events, of='events')} FROM chain JOIN events USING (position)"
        " ORDER BY position DESC"
    )
    given: dict[str, Any] = {"app_id": app_id, "user_id": user_id, "before": before, "limit": limit}
    return [rows.stored_event(row) for row in connection.exec_driver_sql(sql, given)]


def newest(connection: sa.Connection) -> StoredEvent | None:
    """The newest event of the log."""
    sql = f"SELECT {rows.columns(tables.events)} FROM events ORDER BY position DESC LIMIT 1"
    row = connection.exec_driver_sql(sql).first()
    return None if row is None else rows.stored_event(row)


def event(connection: sa.Connection, event_id: bytes) -> StoredEvent | None:
    """The event with this id."""
    sql = f"SELECT {rows.columns(tables.events)} FROM events WHERE id = ?"
    found = connection.exec_driver_sql(sql, (event_id,)).first()
    return None if found is None else rows.stored_event(found)


def summary(connection: sa.Connection, app_id: int | None = None) -> Summary:
    """Users as counts, of one app or of all."""
    of_app = "" if app_id is None else "WHERE app_id = ?"
    sql = f"SELECT status, unconfirmed, SUM(users) FROM user_groups {of_app} GROUP BY status, unconfirmed"
    counts: Counter[str] = Counter()
    for status, unconfirmed, users in connection.exec_driver_sql(sql, () if app_id is None else (app_id,)):
        counts[status] += int(users)
        counts[f"unconfirmed_{status}"] += int(users) if unconfirmed else 0
    return Summary(
        online=counts[ONLINE],
        offline=counts[OFFLINE],
        not_logged_in=counts[NOT_LOGGED_IN],
        unconfirmed_online=counts[f"unconfirmed_{ONLINE}"],
        unconfirmed_offline=counts[f"unconfirmed_{OFFLINE}"],
    )


def rejected(connection: sa.Connection, limit: int) -> list[Rejected]:
    """What was refused, newest first."""
    kept = tables.rejected_events.c
    query = sa.select(kept.received_at_us, kept.batch_index, kept.event_id, kept.error, kept.body)
    found = connection.execute(query.order_by(kept.rejection.desc()).limit(limit))
    return [Rejected(*row) for row in found]
