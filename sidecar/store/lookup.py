"""Finds users for people: by id, by what they are and how they got there, in several orders, at any size.

A page reads a bounded number of rows, so that it is as quick for a million users as for ten: where a rare filter has
not filled the page by then, it ends early and says from where to look further.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Annotated, Any, Final, Literal

import msgspec
import sqlalchemy as sa

from sidecar.domain.lease import Leases
from sidecar.domain.lease_time import LeaseTime
from sidecar.domain.status import NOT_LOGGED_IN, Status
from sidecar.store import groups, queries, rows, search, tables
from sidecar.store.groups import Condition
from sidecar.store.records import UserFilter, UserPage, UserRow
from sidecar.store.rows import Client

Match = Literal["contains", "prefix", "exact"]
Order = Literal["newest", "oldest", "id", "user_id", "token"]
MATCHES: Final[tuple[Match, ...]] = ("contains", "prefix", "exact")
ORDERS: Final[tuple[Order, ...]] = ("newest", "oldest", "id", "user_id", "token")
IDS_MOST: Final = 1_000
# How many users are read at once where all are gone through.
_HELPING: Final = 200
# How many users one page may look at. It bounds the time of a page; see docs/performance.md.
LOOKED_AT_MOST: Final = 6_000
_LAST_CHARACTER: Final = "\U0010ffff"

# Of a search by a part of an id: how many users are gone through before the index of ids is asked, which knows too many
# of a short part and is slow to name them; and up to how many that it names are looked at one by one.
GONE_THROUGH_FIRST: Final = 500
GONE_THROUGH_FIRST_IF_SHORT: Final = 2_000
NAMED_MOST: Final = 4_000


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

    @property
    def is_by_ids(self) -> bool:
        """Whether whole ids are asked for: those are all on one page."""
        return bool(self.ids) or bool(self.q and self.match == "exact")


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
    """What is looked for, who disagrees with ZEGO's server if that is asked, and whether a row fits all of it."""

    wanted: Search
    time: LeaseTime
    leases: Leases
    differing: set[int]
    fits: Callable[[Any], bool]


Step = tuple[Any, int, int]
"""Where the order goes on after a user, the user's key, and 0 where it is known not to fit."""


class _Looked(msgspec.Struct, frozen=True):
    """A page of rows of ``user_status``. ``last`` is where it goes on, None at the end."""

    rows: list[Any]
    last: Any
    ended_early: bool = False


def search_users(connection: sa.Connection, wanted: Search, time: LeaseTime, leases: Leases) -> Found:
    """One page."""
    sought = _sought(connection, wanted, time, leases)
    if wanted.is_by_ids:
        found = list(filter(sought.fits, _by_ids(connection, wanted)))
        return Found(_completed(connection, found, sought), None, ended_early=False)
    looked = _look(connection, _in_order(connection, sought), sought.fits, wanted.limit)
    cursor = None if looked.last is None else cursor_at(looked.last)
    return Found(_completed(connection, looked.rows, sought), cursor, ended_early=looked.ended_early)


def users(connection: sa.Connection, wanted: UserFilter, time: LeaseTime, leases: Leases) -> UserPage:
    """A page of users, newest change first. It may be short although more fit: they follow behind its cursor."""
    given = {name: value for name, value in msgspec.structs.asdict(wanted).items() if name != "cursor"}
    asked = Search(cursor=None if wanted.cursor is None else str(wanted.cursor), **given)
    sought = _sought(connection, asked, time, leases)
    looked = _look(connection, _by_change(connection, sought), sought.fits, asked.limit)
    return UserPage(queries.user_rows(connection, looked.rows, time, leases), looked.last)


def everyone(connection: sa.Connection, wanted: Search, time: LeaseTime) -> Iterator[Any]:
    """The rows of all users whose id fits, in the order of app and id from the cursor on, or as the ids were given."""
    if wanted.is_by_ids:
        yield from _by_ids(connection, wanted)
        return
    keys = (key for _, key, fits in _by_id(connection, wanted, time) if fits)
    while some := list(islice(keys, _HELPING)):
        yield from groups.rows_of(connection, some)


def app_ids(connection: sa.Connection) -> list[int]:
    """Every app that has users."""
    return [row[0] for row in connection.exec_driver_sql("SELECT DISTINCT app_id FROM user_groups ORDER BY app_id")]


def cursor_at(place: object) -> str:
    """Where an order goes on after the user at this place in it; (app, id) in the orders of ids."""
    return msgspec.json.encode(place).decode()


def _sought(connection: sa.Connection, wanted: Search, time: LeaseTime, leases: Leases) -> _Sought:
    differing = set() if wanted.disagreement is None else queries.apart(connection, time, leases)
    return _Sought(wanted, time, leases, differing, _fitting(connection, wanted, time, differing))


def _fitting(connection: sa.Connection, wanted: Search, time: LeaseTime, differing: set[int]) -> Callable[[Any], bool]:
    """Whether a row is of a user who is looked for."""
    equal = [(name, getattr(wanted, name)) for name in ("status", "app_id", "reason", "platform")]
    equal = [(name, value) for name, value in equal if value is not None]
    part = search.folded(wanted.q or "") if wanted.match == "contains" else ""
    versions = [(name, getattr(wanted, name)) for name in ("sdk_version", "app_version")]
    versions = [(name, value) for name, value in versions if value is not None]

    def fits(row: Any) -> bool:  # noqa: ANN401 - a row of user_status
        return (
            all(getattr(row, name) == value for name, value in equal)
            and (not part or part in search.folded(row.user_id))
            and (wanted.changed_after_us is None or (row.since_us or 0) >= wanted.changed_after_us)
            and (
                wanted.token_ends_before_us is None
                or time.machine_us <= (row.token_expires_at_us or 0) <= wanted.token_ends_before_us
            )
            and (wanted.unconfirmed is None or wanted.unconfirmed == queries.is_unconfirmed(row, time))
            and wanted.disagreement in {None, row.user_key in differing}
            and all(
                any(getattr(one, name) == value for one in rows.clients_of(connection, row.user_key, row.clients))
                for name, value in versions
            )
        )

    return fits


def _may_fit(wanted: Search, time: LeaseTime) -> Condition:
    """What SQL can tell of whether a row fits: true of all that do, and of few others."""
    condition = groups.EVERY
    if wanted.changed_after_us is not None:
        condition &= Condition("COALESCE(since_us, 0) >= ?", (wanted.changed_after_us,))
    if wanted.token_ends_before_us is not None:
        condition &= Condition("token_expires_at_us BETWEEN ? AND ?", (time.machine_us, wanted.token_ends_before_us))
    for version in (wanted.sdk_version, wanted.app_version):
        if version is not None:
            condition &= Condition("(clients IS NULL OR instr(clients, ?) > 0)", (version.encode(),))
    return condition


def _look(connection: sa.Connection, steps: Iterator[Step], fits: Callable[[Any], bool], limit: int) -> _Looked:
    """A page of those that fit, of as many as may be looked at."""
    looked_at = islice(steps, LOOKED_AT_MOST)
    page: list[tuple[Any, Any]] = []
    last = None
    while True:
        some: list[Step] = []
        for step in looked_at:
            last = step[0]
            if step[2]:
                some.append(step)
                if len(page) + len(some) > limit:
                    break
        if not some:
            break
        found = zip(some, groups.rows_of(connection, [key for _, key, _ in some]), strict=True)
        page += [(place, row) for (place, _, _), row in found if fits(row)]
        if len(page) > limit:
            return _Looked([row for _, row in page[:limit]], page[limit - 1][0])
    is_end = last is None or next(steps, None) is None
    return _Looked([row for _, row in page], None if is_end else last, ended_early=not is_end)


def _in_order(connection: sa.Connection, sought: _Sought) -> Iterator[Step]:
    """Users in the order that is wanted, from the cursor on."""
    wanted = sought.wanted
    if wanted.order == "token":
        return _by_token(connection, wanted, sought.time)
    if wanted.order == "user_id":
        return _by_user_id(connection, wanted, sought.time)
    if wanted.order == "id" or (wanted.q and wanted.match == "prefix"):
        return _by_id(connection, wanted, sought.time)
    return _by_change(connection, sought)


def _by_change(connection: sa.Connection, sought: _Sought) -> Iterator[Step]:
    """Users in the order of their last change, from the cursor on."""
    wanted = sought.wanted
    oldest_first = wanted.order == "oldest"
    cursor = _read_cursor(wanted.cursor, _Position)
    above = cursor if oldest_first and cursor is not None else 0
    below = cursor if not oldest_first and cursor is not None else tables.LARGEST
    order = _Order(above, below, oldest_first)
    condition = _may_fit(wanted, sought.time)
    if wanted.disagreement:
        return order.of(connection, wanted, condition, sought.differing)
    if wanted.q:
        return _by_part(connection, wanted, condition, order)
    return order.all(connection, wanted, condition)


class _Order(msgspec.Struct, frozen=True):
    """Between which positions, both left out, and which way users are gone through."""

    above: int
    below: int
    oldest_first: bool

    def all(self, connection: sa.Connection, wanted: Search, condition: Condition) -> Iterator[Step]:
        """All of them."""
        return groups.walk(
            connection,
            _groups_of(wanted),
            below=self.below,
            above=self.above,
            oldest_first=self.oldest_first,
            condition=condition,
        )

    def of(
        self, connection: sa.Connection, wanted: Search, condition: Condition, keys: Collection[int]
    ) -> Iterator[Step]:
        """Only these."""
        found = groups.steps_of(connection, _groups_of(wanted), keys, condition)
        return iter([step for step in found[:: -1 if self.oldest_first else 1] if self.above < step[0] < self.below])

    def behind(self, place: int | None) -> _Order:
        """What is left of it behind this position."""
        if place is None:
            return self
        return _Order(place, self.below, True) if self.oldest_first else _Order(self.above, place, False)


def _by_part(connection: sa.Connection, wanted: Search, condition: Condition, order: _Order) -> Iterator[Step]:
    """Users whose id may have ``wanted.q`` in it.

    What few ids have in them is found by the index of ids, what many have by going through the users.
    """
    q = search.folded(wanted.q or "")
    condition = Condition("instr(lower(user_id), ?) > 0", (q,)) & condition
    every = order.all(connection, wanted, condition)
    last = None
    for step in islice(every, GONE_THROUGH_FIRST_IF_SHORT if search.is_short(q) else GONE_THROUGH_FIRST):
        last = step[0]
        yield step
    keys = search.candidates(connection, q, NAMED_MOST + 1)
    if len(keys) > NAMED_MOST:
        yield from every
    else:
        yield from order.behind(last).of(connection, wanted, condition, keys)


def _groups_of(wanted: Search) -> UserFilter:
    return UserFilter(
        status=wanted.status,
        app_id=wanted.app_id,
        platform=wanted.platform,
        reason=wanted.reason,
        unconfirmed=wanted.unconfirmed,
    )


def _may_fit_anywhere(connection: sa.Connection, wanted: Search, time: LeaseTime, *, by_app: bool = False) -> Condition:
    """As :func:`_may_fit`, for a walk that does not go by groups; ``by_app``: it keeps to the app that is wanted."""
    condition = _may_fit(wanted, time)
    if (of := _groups_of(wanted)) != UserFilter(app_id=wanted.app_id if by_app else None):
        condition &= groups.in_groups(connection, of)
    if wanted.q and wanted.match == "contains":
        condition &= Condition("instr(lower(user_id), ?) > 0", (search.folded(wanted.q),))
    return condition


def _by_id(connection: sa.Connection, wanted: Search, time: LeaseTime) -> Iterator[Step]:
    """Users in the order of (app, id), which is that of an index, from the cursor on."""
    after = _read_cursor(wanted.cursor, _Id)
    condition = _may_fit_anywhere(connection, wanted, time, by_app=True)
    for app_id in _apps(connection, wanted):
        if after is None or app_id > after[0]:
            yield from _of_app(connection, wanted, condition, app_id)
        elif app_id == after[0]:
            yield from _of_app(connection, wanted, condition, app_id, after[1], past=True)


def _by_user_id(connection: sa.Connection, wanted: Search, time: LeaseTime) -> Iterator[Step]:
    """Users in the order of (id, app): the merge of the apps, each of which is read only as far as it is asked for."""
    app, user_id = _read_cursor(wanted.cursor, _Id) or (-1, "")
    condition = _may_fit_anywhere(connection, wanted, time, by_app=True)
    walks = (
        _of_app(connection, wanted, condition, app_id, user_id, past=app_id <= app)
        for app_id in _apps(connection, wanted)
    )
    return heapq.merge(*walks, key=lambda step: step[0][::-1])


def _apps(connection: sa.Connection, wanted: Search) -> list[int]:
    return [wanted.app_id] if wanted.app_id is not None else app_ids(connection)


def _of_app(
    connection: sa.Connection,
    wanted: Search,
    condition: Condition,
    app_id: int,
    first: str = "",
    *,
    past: bool = False,
) -> Iterator[Step]:
    """An app's users in the order of their ids, from ``first`` on; with ``past`` without it."""
    begins = wanted.q if wanted.q and wanted.match == "prefix" else ""
    if first < begins:
        first, past = begins, False
    # One bound below, not two: SQLite goes through the index from the first that it meets.
    below, end = ("AND user_id < ?", (begins + _LAST_CHARACTER,)) if begins else ("", ())
    sql = (
        f"SELECT user_id, user_key, {condition.sql} FROM user_status"
        f" WHERE app_id = ? AND user_id {'>' if past else '>='} ? {below} ORDER BY user_id"
    )
    driver: Any = connection.connection.driver_connection
    found = driver.execute(sql, (*condition.values, app_id, first, *end))
    return (((app_id, user_id), key, fits) for user_id, key, fits in found)


_Position = Annotated[int, msgspec.Meta(ge=0, le=tables.LARGEST)]
_Number = Annotated[int, msgspec.Meta(ge=-tables.LARGEST, le=tables.LARGEST)]
_Id = tuple[_Number, str]
_TokenPlace = tuple[_Number, _Number | None, _Number]
"""When the first page was made; the token's end and the user's key."""


def _by_token(connection: sa.Connection, wanted: Search, time: LeaseTime) -> Iterator[Step]:
    """Users by the end of the token, from the cursor on: what has ended is what had when the first page was made."""
    begin_us, token_us, user_key = _read_cursor(wanted.cursor, _TokenPlace) or (time.machine_us, time.machine_us, 0)
    condition = _may_fit_anywhere(connection, wanted, time)
    if wanted.q and wanted.match == "prefix":
        condition &= Condition("user_id >= ? AND user_id < ?", (wanted.q, wanted.q + _LAST_CHARACTER))
    driver: Any = connection.connection.driver_connection

    def walk(where: str, order: str, *bounds: int) -> Iterator[Step]:
        sql = f"SELECT token_expires_at_us, user_key, {condition.sql} FROM user_status WHERE {where} ORDER BY {order}"
        found = driver.execute(sql, (*condition.values, *bounds))
        return (((begin_us, ends_us, key), key, fits) for ends_us, key, fits in found)

    if token_us is not None:
        place = "(token_expires_at_us, user_key)"
        if token_us >= begin_us:
            yield from walk(f"{place} > (?, ?)", "token_expires_at_us, user_key", token_us, user_key)
            token_us, user_key = begin_us, 0
        yield from walk(f"{place} < (?, ?)", "token_expires_at_us DESC, user_key DESC", token_us, user_key)
        user_key = 0
    yield from walk("token_expires_at_us IS NULL AND user_key > ?", "user_key", user_key)


def _read_cursor(text: str | None, place: Any) -> Any:  # noqa: ANN401 - a type, and one of it; None where it is none
    try:
        return msgspec.json.decode(text, type=place) if text else None
    except msgspec.MsgspecError:
        return None


def _by_ids(connection: sa.Connection, wanted: Search) -> list[Any]:
    """The rows of the users with these ids, in every app; in the order in which they were given."""
    ids = list(dict.fromkeys([*wanted.ids, *([wanted.q] if wanted.q and wanted.match == "exact" else [])]))[:IDS_MOST]
    apps = _apps(connection, wanted)
    marks = ", ".join("?" * len(ids))
    sql = f"SELECT {groups.COLUMNS} FROM user_status WHERE app_id = ? AND user_id IN ({marks})"
    found = [groups.Row(*row) for app_id in apps for row in connection.exec_driver_sql(sql, (app_id, *ids))]
    place = {user_id: number for number, user_id in enumerate(ids)}
    return sorted(found, key=lambda row: (place[row.user_id], row.app_id))


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
