"""How many users each group has: the users of one app, status, platform, reason and confirmation.

Updated with every commit, so that no count needs a scan.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

import sqlalchemy as sa

from sidecar.domain import sdk_words as sdk
from sidecar.domain.platforms import PLATFORMS
from sidecar.domain.status import Status
from sidecar.store import database

# Other platforms and reasons share one group, so that no sender can create as many groups as it likes.
GROUP_PLATFORMS: Final = frozenset(PLATFORMS)
GROUP_REASONS: Final = frozenset(sdk.EVENTS)
OTHER: Final = ""

Group = tuple[int, Status, str, str, bool]
"""``app_id``, ``status``, ``platform``, ``reason``, ``unconfirmed``."""


class UserCounts:
    """All groups and their counts, kept in memory by the writer. :meth:`write` writes what :meth:`move` changed.

    ``by_status`` counts the users of each app and status, ``total`` those of each status, as written last.
    """

    def __init__(self, connection: sa.Connection) -> None:
        sql = "SELECT group_key, app_id, status, platform, reason, unconfirmed, users FROM user_groups"
        self._keys: dict[Group, int] = {}
        self._status_of: dict[int, tuple[int, Status]] = {}
        self.by_status: Counter[tuple[int, Status]] = Counter()
        self.total: Counter[Status] = Counter()
        for key, app_id, status, platform, reason, unconfirmed, users in connection.exec_driver_sql(sql):
            self._keys[app_id, status, platform, reason, bool(unconfirmed)] = key
            self._status_of[key] = (app_id, status)
            self._add(key, users)
        self._next_key = max(self._keys.values(), default=0) + 1
        self._new: list[tuple[int, Group]] = []
        self._moved: Counter[int] = Counter()

    def group_key(
        self,
        app_id: int,
        status: Status,
        platform: str | None,
        reason: str | None,
        unconfirmed: bool,  # noqa: FBT001 - in the order of a group
    ) -> int:
        """The key of the group that a user with these belongs to; a new group gets one."""
        key = self._keys.get((app_id, status, platform or OTHER, reason or OTHER, unconfirmed))
        if key is not None:
            return key
        group = (
            app_id,
            status,
            platform if platform in GROUP_PLATFORMS else OTHER,
            reason if reason in GROUP_REASONS else OTHER,
            unconfirmed,
        )
        key = self._keys.get(group)
        if key is None:
            key = self._keys[group] = self._next_key
            self._status_of[key] = group[:2]
            self._next_key += 1
            self._new.append((key, group))
        return key

    def move(self, before: int | None, after: int) -> None:
        """Moves a user from one group, or None for a new user, to another."""
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
            database.of(connection).count(connection, groups=moved)
            for users, key in moved:
                self._add(key, users)
        self._moved.clear()

    def _add(self, key: int, users: int) -> None:
        app_status = self._status_of[key]
        self.by_status[app_status] += users
        self.total[app_status[1]] += users
