"""Users in groups, by all that a list of users can be filtered by, and how many are in each.

One index on (group, position of the last change) then serves every filter and every combination of filters: a page is
the merge of the groups that fit. The counts are kept with every commit, so that nothing is ever counted by a scan.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
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
    connection: sa.Connection, wanted: UserFilter, *, below: int, limit: int, above: int = 0
) -> Sequence[sa.Row[Any]]:
    """Rows of ``user_status`` that fit, newest change first, between two positions of changes."""
    user, group = tables.user_status.c, tables.user_groups.c
    member = tables.user_status.alias()
    fits = [group.users > 0]
    also = [member.c.group_key == group.group_key, member.c.changed_position.between(above + 1, below - 1)]
    if wanted.status is not None:
        fits.append(group.status == wanted.status)
    if wanted.app_id is not None:
        fits.append(group.app_id == wanted.app_id)
    for name, value, known in (("platform", wanted.platform, PLATFORMS), ("reason", wanted.reason, REASONS)):
        if value is not None:
            fits.append(group[name] == (value if value in known else OTHER))
            if value not in known:
                also.append(member.c[name] == value)
    if wanted.q:
        also.append(member.c.user_id.contains(wanted.q, autoescape=True))
    if wanted.unconfirmed is not None:
        fits.append(group.unconfirmed == wanted.unconfirmed)
    # The newest of each group that fits; the newest of all of them are among those.
    members = sa.select(member.c.user_key).where(*also).order_by(member.c.changed_position.desc()).limit(limit)
    members = members.correlate(tables.user_groups)
    query = sa.select(tables.user_status).select_from(tables.user_groups)
    query = query.join(tables.user_status, user.user_key.in_(members)).where(*fits)
    return connection.execute(query.order_by(user.changed_position.desc()).limit(limit)).all()
