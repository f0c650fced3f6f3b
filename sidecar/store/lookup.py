"""Finds users for people: by id, by what they are and how they got there, in several orders, at any size.

A page reads a bounded number of rows, so that it is as quick for a million users as for ten: where a rare filter has
not filled the page by then, it ends early and says from where to look further.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Annotated, Any, Final, Literal

import msgspec
import sqlalchemy as sa

from sidecar.domain.lease import Leases
from sidecar.domain.lease_time import LeaseTime
from sidecar.domain.status import NOT_LOGGED_IN, Status
from sidecar.store import groups, queries, rows, search, tables
from sidecar.store.queries import Row
from sidecar.store.records import UserFilter, UserRow
from sidecar.store.rows import Client

Match = Literal["contains", "prefix", "exact"]
Order = Literal["newest", "oldest", "id", "user_id", "token"]
MATCHES: Final[tuple[Match, ...]] = ("contains", "prefix", "exact")
ORDERS: Final[tuple[Order, ...]] = ("newest", "oldest", "id", "user_id", "token")
IDS_MOST: Final = 1_000
# How many rows one page may look at. It bounds the time of a page; see benchmarks/pages.py.
LOOKED_AT_MOST: Final = 20_000
_LAST_CHARACTER: Final = "\U0010ffff"

# How many users the index of ids may name before the changes are gone through in their order instead.
_NAMED_MOST: Final = 5_000


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked for; None is "any". ``cursor`` is ``Found.next_cursor`` of the page before.

    ``ids`` are looked up as they are. ``changed_after_us`` and ``token_ends_before_us`` (which leaves out tokens
    that have ended) bound moments. ``sdk_version`` and ``app_version`` are those of any client that is live, or was
    the last to be. ``order``: by the last change, by app and id, by id over all apps, or by the token's end: the next
    to end first, then those that have ended, the last of them first, then those that are not known.
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


class Found(msgspec.Struct, frozen=True):
    """``next_cursor`` is None at the end. ``ended_early``: the page may be short although more users fit."""

    users: list[FoundUser]
    next_cursor: str | None
    ended_early: bool


class _Sought(msgspec.Struct, frozen=True):
    """What is looked for, and whether a row of ``user_status`` fits it."""

    wanted: Search
    time: LeaseTime
    leases: Leases
    fits: Callable[[Any], bool]


def search_users(connection: sa.Connection, wanted: Search, time: LeaseTime, leases: Leases) -> Found:
    """One page."""
    sought = _Sought(wanted, time, leases, _condition(connection, wanted, time, leases))
    if wanted.ids or (wanted.q and wanted.match == "exact"):
        return _by_ids(connection, sought)
    if wanted.order == "token":
        begin = _read_cursor(wanted.cursor, _TokenPlace) or (time.machine_us, time.machine_us, 0)
        return _page(connection, sought, _by_token(connection, begin), lambda row: _token_cursor(begin[0], row))
    if wanted.order == "user_id":
        return _page(connection, sought, _by_user_id(connection, wanted), cursor_after)
    if wanted.order == "id" or (wanted.q and wanted.match == "prefix"):
        return _page(connection, sought, _by_id(connection, wanted), cursor_after)
    return _page(connection, sought, _by_change(connection, wanted), lambda row: str(row.changed_position))


def app_ids(connection: sa.Connection) -> list[int]:
    """Every app that has users."""
    return [row[0] for row in connection.exec_driver_sql("SELECT DISTINCT app_id FROM user_groups ORDER BY app_id")]


def cursor_after(user: UserRow) -> str:
    """Where the order of app and id goes on after this user."""
    return msgspec.json.encode((user.app_id, user.user_id)).decode()


def _condition(connection: sa.Connection, wanted: Search, time: LeaseTime, leases: Leases) -> Callable[[Any], bool]:
    """Whether a row is of a user who is looked for."""
    equal = [(name, getattr(wanted, name)) for name in ("status", "app_id", "reason", "platform")]
    equal = [(name, value) for name, value in equal if value is not None]
    part = search.folded(wanted.q or "") if wanted.match == "contains" else ""
    differing = set() if wanted.disagreement is None else queries.apart(connection, time, leases)
    versions = [(name, getattr(wanted, name)) for name in ("sdk_version", "app_version")]
    versions = [(name, value) for name, value in versions if value is not None]

    def fits(row: Any) -> bool:  # noqa: ANN401 - a row of user_status
        return (
            all(getattr(row, name) == value for name, value in equal)
            and part in search.folded(row.user_id)
            and (wanted.changed_after_us is None or (row.since_us or 0) >= wanted.changed_after_us)
            and (
                wanted.token_ends_before_us is None
                or time.machine_us <= (row.token_expires_at_us or 0) <= wanted.token_ends_before_us
            )
            and wanted.unconfirmed in {None, queries.is_unconfirmed(row, time)}
            and wanted.disagreement in {None, row.user_key in differing}
            and all(
                any(getattr(one, name) == value for one in rows.clients_of(connection, row.user_key, row.clients))
                for name, value in versions
            )
        )

    return fits


def _page(connection: sa.Connection, sought: _Sought, ordered: Iterator[Any], cursor_of: Callable[[Any], str]) -> Found:
    """A page of the rows that fit, of those that may be looked at."""
    page: list[Any] = []
    last = None
    for last in islice(ordered, LOOKED_AT_MOST):
        if sought.fits(last):
            if len(page) == sought.wanted.limit:
                return Found(_completed(connection, page, sought), cursor_of(page[-1]), ended_early=False)
            page.append(last)
    if last is None or next(ordered, None) is None:
        return Found(_completed(connection, page, sought), None, ended_early=False)
    return Found(_completed(connection, page, sought), cursor_of(last), ended_early=True)


def _by_change(connection: sa.Connection, wanted: Search) -> Iterator[Any]:
    """Rows in the order of their last change, from the cursor on."""
    oldest_first = wanted.order == "oldest"
    cursor = int(wanted.cursor) if wanted.cursor and wanted.cursor.isascii() and wanted.cursor.isdigit() else None
    above = cursor if oldest_first and cursor is not None else 0
    below = cursor if not oldest_first and cursor is not None else tables.LARGEST
    of = UserFilter(status=wanted.status, app_id=wanted.app_id, platform=wanted.platform, reason=wanted.reason)
    if wanted.q:
        keys = search.candidates(connection, wanted.q, _NAMED_MOST + 1)
        if len(keys) <= _NAMED_MOST:
            named = groups.of_users(connection, of, keys, below=below)
            found = [row for row in map(Row._make, named) if row.changed_position > above]
            return iter(found[::-1] if oldest_first else found)
    ordered = groups.newest(connection, of, below=below, above=above, oldest_first=oldest_first)
    return (Row._make(row) for row in ordered)


def _by_id(connection: sa.Connection, wanted: Search) -> Iterator[Any]:
    """Rows in the order of (app, id), which is that of an index, from the cursor on."""
    after = _read_cursor(wanted.cursor, tuple[int, str])
    for app_id in _apps(connection, wanted):
        if after is None or app_id > after[0]:
            yield from _of_app(connection, wanted, app_id, "")
        elif app_id == after[0]:
            yield from _of_app(connection, wanted, app_id, after[1], past=True)


def _by_user_id(connection: sa.Connection, wanted: Search) -> Iterator[Any]:
    """Rows in the order of (id, app): the merge of the apps, each of which is read only as far as it is asked for."""
    app, user_id = _read_cursor(wanted.cursor, tuple[int, str]) or (-1, "")
    apps = _apps(connection, wanted)
    walks = (_of_app(connection, wanted, app_id, user_id, past=app_id <= app) for app_id in apps)
    return heapq.merge(*walks, key=lambda row: (row.user_id, row.app_id))


def _apps(connection: sa.Connection, wanted: Search) -> list[int]:
    return [wanted.app_id] if wanted.app_id is not None else app_ids(connection)


def _of_app(connection: sa.Connection, wanted: Search, app_id: int, first: str, *, past: bool = False) -> Iterator[Any]:
    """An app's rows in the order of their ids, from ``first`` on; with ``past`` without it."""
    among, bounds = "", list[str]()
    if wanted.q and wanted.match == "prefix":
        among, bounds = "AND user_id >= ? AND user_id < ?", [wanted.q, wanted.q + _LAST_CHARACTER]
    sql = (
        f"SELECT {groups.COLUMNS} FROM user_status WHERE app_id = ? AND user_id {'>' if past else '>='} ? {among}"
        " ORDER BY user_id"
    )
    driver: Any = connection.connection.driver_connection
    return map(Row._make, driver.execute(sql, (app_id, first, *bounds)))


_Number = Annotated[int, msgspec.Meta(ge=-tables.LARGEST, le=tables.LARGEST)]
_TokenPlace = tuple[_Number, _Number | None, _Number]
"""When the first page was made; the token's end and the key of the last user of the page before."""


def _by_token(connection: sa.Connection, place: _TokenPlace) -> Iterator[Any]:
    """Rows by the end of the token, from ``place`` on: what has ended is what had when the first page was made."""
    begin_us, token_us, user_key = place
    driver: Any = connection.connection.driver_connection
    sql = f"SELECT {groups.COLUMNS} FROM user_status WHERE {{}} ORDER BY {{}}"
    if token_us is not None:
        if token_us >= begin_us:
            ahead = sql.format("(token_expires_at_us, user_key) > (?, ?)", "token_expires_at_us, user_key")
            yield from map(Row._make, driver.execute(ahead, (token_us, user_key)))
            token_us, user_key = begin_us, 0
        ended = sql.format("(token_expires_at_us, user_key) < (?, ?)", "token_expires_at_us DESC, user_key DESC")
        yield from map(Row._make, driver.execute(ended, (token_us, user_key)))
        user_key = 0
    unknown = sql.format("token_expires_at_us IS NULL AND user_key > ?", "user_key")
    yield from map(Row._make, driver.execute(unknown, (user_key,)))


def _token_cursor(begin_us: int, row: Any) -> str:  # noqa: ANN401 - a row of ``user_status``
    return msgspec.json.encode((begin_us, row.token_expires_at_us, row.user_key)).decode()


def _read_cursor(text: str | None, place: Any) -> Any:  # noqa: ANN401 - a type, and one of it; None where it is none
    try:
        return msgspec.json.decode(text, type=place) if text else None
    except msgspec.MsgspecError:
        return None


def _by_ids(connection: sa.Connection, sought: _Sought) -> Found:
    """The users with these ids, in every app; in the order in which they were given, all on one page."""
    wanted = sought.wanted
    ids = list(dict.fromkeys([*wanted.ids, *([wanted.q] if wanted.q and wanted.match == "exact" else [])]))[:IDS_MOST]
    apps = _apps(connection, wanted)
    marks = ", ".join("?" * len(ids))
    sql = f"SELECT {groups.COLUMNS} FROM user_status WHERE app_id = ? AND user_id IN ({marks})"
    found = [Row._make(row) for app_id in apps for row in connection.exec_driver_sql(sql, (app_id, *ids))]
    place = {user_id: number for number, user_id in enumerate(ids)}
    page = sorted(filter(sought.fits, found), key=lambda row: (place[row.user_id], row.app_id))
    return Found(_completed(connection, page, sought), None, ended_early=False)


def _completed(connection: sa.Connection, page: Sequence[Any], sought: _Sought) -> list[FoundUser]:
    users = queries.user_rows(connection, page, sought.time, sought.leases)
    return [
        FoundUser(user, *_device(rows.clients_of(connection, row.user_key, row.clients)))
        for row, user in zip(page, users, strict=True)
    ]


def _device(clients: Iterable[Client]) -> tuple[int, str | None, str | None, str | None]:
    """How many clients are live, and the versions of the one that was heard of last."""
    own = list(clients)
    live = sum(one.state.status != NOT_LOGGED_IN for one in own)
    newest = max(own, key=lambda one: one.last_seen_at_us, default=None)
    return (live, newest.sdk_name, newest.sdk_version, newest.app_version) if newest else (live, None, None, None)
