"""Walks users by their last change, merging their groups. Every filtered list of users is read from it.

One index on (group, position of the last change, id) serves every filter and every combination of filters, also with a
part of the id.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final, cast

import msgspec
import sqlalchemy as sa

from sidecar.domain.app_ids import AppIds
from sidecar.domain.status import Status
from sidecar.store import database, mapping, schema
from sidecar.store.conditions import EVERY, Condition, in_apps
from sidecar.store.users.merge import merged
from sidecar.store.users.user_counts import GROUP_PLATFORMS, GROUP_REASONS, OTHER, SHARED


class GroupFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which groups of users; None is "any"."""

    status: Status | None = None
    apps: AppIds = None
    platform: str | None = None
    reason: str | None = None
    unconfirmed: bool | None = None


Step = tuple[int, int, int]
"""The position of a user's last change, the user's key, and 1 if a condition holds."""

_NAMES: Final = tuple(column.name for column in schema.user_status.columns)
COLUMNS: Final = ", ".join(_NAMES)


def _row_type() -> Any:  # noqa: ANN401 - its fields are the table's columns
    return namedtuple("Row", _NAMES)  # noqa: PYI024


Row = _row_type()
"""A row of ``user_status``."""


def walk(
    connection: sa.Connection,
    groups: GroupFilter,
    *,
    below: int = schema.LARGEST,
    above: int = 0,
    oldest_first: bool = False,
    condition: Condition = EVERY,
) -> Iterator[Step]:
    """The users of these groups by their last change, and whether ``condition`` holds for each.

    One statement finds where each group begins; each is then read in its own order, only when due and as far as it is
    consumed. Without a condition, or with one on the id alone, only the index is read: a row is hundreds of bytes on a
    page of its own and costs as much as ten steps.
    """
    matching, also, in_shared = _matching(groups)
    if also is not EVERY:
        condition = condition & also
    end, order, sign = ("MIN", "ASC", 1) if oldest_first else ("MAX", "DESC", -1)
    between = "changed_position > ? AND changed_position < ?"
    first = f"SELECT {end}(changed_position) FROM user_status u WHERE u.group_key = user_groups.group_key AND {between}"
    driver: Any = connection.connection.driver_connection
    found = driver.execute(
        f"SELECT ({first}), group_key, platform = '{SHARED}' FROM user_groups WHERE {matching.sql}",
        (above, below, *matching.values),
    )

    def opened(group: tuple[int, bool]) -> Iterator[Step]:
        key, is_shared = group
        own = condition & in_shared if is_shared and in_shared is not EVERY else condition
        sql = (
            f"SELECT changed_position, user_key, {own.sql} FROM user_status"
            f" WHERE group_key = ? AND {between} ORDER BY changed_position {order}"
        )
        steps = database.of(connection).walk(connection, sql, (*own.values, key, above, below))
        return cast("Iterator[Step]", steps)

    return merged(
        [(sign * head, (key, bool(is_shared))) for head, key, is_shared in found if head is not None],
        opened,
        lambda step: sign * step[0],
    )


def count(connection: sa.Connection, groups: GroupFilter) -> tuple[int, bool]:
    """How many users are in these groups; and whether there may be more, in groups that share a platform or reason."""
    matching, also, in_shared = _matching(groups)
    shared, other = f"platform = '{SHARED}'", in_shared is not EVERY
    sql = f"SELECT {shared}, SUM(users) FROM user_groups WHERE {matching.sql} GROUP BY 1"
    found = {bool(row[0]): int(row[1]) for row in connection.exec_driver_sql(sql, matching.values)}
    if also is not EVERY:
        return 0, bool(found)
    return found.get(False, 0) + (0 if other else found.get(True, 0)), other and True in found


def steps_of(
    connection: sa.Connection, groups: GroupFilter, user_keys: Collection[int], condition: Condition
) -> list[Step]:
    """As :func:`walk`, of these users, the newest change first; 1 if the user is also in one of the groups."""
    condition &= in_groups(groups)
    found: list[Step] = []
    driver: Any = connection.connection.driver_connection
    for some in mapping.chunks(user_keys):
        sql = f"SELECT changed_position, user_key, {condition.sql} FROM user_status WHERE user_key IN ({_marks(some)})"
        found += driver.execute(sql, (*condition.values, *some))
    return sorted(found, reverse=True)


def rows_of(connection: sa.Connection, user_keys: Sequence[int]) -> list[Any]:
    """The rows of these users, in this order."""
    found: dict[int, Any] = {}
    driver: Any = connection.connection.driver_connection
    for some in mapping.chunks(user_keys):
        sql = f"SELECT {COLUMNS} FROM user_status WHERE user_key IN ({_marks(some)})"
        found |= {row.user_key: row for row in map(Row._make, driver.execute(sql, some))}
    return [found[key] for key in user_keys]


def in_groups(groups: GroupFilter) -> Condition:
    """That a user is in one of these groups."""
    matching, _, in_shared = _matching(groups)
    return (
        Condition(f"group_key IN (SELECT group_key FROM user_groups WHERE {matching.sql})", matching.values) & in_shared
    )


def _marks(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values))


def _matching(groups: GroupFilter) -> tuple[Condition, Condition, Condition]:
    """A condition on groups, and two on users: for values that share a group with others, and for shared groups."""
    matching = Condition("users > 0")
    for name, equal in (("status", groups.status), ("unconfirmed", groups.unconfirmed)):
        if equal is not None:
            matching &= Condition(f"{name} = ?", (equal,))
    if groups.apps is not None:
        matching &= in_apps(groups.apps)
    also = in_shared = EVERY
    for name, value, known in (
        ("platform", groups.platform, GROUP_PLATFORMS),
        ("reason", groups.reason, GROUP_REASONS),
    ):
        if value is not None:
            matching &= Condition(f"{name} IN (?, '{SHARED}')", (value if value in known else OTHER,))
            in_shared &= Condition(f"{name} = ?", (value,))
            if value not in known:
                also &= Condition(f"{name} = ?", (value,))
    return matching, also, in_shared
