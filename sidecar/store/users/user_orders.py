"""Users in each sort order of a query, from its cursor on.

A walk yields steps and reads no more than is consumed of it; its steps match the query roughly (``user_filter``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import islice
from typing import Annotated, Any, Final

import msgspec
import sqlalchemy as sa

from sidecar.domain.lease import LeaseTime
from sidecar.store import database, schema
from sidecar.store.conditions import Condition, in_apps
from sidecar.store.users import happenings, user_walk
from sidecar.store.users.merge import merged
from sidecar.store.users.user_filter import id_has, sql_filter, ungrouped_filter
from sidecar.store.users.user_query import UserQuery
from sidecar.store.users.users_by_id import APPS

# Of a search by a part of an id: how many users are walked before the index of ids is used, which finds too many of a
# short part and takes long to name them; and up to how many that it finds are checked one by one.
WALKED_FIRST: Final = 500
WALKED_FIRST_IF_SHORT: Final = 2_000
FOUND_MOST: Final = 4_000
_LAST_CHARACTER: Final = "\U0010ffff"

Step = tuple[Any, int, int]
"""The user's place in the order, from which a cursor continues; its key; and 0 if it is known not to match."""

_Position = Annotated[int, msgspec.Meta(ge=0, le=schema.LARGEST)]
_Number = Annotated[int, msgspec.Meta(ge=-schema.LARGEST, le=schema.LARGEST)]
_AppAndId = tuple[_Number, str]
_TokenPlace = tuple[_Number, _Number | None, _Number]
"""When the first page was read; the token's end and the user's key."""


def in_order(connection: sa.Connection, query: UserQuery, time: LeaseTime, differing: set[int]) -> Iterator[Step]:
    """Users in the query's order. ``differing``: see :func:`user_reads.differing`."""
    if query.happened is not None:
        return happenings.walk(connection, query.happened, query.apps, read_cursor(query.cursor, happenings.Place))
    if query.order == "token":
        return _by_token(connection, query, time)
    if query.order == "user_id":
        return _by_user_id(connection, query, time)
    if query.order == "id" or query.prefix:
        return by_app_and_id(connection, query, time)
    return _by_change(connection, query, time, differing)


def by_app_and_id(connection: sa.Connection, query: UserQuery, time: LeaseTime) -> Iterator[Step]:
    """Users by (app, id), which is the order of an index."""
    app, user_id = read_cursor(query.cursor, _AppAndId) or (-1, "")
    condition = ungrouped_filter(connection, query, time, by_app=True)
    for _, app_id in sorted(_apps_with(connection, query), key=lambda head: head[1]):
        if app_id > app:
            yield from _of_app(connection, query, condition, app_id)
        elif app_id == app:
            yield from _of_app(connection, query, condition, app_id, user_id, behind=True)


def cursor_at(place: object) -> str:
    """The cursor that continues after this place."""
    return msgspec.json.encode(place).decode()


def read_cursor(text: str | None, place: Any) -> Any:  # noqa: ANN401 - a type, and a value of it
    """The place of a cursor; None where there is none, or not one of this order."""
    try:
        return msgspec.json.decode(text, type=place) if text else None
    except msgspec.MsgspecError:
        return None


def is_cursor(text: str, *, of_happened: bool) -> bool:
    """Whether it is a cursor of users by their last change, or by when something happened to them."""
    return read_cursor(text, happenings.Place if of_happened else _Position) is not None


class _ByChange(msgspec.Struct, frozen=True):
    """Users whose last change is between two positions, both excluded."""

    above: int
    below: int
    oldest_first: bool

    def all(self, connection: sa.Connection, query: UserQuery, condition: Condition) -> Iterator[Step]:
        return user_walk.walk(
            connection,
            query.groups,
            below=self.below,
            above=self.above,
            oldest_first=self.oldest_first,
            condition=condition,
        )

    def only(
        self, connection: sa.Connection, query: UserQuery, condition: Condition, keys: Collection[int]
    ) -> Iterator[Step]:
        found = user_walk.steps_of(connection, query.groups, keys, condition)
        return iter([step for step in found[:: -1 if self.oldest_first else 1] if self.above < step[0] < self.below])

    def behind(self, position: int | None) -> _ByChange:
        """The rest, after the user at this position."""
        if position is None:
            return self
        return _ByChange(position, self.below, True) if self.oldest_first else _ByChange(self.above, position, False)


def _by_change(connection: sa.Connection, query: UserQuery, time: LeaseTime, differing: set[int]) -> Iterator[Step]:
    """Users by their last change."""
    oldest_first = query.order == "oldest"
    cursor = read_cursor(query.cursor, _Position)
    above = cursor if oldest_first and cursor is not None else 0
    below = cursor if not oldest_first and cursor is not None else schema.LARGEST
    order = _ByChange(above, below, oldest_first)
    condition = sql_filter(connection, query, time)
    if query.disagreement:
        return order.only(connection, query, condition, differing)
    if query.part:
        return _by_part(connection, query, condition, order)
    return order.all(connection, query, condition)


def _by_part(connection: sa.Connection, query: UserQuery, condition: Condition, order: _ByChange) -> Iterator[Step]:
    """Users by their last change whose id may contain ``query.part``.

    What few ids contain is found by the index of ids, what many contain by walking users.
    """
    part = query.part
    condition = id_has(connection, part) & condition
    every = order.all(connection, query, condition)
    last = None
    for step in islice(every, WALKED_FIRST_IF_SHORT if len(part) < database.SHORT_PART else WALKED_FIRST):
        last = step[0]
        yield step
    keys = database.of(connection).find(connection, part, FOUND_MOST + 1)
    if len(keys) > FOUND_MOST:
        yield from every
    else:
        yield from order.behind(last).only(connection, query, condition, keys)


def _by_user_id(connection: sa.Connection, query: UserQuery, time: LeaseTime) -> Iterator[Step]:
    """Users by (id, app): the apps merged, each read only as far as it is consumed."""
    app, user_id = read_cursor(query.cursor, _AppAndId) or (-1, "")
    condition = ungrouped_filter(connection, query, time, by_app=True)
    return merged(
        [((first, app_id), app_id) for first, app_id in _apps_with(connection, query, user_id)],
        lambda app_id: _of_app(connection, query, condition, app_id, user_id, behind=app_id <= app),
        lambda step: step[0][::-1],
    )


def _apps_with(connection: sa.Connection, query: UserQuery, first: str = "") -> list[tuple[str, int]]:
    """The apps with users whose id matches, from ``first`` on: the least such id of each, and the app."""
    prefix = query.prefix
    below, end = (" AND user_id < ?", (prefix + _LAST_CHARACTER,)) if prefix else ("", ())
    least = f"SELECT MIN(user_id) FROM user_status u WHERE u.app_id = apps.app_id AND user_id >= ?{below}"
    own = in_apps(query.apps)
    sql = f"SELECT ({least}), app_id FROM ({APPS} AND {own.sql}) AS apps"
    values = (max(first, prefix), *end, *own.values)
    return [(row[0], row[1]) for row in connection.exec_driver_sql(sql, values) if row[0] is not None]


def _of_app(
    connection: sa.Connection,
    query: UserQuery,
    condition: Condition,
    app_id: int,
    first: str = "",
    *,
    behind: bool = False,
) -> Iterator[Step]:
    """An app's users by id, from ``first`` on; with ``behind`` without that one."""
    prefix = query.prefix
    if first < prefix:
        first, behind = prefix, False
    # One lower bound, not two: SQLite starts at the first that it finds.
    below, end = ("AND user_id < ?", (prefix + _LAST_CHARACTER,)) if prefix else ("", ())
    sql = (
        f"SELECT user_id, user_key, {condition.sql} FROM user_status"
        f" WHERE app_id = ? AND user_id {'>' if behind else '>='} ? {below} ORDER BY user_id"
    )
    found = database.of(connection).walk(connection, sql, (*condition.values, app_id, first, *end))
    return (((app_id, user_id), key, matches) for user_id, key, matches in found)


def _by_token(connection: sa.Connection, query: UserQuery, time: LeaseTime) -> Iterator[Step]:
    """Users by the end of their token. A token has ended if it had when the first page was read."""
    begin_us, token_us, user_key = read_cursor(query.cursor, _TokenPlace) or (time.machine_us, time.machine_us, 0)
    condition = ungrouped_filter(connection, query, time)
    if query.prefix:
        condition &= Condition("user_id >= ? AND user_id < ?", (query.prefix, query.prefix + _LAST_CHARACTER))

    def walk(where: str, order: str, *bounds: int) -> Iterator[Step]:
        sql = f"SELECT token_expires_at_us, user_key, {condition.sql} FROM user_status WHERE {where} ORDER BY {order}"
        found = database.of(connection).walk(connection, sql, (*condition.values, *bounds))
        return (((begin_us, ends_us, key), key, matches) for ends_us, key, matches in found)

    if token_us is not None:
        place = "(token_expires_at_us, user_key)"
        if token_us >= begin_us:
            yield from walk(f"{place} > (?, ?)", "token_expires_at_us, user_key", token_us, user_key)
            token_us, user_key = begin_us, 0
        yield from walk(f"{place} < (?, ?)", "token_expires_at_us DESC, user_key DESC", token_us, user_key)
        user_key = 0
    yield from walk("token_expires_at_us IS NULL AND user_key > ?", "user_key", user_key)
