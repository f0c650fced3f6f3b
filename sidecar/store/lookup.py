"""Finds users for people: by id, by what they are and how they got there, in several orders, at any size.

A page reads a bounded number of rows, so that it is as quick for a million users as for ten: where a rare filter has
not filled the page by then, it ends early and says from where to look further.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from sidecar.domain.lease import Leases
from sidecar.domain.lease_time import LeaseTime
from sidecar.domain.status import NOT_LOGGED_IN, Status
from sidecar.store import queries
from sidecar.store.records import UserRow

Match = Literal["contains", "prefix", "exact"]
Order = Literal["newest", "oldest", "id"]
MATCHES: Final[tuple[Match, ...]] = ("contains", "prefix", "exact")
ORDERS: Final[tuple[Order, ...]] = ("newest", "oldest", "id")
IDS_MOST: Final = 1_000
# How many rows one page may look at. It bounds the time of a page; see benchmarks/pages.py.
LOOKED_AT_MOST: Final = 20_000
_LAST_CHARACTER: Final = "\U0010ffff"

_COLUMNS: Final = (
    "user_key, app_id, user_id, status, since_us, reason, lease_until_us, token_expires_at_us, last_seen_at_us,"
    " platform, changed_position"
)


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked for; None is "any". ``cursor`` is ``Found.next_cursor`` of the page before.

    ``ids`` are looked up as they are. ``changed_after_us`` and ``token_ends_before_us`` (which leaves out tokens
    that have ended) bound moments. ``sdk_version`` and ``app_version`` are those of any of the user's clients.
    """

    q: str | None = None
    match: Match = "contains"
    ids: tuple[str, ...] = ()
    app_id: int | None = None
    status: Status | None = None
    reason: str | None = None
    platform: str | None = None
    sdk_version: str | None = None
    app_version: str | None = None
    changed_after_us: int | None = None
    token_ends_before_us: int | None = None
    unconfirmed: bool | None = None
    disagreement: bool | None = None
    order: Order = "newest"
    cursor: str | None = None
    limit: int = 50


class FoundUser(msgspec.Struct, frozen=True):
    """A user, with what is known of the client that decides the status, and how many clients are live."""

    user: UserRow
    live_clients: int
    sdk_name: str | None = None
    sdk_version: str | None = None
    app_version: str | None = None


class _Sought(NamedTuple):
    """What is looked for, as conditions of SQL and their values, and the time it is looked at."""

    wanted: Search
    fits: list[str]
    values: dict[str, Any]
    time: LeaseTime
    leases: Leases


class Found(msgspec.Struct, frozen=True):
    """``next_cursor`` is None at the end. ``ended_early``: the page may be short although more users fit."""

    users: list[FoundUser]
    next_cursor: str | None
    ended_early: bool


def search(connection: sa.Connection, wanted: Search, time: LeaseTime, leases: Leases) -> Found:
    """One page."""
    sought = _Sought(wanted, *_conditions(wanted, time, leases), time, leases)
    if wanted.ids or (wanted.q and wanted.match == "exact"):
        return _by_ids(connection, sought)
    if wanted.order == "id" or (wanted.q and wanted.match == "prefix"):
        return _by_id_order(connection, sought)
    older = wanted.order == "newest"
    where, start = ["1"], dict[str, Any]()
    if wanted.status is not None:
        # In the inner part, so that the index on (status, changed_position) is walked.
        where.append("status = :status")
    if wanted.cursor is not None and wanted.cursor.isascii() and wanted.cursor.isdigit():
        where.append(f"changed_position {'<' if older else '>'} :cursor")
        start["cursor"] = int(wanted.cursor)
    inner = (
        f"SELECT {{}} FROM user_status WHERE {' AND '.join(where)}"
        f" ORDER BY changed_position {'DESC' if older else 'ASC'} LIMIT {LOOKED_AT_MOST}"
    )
    rows, last, ended_early = _page(
        connection, inner, sought.fits, sought.values | start, limit=wanted.limit, cursor_columns="changed_position"
    )
    further = None if last is None else str(last[-1])
    return Found(_completed(connection, rows, sought), further, ended_early)


def app_ids(connection: sa.Connection) -> list[int]:
    """Every app that has users."""
    return [row[0] for row in connection.exec_driver_sql("SELECT DISTINCT app_id FROM user_counts ORDER BY app_id")]


def cursor_after(user: UserRow) -> str:
    """Where the order of app and id goes on after this user."""
    return msgspec.json.encode((user.app_id, user.user_id)).decode()


def _conditions(wanted: Search, time: LeaseTime, leases: Leases) -> tuple[list[str], dict[str, Any]]:
    fits: list[str] = []
    values: dict[str, Any] = {}
    for name in ("status", "app_id", "reason", "platform"):
        value = getattr(wanted, name)
        if value is not None:
            fits.append(f"{name} = :{name}")
            values[name] = value
    if wanted.q and wanted.match == "contains":
        escaped = wanted.q.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        fits.append("user_id LIKE :like ESCAPE '\\'")
        values["like"] = f"%{escaped}%"
    if wanted.unconfirmed is not None:
        late = f"COALESCE({_sql(queries.lease_is_past(time))}, 0)"
        fits.append(late if wanted.unconfirmed else f"NOT {late}")
    if wanted.disagreement is not None:
        apart = f"EXISTS (SELECT 1 FROM server_views WHERE {_sql(queries.disagrees(time, leases))})"
        fits.append(apart if wanted.disagreement else f"NOT {apart}")
    if wanted.changed_after_us is not None:
        fits.append("since_us >= :changed_after_us")
        values["changed_after_us"] = wanted.changed_after_us
    if wanted.token_ends_before_us is not None:
        fits.append("token_expires_at_us BETWEEN :now_us AND :token_ends_before_us")
        values |= {"now_us": time.machine_us, "token_ends_before_us": wanted.token_ends_before_us}
    for name in ("sdk_version", "app_version"):
        value = getattr(wanted, name)
        if value is not None:
            fits.append(
                f"EXISTS (SELECT 1 FROM clients WHERE clients.user_key = user_status.user_key AND {name} = :{name})"
            )
            values[name] = value
    return fits or ["1"], values


def _sql(condition: sa.ColumnElement[bool]) -> str:
    """The condition as text; there are only numbers in it."""
    return str(condition.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True}))


def _page(
    connection: sa.Connection, inner: str, fits: list[str], values: dict[str, Any], *, limit: int, cursor_columns: str
) -> tuple[list[Any], tuple[Any, ...] | None, bool]:
    """The rows of a page, where to go on (the columns named), and whether the budget ended it.

    ``inner`` selects the rows that may be looked at, in their order, with {} in the place of its columns.
    """
    sql = f"SELECT * FROM ({inner.format(_COLUMNS)}) AS user_status WHERE {' AND '.join(fits)} LIMIT :limit"
    rows = connection.execute(sa.text(sql), values | {"limit": limit + 1}).all()
    if len(rows) > limit:
        last = rows[limit - 1]
        return list(rows[:limit]), tuple(getattr(last, name) for name in cursor_columns.split(", ")), False
    # Only the columns of an index, so that the way to the last of them costs little.
    beyond = f"{inner.format(cursor_columns)} OFFSET {LOOKED_AT_MOST - 1}"
    bound = {name: value for name, value in values.items() if f":{name}" in inner}
    final = connection.execute(sa.text(beyond), bound).first()
    return list(rows), None if final is None else tuple(final), final is not None


def _by_id_order(connection: sa.Connection, sought: _Sought) -> Found:
    """In the order of (app, id), which is that of an index."""
    wanted = sought.wanted
    where, start = ["1"], dict[str, Any]()
    apps = [wanted.app_id] if wanted.app_id is not None else app_ids(connection)
    after = msgspec.json.decode(wanted.cursor, type=tuple[int, str | None]) if wanted.cursor else None
    rows: list[Any] = []
    for app_id in apps:
        if after is not None and app_id < after[0]:
            continue
        where, start = ["app_id = :of_app"], {"of_app": app_id}
        if wanted.q and wanted.match == "prefix":
            where.append("user_id >= :prefix AND user_id < :beyond")
            start |= {"prefix": wanted.q, "beyond": wanted.q + _LAST_CHARACTER}
        if after is not None and app_id == after[0] and after[1] is not None:
            where.append("user_id > :after")
            start["after"] = after[1]
        inner = f"SELECT {{}} FROM user_status WHERE {' AND '.join(where)} ORDER BY user_id LIMIT {LOOKED_AT_MOST}"
        found, last, ended_early = _page(
            connection,
            inner,
            sought.fits,
            sought.values | start,
            limit=wanted.limit - len(rows),
            cursor_columns="app_id, user_id",
        )
        rows += found
        if last is not None:
            cursor = msgspec.json.encode(last).decode()
            return Found(_completed(connection, rows, sought), cursor, ended_early)
        if len(rows) == wanted.limit:
            following = [other for other in apps if other > app_id]
            further = msgspec.json.encode((following[0], None)).decode() if following else None
            return Found(_completed(connection, rows, sought), further, ended_early=False)
    return Found(_completed(connection, rows, sought), None, ended_early=False)


def _by_ids(connection: sa.Connection, sought: _Sought) -> Found:
    """The users with these ids, in every app; in the order in which they were given, all on one page."""
    wanted = sought.wanted
    ids = list(dict.fromkeys([*wanted.ids, *([wanted.q] if wanted.q and wanted.match == "exact" else [])]))[:IDS_MOST]
    apps = [wanted.app_id] if wanted.app_id is not None else app_ids(connection)
    marks = ", ".join(f":id{place}" for place in range(len(ids)))
    named = {f"id{place}": user_id for place, user_id in enumerate(ids)}
    rows: list[Any] = []
    for app_id in apps:
        sql = (
            f"SELECT {_COLUMNS} FROM user_status WHERE app_id = :of_app AND user_id IN ({marks})"
            f" AND {' AND '.join(sought.fits)}"
        )
        rows += connection.execute(sa.text(sql), sought.values | named | {"of_app": app_id}).all()
    place = {user_id: number for number, user_id in enumerate(ids)}
    rows.sort(key=lambda row: (place[row.user_id], row.app_id))
    return Found(_completed(connection, rows, sought), None, ended_early=False)


def _completed(connection: sa.Connection, rows: Sequence[Any], sought: _Sought) -> list[FoundUser]:
    clients = _clients(connection, [row.user_key for row in rows])
    users = queries.user_rows(connection, rows, sought.time, sought.leases)
    nothing = (0, None, None, None)
    return [FoundUser(user, *clients.get(row.user_key, nothing)) for row, user in zip(rows, users, strict=True)]


def _clients(connection: sa.Connection, user_keys: Iterable[int]) -> dict[int, tuple[int, Any, Any, Any]]:
    """For each user: how many clients are live, and the versions of the one that was heard of last."""
    keys = list(user_keys)
    if not keys:
        return {}
    # The columns beside MAX() are those of the row that has it: https://www.sqlite.org/lang_select.html#bareagg
    sql = (
        f"SELECT user_key, SUM(status <> '{NOT_LOGGED_IN}'), sdk_name, sdk_version, app_version, MAX(last_seen_at_us)"
        f" FROM clients WHERE user_key IN ({', '.join('?' * len(keys))}) GROUP BY user_key"
    )
    return {row[0]: (row[1], row[2], row[3], row[4]) for row in connection.exec_driver_sql(sql, tuple(keys))}
