"""Every read of users and events. Functions of a connection; nothing here writes."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from sidecar.domain.lease import Leases
from sidecar.domain.status import NOT_LOGGED_IN, OFFLINE, ONLINE
from sidecar.store import rows, tables
from sidecar.store.records import Rejected, SessionRow, StoredEvent, Summary, UserDetail, UserFilter, UserPage, UserRow

_user = tables.user_status.c
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
# What a page shows of a user's clients: all that are live, and this many in all.
SESSIONS_SHOWN = 100


def _user_row(row: Any, now_us: int) -> UserRow:  # noqa: ANN401 - a row of any SELECT with these columns
    return UserRow(
        app_id=row.app_id,
        user_id=row.user_id,
        status=row.status,
        since_us=row.since_us,
        reason=row.reason,
        unconfirmed=row.lease_until_us is not None and row.lease_until_us < now_us,
        token_expires_at_us=row.token_expires_at_us,
        last_seen_at_us=row.last_seen_at_us,
        platform=row.platform,
        position=row.changed_position,
    )


def users(connection: sa.Connection, wanted: UserFilter, now_us: int) -> UserPage:
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
        late = _user.lease_until_us < now_us
        query = query.where(late if wanted.unconfirmed else sa.or_(_user.lease_until_us.is_(None), sa.not_(late)))
    if wanted.cursor is not None:
        query = query.where(_user.changed_position < wanted.cursor)
    found = [_user_row(row, now_us) for row in connection.execute(query)]
    more = len(found) > wanted.limit
    page = found[: wanted.limit]
    return UserPage(page, page[-1].position if more else None)


def users_changed_since(connection: sa.Connection, position: int, limit: int, now_us: int) -> list[UserRow]:
    """Oldest change first."""
    query = sa.select(*_USER_COLUMNS).where(_user.changed_position > position)
    query = query.order_by(_user.changed_position).limit(limit)
    return [_user_row(row, now_us) for row in connection.execute(query)]


def user(connection: sa.Connection, app_id: int, user_id: str, now_us: int, leases: Leases) -> UserDetail | None:
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
    return UserDetail(_user_row(found, now_us), [_session(client, now_us, leases) for client in clients])


def _session(client: rows.Client, now_us: int, leases: Leases) -> SessionRow:
    state = client.state
    until_us = leases.until_us(client.last_seen_at_us, sends_heartbeats=client.sends_heartbeats)
    of_state = {name: getattr(state, name) for name in SessionRow.__struct_fields__ if hasattr(state, name)}
    of_client = {name: getattr(client, name) for name in SessionRow.__struct_fields__ if hasattr(client, name)}
    return SessionRow(**of_state, **of_client, unconfirmed=state.status != NOT_LOGGED_IN and until_us < now_us)


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


def summary(connection: sa.Connection, now_us: int, app_id: int | None = None) -> Summary:
    """Users as counts, of one app or of all."""
    counts = tables.user_counts.c
    totals = sa.select(counts.status, sa.func.sum(counts.users)).group_by(counts.status)
    silent = sa.select(sa.func.count()).where(_user.lease_until_us < now_us)
    if app_id is not None:
        totals = totals.where(counts.app_id == app_id)
        silent = silent.where(_user.app_id == app_id)
    found = {row[0]: int(row[1]) for row in connection.execute(totals)}
    return Summary(
        online=found.get(ONLINE, 0),
        offline=found.get(OFFLINE, 0),
        not_logged_in=found.get(NOT_LOGGED_IN, 0),
        unconfirmed=connection.execute(silent).scalar_one(),
    )


def rejected(connection: sa.Connection, limit: int) -> list[Rejected]:
    """What was refused, newest first."""
    kept = tables.rejected_events.c
    query = sa.select(kept.received_at_us, kept.batch_index, kept.event_id, kept.error, kept.body)
    found = connection.execute(query.order_by(kept.rejection.desc()).limit(limit))
    return [Rejected(*row) for row in found]
