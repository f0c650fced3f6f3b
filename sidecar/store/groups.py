"""Users in groups, by all that a list of users can be filtered by, and how many are in each.

One index on (group, position of the last change, id) then serves every filter and every combination of filters, also
with a part of the id: a page is the merge of the groups that fit. The counts are kept with every commit, so that
nothing is ever counted by a scan.
"""

from __future__ import annotations

import heapq
from collections import Counter, namedtuple
from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from sidecar.domain import connection as sdk
from sidecar.domain.status import Status
from sidecar.store import tables
from sidecar.store.records import UserFilter

# ZIMPlatformType by its names. What a sender calls otherwise is in the group of the others, so that no sender can make
# as many groups as it likes.
PLATFORMS: Final = frozenset(
    ("Win", "IPhoneOS", "Android", "MacOS", "Linux", "Web", "MiniProgram", "IPadOS", "OHOS", "Unknown")
)
REASONS: Final = frozenset(sdk.EVENTS)
OTHER: Final = ""

Group = tuple[int, Status, str, str, bool]
"""``app_id``, ``status``, ``platform``, ``reason``, ``unconfirmed``."""


class Groups:
    """All groups, held by the writer. A move is counted at once and written by :meth:`write`.

    ``users`` is how many there are of each app and status, as it was written last.
    """

    def __init__(self, connection: sa.Connection) -> None:
        sql = "SELECT group_key, app_id, status, platform, reason, unconfirmed, users FROM user_groups"
        self._keys: dict[Group, int] = {}
        self._standing: dict[int, tuple[int, Status]] = {}
        self.users: Counter[tuple[int, Status]] = Counter()
        for key, app_id, status, platform, reason, unconfirmed, users in connection.exec_driver_sql(sql):
            self._keys[app_id, status, platform, reason, bool(unconfirmed)] = key
            self._standing[key] = (app_id, status)
            self.users[app_id, status] += users
        self._next = max(self._keys.values(), default=0) + 1
        self._new: list[tuple[int, Group]] = []
        self._moved: Counter[int] = Counter()

    def key(self, app_id: int, status: Status, platform: str | None, reason: str | None, unconfirmed: bool) -> int:  # noqa: FBT001 - as a group has it
        """The key of the group that a user with these belongs to, which is made where there was none."""
        found = self._keys.get((app_id, status, platform or OTHER, reason or OTHER, unconfirmed))
        if found is not None:
            return found
        group = (
            app_id,
            status,
            platform if platform in PLATFORMS else OTHER,
            reason if reason in REASONS else OTHER,
            unconfirmed,
        )
        found = self._keys.get(group)
        if found is None:
            found = self._keys[group] = self._next
            self._standing[found] = group[:2]
            self._next += 1
            self._new.append((found, group))
        return found

    def move(self, before: int | None, after: int) -> None:
        """A user leaves one group (None: it is new) for another."""
        if before is not None:
            self._moved[before] -= 1
        self._moved[after] += 1

    def write(self, connection: sa.Connection) -> None:
        """Writes the new groups and the counts that changed."""
        if self._new:
            columns = "group_key, app_id, status, platform, reason, unconfirmed, users"
            sql = f"INSERT INTO user_groups ({columns}) VALUES (?, ?, ?, ?, ?, ?, 0)"
            connection.exec_driver_sql(sql, [(key, *group) for key, group in self._new])
            self._new = []
        if moved := [(users, key) for key, users in self._moved.items() if users]:
            connection.exec_driver_sql("UPDATE user_groups SET users = users + ? WHERE group_key = ?", moved)
            for users, key in moved:
                self.users[self._standing[key]] += users
        self._moved.clear()


class Condition(msgspec.Struct, frozen=True):
    """An expression of SQL over a row of ``user_status``, with its values."""

    sql: str = "1"
    values: tuple[Any, ...] = ()

    def __and__(self, other: Condition) -> Condition:
        return Condition(f"({self.sql}) AND ({other.sql})", (*self.values, *other.values))


Step = tuple[int, int, int]
"""The position of a user's last change, the user's key, and 1 where a condition holds for it."""

EVERY: Final = Condition()
_NAMES: Final = tuple(column.name for column in tables.user_status.columns)
COLUMNS: Final = ", ".join(_NAMES)
_CHUNK: Final = 400


def _row_type() -> Any:  # noqa: ANN401 - its fields are the table's columns
    return namedtuple("Row", _NAMES)  # noqa: PYI024


Row = _row_type()
"""A row of ``user_status``."""


def walk(
    connection: sa.Connection,
    wanted: UserFilter,
    *,
    below: int = tables.LARGEST,
    above: int = 0,
    oldest_first: bool = False,
    condition: Condition = EVERY,
) -> Iterator[Step]:
    """The users of the groups that fit, by their last change, one by one, and whether ``condition`` holds for each.

    Each group is read in its own order, and only as far as it is asked for. Without a condition, or with one on the
    id alone, that is the index alone: a row is hundreds of bytes on a page of its own, and costs as much as ten steps.
    """
    keys, also = _fitting(connection, wanted)
    if also is not EVERY:
        condition = condition & also
    sql = (
        f"SELECT changed_position, user_key, {condition.sql} FROM user_status"
        " WHERE group_key = ? AND changed_position > ? AND changed_position < ?"
        f" ORDER BY changed_position {'ASC' if oldest_first else 'DESC'}"
    )
    driver: Any = connection.connection.driver_connection
    found = (driver.execute(sql, (*condition.values, key, above, below)) for key in keys)
    return heapq.merge(*found, reverse=not oldest_first)


def steps_of(
    connection: sa.Connection, wanted: UserFilter, user_keys: Collection[int], condition: Condition
) -> list[Step]:
    """As :func:`walk`, of these users only and the newest change first; the condition tells of the group too."""
    condition &= in_groups(connection, wanted)
    found: list[Step] = []
    driver: Any = connection.connection.driver_connection
    for some in _chunks(user_keys):
        sql = f"SELECT changed_position, user_key, {condition.sql} FROM user_status WHERE user_key IN ({_marks(some)})"
        found += driver.execute(sql, (*condition.values, *some))
    return sorted(found, reverse=True)


def rows_of(connection: sa.Connection, user_keys: Sequence[int]) -> list[Any]:
    """The whole rows of these users, in this order."""
    found: dict[int, Any] = {}
    driver: Any = connection.connection.driver_connection
    for some in _chunks(user_keys):
        sql = f"SELECT {COLUMNS} FROM user_status WHERE user_key IN ({_marks(some)})"
        found |= {row.user_key: row for row in map(Row._make, driver.execute(sql, some))}
    return [found[key] for key in user_keys]


def _chunks(values: Collection[int]) -> Iterator[tuple[int, ...]]:
    left = iter(values)
    while some := tuple(islice(left, _CHUNK)):
        yield some


def _marks(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values))


def in_groups(connection: sa.Connection, wanted: UserFilter) -> Condition:
    """That a user is in a group that fits."""
    keys, also = _fitting(connection, wanted)
    return Condition(f"group_key IN ({', '.join(map(str, keys))})") & also


def _fitting(connection: sa.Connection, wanted: UserFilter) -> tuple[list[int], Condition]:
    """The keys of the groups that fit, and what is to be asked of their users beside."""
    fits: dict[str, Any] = {"status": wanted.status, "app_id": wanted.app_id, "unconfirmed": wanted.unconfirmed}
    also = EVERY
    for name, value, known in (("platform", wanted.platform, PLATFORMS), ("reason", wanted.reason, REASONS)):
        if value is not None:
            fits[name] = value if value in known else OTHER
            if value not in known:
                also &= Condition(f"{name} = ?", (value,))
    asked = {name: value for name, value in fits.items() if value is not None}
    sql = "SELECT group_key FROM user_groups WHERE users > 0" + "".join(f" AND {name} = ?" for name in asked)
    keys = [row[0] for row in connection.exec_driver_sql(sql, tuple(asked.values()))]
    return keys, also
