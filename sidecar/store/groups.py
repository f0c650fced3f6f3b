"""Users in groups, by all that a list of users can be filtered by, and how many are in each.

One index on (group, position of the last change) then serves every filter and every combination of filters: a page is
the merge of the groups that fit. The counts are kept with every commit, so that nothing is ever counted by a scan.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

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


def group_of(app_id: int, status: Status, platform: str | None, reason: str | None, *, unconfirmed: bool) -> Group:
    """The group that a user with these belongs to."""
    return (
        app_id,
        status,
        platform if platform in PLATFORMS else OTHER,
        reason if reason in REASONS else OTHER,
        unconfirmed,
    )


class Groups:
    """All groups, held by the writer. A move is counted at once and written by :meth:`write`."""

    def __init__(self, connection: sa.Connection) -> None:
        sql = "SELECT group_key, app_id, status, platform, reason, unconfirmed FROM user_groups"
        self._keys: dict[Group, int] = {
            (row[1], row[2], row[3], row[4], bool(row[5])): row[0] for row in connection.exec_driver_sql(sql)
        }
        self._next = max(self._keys.values(), default=0) + 1
        self._new: list[tuple[int, Group]] = []
        self._moved: Counter[int] = Counter()

    def key(self, group: Group) -> int:
        """The key of the group, which is made where there was none."""
        found = self._keys.get(group)
        if found is None:
            found = self._keys[group] = self._next
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
        self._moved.clear()


def newest(
    connection: sa.Connection, wanted: UserFilter, *, below: int, above: int = 0, oldest_first: bool = False
) -> Iterator[Sequence[Any]]:
    """Rows of ``user_status`` (see :data:`COLUMNS`) that fit but for ``wanted.q``, by their last change, one by one.

    Each group is read in its own order, and only as far as it is asked for.
    """
    keys, also, values = _fitting(connection, wanted)
    sql = (
        f"SELECT {COLUMNS} FROM user_status WHERE group_key = ? AND changed_position > ? AND changed_position < ?{also}"
        f" ORDER BY changed_position {'ASC' if oldest_first else 'DESC'}"
    )
    driver: Any = connection.connection.driver_connection
    found = (driver.execute(sql, (key, above, below, *values)) for key in keys)
    return heapq.merge(*found, key=_changed, reverse=not oldest_first)


_NAMES: Final = tuple(column.name for column in tables.user_status.columns)
COLUMNS: Final = ", ".join(_NAMES)
_PLACE: Final = _NAMES.index("changed_position")
_GROUP: Final = _NAMES.index("group_key")
_CHUNK: Final = 400


def _changed(row: Sequence[Any]) -> int:
    return int(row[_PLACE])


def of_users(
    connection: sa.Connection, wanted: UserFilter, user_keys: Sequence[int], *, below: int
) -> list[Sequence[Any]]:
    """As :func:`newest`, of these users only."""
    keys, also, values = _fitting(connection, wanted)
    groups, found = set(keys), []
    driver: Any = connection.connection.driver_connection
    for start in range(0, len(user_keys), _CHUNK):
        some = user_keys[start : start + _CHUNK]
        marks = ", ".join("?" * len(some))
        sql = f"SELECT {COLUMNS} FROM user_status WHERE user_key IN ({marks}) AND changed_position < ?{also}"
        found += [row for row in driver.execute(sql, (*some, below, *values)) if row[_GROUP] in groups]
    return sorted(found, key=_changed, reverse=True)


def _fitting(connection: sa.Connection, wanted: UserFilter) -> tuple[list[int], str, list[Any]]:
    """The keys of the groups that fit, and what is to be asked of their users beside."""
    group = tables.user_groups.c
    fits = [group.users > 0]
    also = ""
    values: list[Any] = []
    if wanted.status is not None:
        fits.append(group.status == wanted.status)
    if wanted.app_id is not None:
        fits.append(group.app_id == wanted.app_id)
    if wanted.unconfirmed is not None:
        fits.append(group.unconfirmed == wanted.unconfirmed)
    for name, value, known in (("platform", wanted.platform, PLATFORMS), ("reason", wanted.reason, REASONS)):
        if value is not None:
            fits.append(group[name] == (value if value in known else OTHER))
            if value not in known:
                also += f" AND {name} = ?"
                values.append(value)
    keys = [row[0] for row in connection.execute(sa.select(group.group_key).where(*fits))]
    return keys, also, values
