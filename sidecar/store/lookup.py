"""Finds users for people: by id, by what they are and how they got there, in several orders, at any size.

A page reads a bounded number of rows, so that it is as quick for a million users as for ten: where a rare filter has
not filled the page by then, it ends early and says from where to look further.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, Literal

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
Order = Literal["newest", "oldest", "id"]
MATCHES: Final[tuple[Match, ...]] = ("contains", "prefix", "exact")
ORDERS: Final[tuple[Order, ...]] = ("newest", "oldest", "id")
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
    the last to be.
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
    after = _read_cursor(wanted.cursor)
    sql = f"SELECT {groups.COLUMNS} FROM user_status WHERE app_id = ? AND user_id > ? {{}} ORDER BY user_id"
    driver: Any = connection.connection.driver_connection
    for app_id in [wanted.app_id] if wanted.app_id is not None else app_ids(connection):
        if after is not None and app_id < after[0]:
            continue
        above, among, bounds = "", "", list[str]()
        if wanted.q and wanted.match == "prefix":
            among, bounds = "AND user_id >= ? AND user_id < ?", [wanted.q, wanted.q + _LAST_CHARACTER]
        if after is not None and app_id == after[0]:
            above = after[1]
        yield from map(Row._make, driver.execute(sql.format(among), (app_id, above, *bounds)))


def _read_cursor(text: str | None) -> tuple[int, str] | None:
    try:
        return msgspec.json.decode(text, type=tuple[int, str]) if text else None
    except msgspec.MsgspecError:
        return None


def _by_ids(connection: sa.Connection, sought: _Sought) -> Found:
    """The users with these ids, in every app; in the order in which they were given, all on one page."""
    wanted = sought.wanted
    ids = list(dict.fromkeys([*wanted.ids, *([wanted.q] if wanted.q and wanted.match == "exact" else [])]))[:IDS_MOST]
    apps = [wanted.app_id] if wanted.app_id is not None else app_ids(connection)
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
