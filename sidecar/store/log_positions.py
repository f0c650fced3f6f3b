"""Positions in the event log: the newest, the oldest, and the last one received by a moment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
import sqlalchemy as sa

# The newest event may be erased, and its position is not used again.
NEWEST: Final = (
    "SELECT COALESCE(MAX(position), 0) FROM (SELECT MAX(position) AS position FROM events"
    " UNION ALL SELECT MAX(through_position) FROM erasures) AS newest"
)


def newest_position(connection: sa.Connection) -> int:
    """The position of the newest event, also of an erased one; 0 where there was none."""
    return int(connection.exec_driver_sql(NEWEST).scalar_one())


def oldest_position(connection: sa.Connection) -> int:
    """The position of the oldest event; 1 where there is none."""
    return int(connection.exec_driver_sql("SELECT COALESCE(MIN(position), 1) FROM events").scalar_one())


class Oldest(msgspec.Struct, frozen=True):
    """From where on events are in the log: of every app, and of apps of which more is deleted."""

    log: int
    apps: Mapping[int, int]

    def of(self, app_id: int) -> int:
        """The position before which no event of the app is in the log."""
        return max(self.log, self.apps.get(app_id, 0))


def oldest_of_apps(connection: sa.Connection) -> Oldest:
    """As of now."""
    return Oldest(oldest_position(connection), first_of_apps(connection))


def first_of_apps(connection: sa.Connection) -> dict[int, int]:
    """Of apps with a retention of their own: the position before which their events are deleted."""
    found = connection.exec_driver_sql("SELECT app_id, first_position FROM pruned_apps")
    return {row[0]: row[1] for row in found}


def position_as_of(connection: sa.Connection, as_of_us: int) -> int:
    """The position of the last event received at or before the moment; 0 where there is none.

    A binary search over the key: events are committed in the order of their receipt, and times have no index.
    """
    low, high = 0, newest_position(connection)
    received = "SELECT position, received_at_us FROM events WHERE position <= ? ORDER BY position DESC LIMIT 1"
    while low < high:
        middle = (low + high + 1) // 2
        found = connection.exec_driver_sql(received, (middle,)).first()
        if found is None or found[1] <= as_of_us:
            low = middle
        else:
            high = found[0] - 1
    return low
