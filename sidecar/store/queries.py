"""Every read of users and events. Functions of a connection; nothing here writes."""

from __future__ import annotations

from collections import Counter, namedtuple
from collections.abc import Sequence
from itertools import islice
from typing import Any, Final

import sqlalchemy as sa

from sidecar.domain.lease import Leases
from sidecar.domain.status import NOT_LOGGED_IN, OFFLINE, ONLINE
from sidecar.store import groups, rows, search, tables
from sidecar.store.records import Rejected, SessionRow, StoredEvent, Summary, UserDetail, UserFilter, UserPage, UserRow

_user = tables.user_status.c
_Row = namedtuple("_Row", [column.name for column in tables.user_status.columns])  # type: ignore[misc]  # noqa: PYI024
_USER_ID: Final = [column.name for column in tables.user_status.columns].index("user_id")
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


# Of a search: how many of the newest changes are looked at before the index is asked, and how many users of the index's
# are looked at before the changes are gone through in their order instead.
_NAMES_AT_ONCE: Final = 400
_NEWEST_LOOKED_AT: Final = 1_000
_FOUND_LOOKED_AT: Final = 5_000


def users(connection: sa.Connection, wanted: UserFilter, now_us: int) -> UserPage:
    """Newest change first."""
    below = tables.LARGEST if wanted.cursor is None else wanted.cursor
    if wanted.q:
        found = _search(connection, wanted, search.folded(wanted.q), below)
    else:
        found = list(islice(groups.newest(connection, wanted, below=below), wanted.limit + 1))
    more = len(found) > wanted.limit
    page = [_user_row(_Row(*row), now_us) for row in found[: wanted.limit]]
    return UserPage(page, page[-1].position if more else None)


def _search(connection: sa.Connection, wanted: UserFilter, q: str, below: int) -> list[Sequence[Any]]:
    """What many ids have in them is found among the newest changes; what few have, by the index."""
    found: list[Sequence[Any]] = []
    newest = groups.newest(connection, wanted, below=below)
    for looked_at, row in enumerate(newest, start=1):
        if q in search.folded(row[_USER_ID]):
            found.append(row)
            if len(found) > wanted.limit:
                return found
        if looked_at == _NEWEST_LOOKED_AT:
            break
    else:
        return found
    keys = search.candidates(connection, q, _FOUND_LOOKED_AT + 1)
    if len(keys) <= _FOUND_LOOKED_AT:
        candidates = groups.of_users(connection, wanted, keys, below=below)
        return [row for row in candidates if q in search.folded(row[_USER_ID])][: wanted.limit + 1]
    rest = (row for row in newest if q in search.folded(row[_USER_ID]))
    return [*found, *islice(rest, wanted.limit + 1 - len(found))]


def users_changed_since(connection: sa.Connection, position: int, limit: int, now_us: int) -> list[UserRow]:
    """Oldest change first; the newest ``limit`` of them."""
    found = list(islice(groups.newest(connection, UserFilter(), below=tables.LARGEST, above=position), limit))
    return [_user_row(_Row(*row), now_us) for row in reversed(found)]


def users_named(connection: sa.Connection, names: Sequence[tuple[int, str]], now_us: int) -> list[UserRow]:
    """Those of the users that are known."""
    found: list[UserRow] = []
    for start in range(0, len(names), _NAMES_AT_ONCE):
        some = names[start : start + _NAMES_AT_ONCE]
        sql = (
            f"WITH wanted (app_id, user_id) AS (VALUES {', '.join(['(?, ?)'] * len(some))})"
            f" SELECT {groups.COLUMNS} FROM wanted CROSS JOIN user_status USING (app_id, user_id)"
        )
        flat = tuple(part for name in some for part in name)
        found += [_user_row(_Row(*row), now_us) for row in connection.exec_driver_sql(sql, flat)]
    return found


def user(connection: sa.Connection, app_id: int, user_id: str, now_us: int, leases: Leases) -> UserDetail | None:
    """One user and its clients, the live ones first."""
    who = sa.select(tables.user_status).where(_user.app_id == app_id, _user.user_id == user_id)
    found = connection.execute(who).first()
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
    return UserDetail(_user_row(found, now_us), [_session(one, now_us, leases) for one in clients[:SESSIONS_SHOWN]])


def _place(client: rows.Client) -> tuple[bool, int, bytes]:
    state = client.state
    return (state.status != NOT_LOGGED_IN, state.since_us or 0, state.last_id)


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


def summary(connection: sa.Connection, app_id: int | None = None) -> Summary:
    """Users as counts, of one app or of all."""
    kept = tables.user_groups.c
    query = sa.select(kept.status, kept.unconfirmed, sa.func.sum(kept.users)).group_by(kept.status, kept.unconfirmed)
    if app_id is not None:
        query = query.where(kept.app_id == app_id)
    counts: Counter[str] = Counter()
    for status, unconfirmed, users in connection.execute(query):
        counts[status] += int(users)
        counts["unconfirmed"] += int(users) if unconfirmed else 0
    return Summary(counts[ONLINE], counts[OFFLINE], counts[NOT_LOGGED_IN], counts["unconfirmed"])


def rejected(connection: sa.Connection, limit: int) -> list[Rejected]:
    """What was refused, newest first."""
    kept = tables.rejected_events.c
    query = sa.select(kept.received_at_us, kept.batch_index, kept.event_id, kept.error, kept.body)
    found = connection.execute(query.order_by(kept.rejection.desc()).limit(limit))
    return [Rejected(*row) for row in found]
