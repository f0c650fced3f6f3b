"""Every read of users and events. Functions of a connection; nothing here writes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from sidecar.domain.lease import Leases
from sidecar.domain.lease_time import LeaseTime
from sidecar.domain.server_view import disagreement
from sidecar.domain.status import NOT_LOGGED_IN, OFFLINE, ONLINE
from sidecar.store import lease_time, rows, server_views, tables
from sidecar.store.records import Rejected, SessionRow, StoredEvent, Summary, UserDetail, UserFilter, UserPage, UserRow

_user = tables.user_status.c
_view = tables.server_views.c
_USER_COLUMNS = (
    _user.app_id,
    _user.user_id,
    _user.status,
    _user.since_us,
    _user.reason,
    _user.token_expires_at_us,
    _user.last_seen_at_us,
    _user.platform,
    _user.changed_position,
    _user.lease_until_us,
)
# Users that a sweep tells of at once.
_TOLD_AT_ONCE = 1_000
# What a page shows of a user's clients: all that are live, and this many in all.
SESSIONS_SHOWN = 100


def user_rows(connection: sa.Connection, found: Sequence[Any], time: LeaseTime, leases: Leases) -> list[UserRow]:
    """The rows of any SELECT with the columns above, with what ZEGO's server says of them."""
    views = server_views.views(connection, {(row.app_id, row.user_id) for row in found})
    return [_user_row(row, views.get((row.app_id, row.user_id)), time, leases) for row in found]


def _user_row(row: Any, kept: server_views.Kept | None, time: LeaseTime, leases: Leases) -> UserRow:  # noqa: ANN401
    live = row.lease_until_us is not None
    unconfirmed = live and time.is_past(row.lease_until_us, begun_us=row.last_seen_at_us)
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


def lease_is_past(time: LeaseTime) -> sa.ColumnElement[bool]:
    """Whether a row of ``user_status`` is of a user whose lease has run out."""
    return lease_time.is_past(_user.lease_until_us, _user.last_seen_at_us, time)


def disagrees(time: LeaseTime, leases: Leases) -> sa.ColumnElement[bool]:
    """Whether a row of ``user_status`` joined with its ``server_views`` is of a user to be marked."""
    since = _view.differs_since_us
    long_enough = lease_time.is_past(since, since, time, after_us=leases.heartbeat_us)
    return sa.and_(_view.app_id == _user.app_id, _view.user_id == _user.user_id, long_enough)


def users(connection: sa.Connection, wanted: UserFilter, time: LeaseTime, leases: Leases) -> UserPage:
    """Newest change first."""
    query = sa.select(*_USER_COLUMNS).order_by(_user.changed_position.desc()).limit(wanted.limit + 1)
    equals = (
        (_user.status, wanted.status),
        (_user.app_id, wanted.app_id),
        (_user.platform, wanted.platform),
        (_user.reason, wanted.reason),
    )
    for column, value in equals:
        if value is not None:
            query = query.where(column == value)
    if wanted.q:
        query = query.where(_user.user_id.contains(wanted.q, autoescape=True))
    if wanted.unconfirmed is not None:
        late = lease_is_past(time)
        query = query.where(late if wanted.unconfirmed else sa.or_(_user.lease_until_us.is_(None), sa.not_(late)))
    if wanted.disagreement is not None:
        apart = disagrees(time, leases)
        # A join begins with the few who disagree; for the others each user is looked at in its order.
        query = query.where(apart if wanted.disagreement else ~sa.exists().where(apart))
    if wanted.cursor is not None:
        query = query.where(_user.changed_position < wanted.cursor)
    found = connection.execute(query).all()
    more = len(found) > wanted.limit
    page = user_rows(connection, found[: wanted.limit], time, leases)
    return UserPage(page, page[-1].position if more else None)


def users_changed_since(
    connection: sa.Connection, position: int, limit: int, time: LeaseTime, leases: Leases
) -> list[UserRow]:
    """Oldest change first."""
    query = sa.select(*_USER_COLUMNS).where(_user.changed_position > position)
    query = query.order_by(_user.changed_position).limit(limit)
    return user_rows(connection, connection.execute(query).all(), time, leases)


def users_that_fell_silent(
    connection: sa.Connection, before: LeaseTime, time: LeaseTime, leases: Leases
) -> Iterator[list[tuple[int, str]]]:
    """Who became unconfirmed, or began to disagree with ZEGO's server, from ``before`` to ``time``: in runs."""
    silent = sa.select(_user.app_id, _user.user_id).where(
        lease_time.ended_between(_user.lease_until_us, _user.last_seen_at_us, before, time)
    )
    since = _view.differs_since_us
    apart = sa.select(_view.app_id, _view.user_id).where(
        lease_time.ended_between(since, since, before, time, after_us=leases.heartbeat_us)
    )
    for query in (silent, apart):
        found = connection.execution_options(yield_per=_TOLD_AT_ONCE).execute(query)
        yield from ([(row[0], row[1]) for row in some] for some in found.partitions())


def user(connection: sa.Connection, app_id: int, user_id: str, time: LeaseTime, leases: Leases) -> UserDetail | None:
    """One user and its clients, the live ones first."""
    who = sa.select(_user.user_key, *_USER_COLUMNS).where(_user.app_id == app_id, _user.user_id == user_id)
    found = connection.execute(who).first()
    if found is None:
        return None
    sql = (
        f"SELECT {rows.columns(tables.clients)} FROM clients WHERE user_key = ?"
        f" ORDER BY status = '{NOT_LOGGED_IN}', since_us DESC, last_id DESC LIMIT {SESSIONS_SHOWN}"
    )
    clients = (rows.client_of(row) for row in connection.exec_driver_sql(sql, (found.user_key,)))
    (row,) = user_rows(connection, [found], time, leases)
    return UserDetail(row, [_session(client, time, leases) for client in clients])


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


def summary(connection: sa.Connection, time: LeaseTime, app_id: int | None = None) -> Summary:
    """Users as counts, of one app or of all."""
    counts = tables.user_counts.c
    totals = sa.select(counts.status, sa.func.sum(counts.users)).group_by(counts.status)
    # Not grouped by status, which would tempt SQLite to go through everybody instead of the index by lease.
    online = sa.func.count().filter(_user.status == ONLINE)
    silent = sa.select(online, sa.func.count() - online).where(lease_is_past(time))
    if app_id is not None:
        totals = totals.where(counts.app_id == app_id)
        silent = silent.where(_user.app_id == app_id)
    found = {row[0]: int(row[1]) for row in connection.execute(totals)}
    unconfirmed = connection.execute(silent).one()
    return Summary(
        online=found.get(ONLINE, 0),
        offline=found.get(OFFLINE, 0),
        not_logged_in=found.get(NOT_LOGGED_IN, 0),
        unconfirmed_online=unconfirmed[0],
        unconfirmed_offline=unconfirmed[1],
    )


def rejected(connection: sa.Connection, limit: int) -> list[Rejected]:
    """What was refused, newest first."""
    kept = tables.rejected_events.c
    query = sa.select(kept.received_at_us, kept.batch_index, kept.event_id, kept.error, kept.body)
    found = connection.execute(query.order_by(kept.rejection.desc()).limit(limit))
    return [Rejected(*row) for row in found]
