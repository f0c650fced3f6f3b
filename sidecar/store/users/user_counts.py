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
# So many groups are of one platform and reason; each of them costs a page of the user list one look-up. All further
# users of an app with one status share a group, whatever their platform and reason.
GROUPS_MOST: Final = 3_000
SHARED: Final = "*"

Group = tuple[int, Status, str, str, bool]
"""``app_id``, ``status``, ``platform``, ``reason``, ``unconfirmed``."""


class UserCounts:
    """All groups and their counts, kept in memory by the writer. :meth:`write` writes what :meth:`move` changed.

    Groups without users make room for new ones.

    ``by_status`` counts the users of each app and status, ``total`` those of each status, as written last.
    """

    def __init__(self, connection: sa.Connection) -> None:
        sql = "SELECT group_key, app_id, status, platform, reason, unconfirmed, users FROM user_groups"
        self._keys: dict[Group, int] = {}
        self._groups: dict[int, Group] = {}
        self._users: Counter[int] = Counter()
        self._empty: set[int] = set()
        self._shared = 0
        self.by_status: Counter[tuple[int, Status]] = Counter()
        self.total: Counter[Status] = Counter()
        for key, app_id, status, platform, reason, unconfirmed, users in connection.exec_driver_sql(sql):
            self._know(key, (app_id, status, platform, reason, bool(unconfirmed)))
            self._add(key, users)
        self._next_key = max(self._keys.values(), default=0) + 1
        self._new: dict[int, Group] = {}
        self._dropped: list[int] = []
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
        if key is None and not self._has_room():
            group = (app_id, status, SHARED, SHARED, unconfirmed)
            key = self._keys.get(group)
        if key is None:
            key = self._next_key
            self._next_key += 1
            self._know(key, group)
            self._new[key] = group
        return key

    def move(self, before: int | None, after: int) -> None:
        """Moves a user from one group, or None for a new user, to another."""
        if before is not None:
            self._moved[before] -= 1
        self._moved[after] += 1

    def write(self, connection: sa.Connection) -> None:
        """Writes the new groups and the counts that changed."""
        if self._dropped:
            sql = "DELETE FROM user_groups WHERE group_key = ?"
            connection.exec_driver_sql(sql, [(key,) for key in self._dropped])
            self._dropped = []
        if self._new:
            columns = "group_key, app_id, status, platform, reason, unconfirmed, users"
            sql = f"INSERT INTO user_groups ({columns}) VALUES (?, ?, ?, ?, ?, ?, 0)"
            connection.exec_driver_sql(sql, [(key, *group) for key, group in self._new.items()])
            self._new = {}
        if moved := [(users, key) for key, users in self._moved.items() if users]:
            database.of(connection).count(connection, groups=moved)
            for users, key in moved:
                self._add(key, users)
        self._moved.clear()

    def _know(self, key: int, group: Group) -> None:
        self._keys[group], self._groups[key] = key, group
        self._empty.add(key)
        self._shared += group[2] == SHARED

    def _has_room(self) -> bool:
        """Whether one more group may be created; then the empty ones are dropped, if room is needed."""
        if len(self._keys) - self._shared < GROUPS_MOST:
            return True
        for key in [key for key in self._empty if key not in self._moved and key not in self._new]:
            group = self._groups.pop(key)
            del self._keys[group]
            self._empty.discard(key)
            self._shared -= group[2] == SHARED
            self._dropped.append(key)
        return len(self._keys) - self._shared < GROUPS_MOST

    def _add(self, key: int, users: int) -> None:
        app_id, status = self._groups[key][:2]
        self.by_status[app_id, status] += users
        self.total[status] += users
        self._users[key] += users
        if self._users[key]:
            self._empty.discard(key)
        else:
            self._empty.add(key)
            del self._users[key]
