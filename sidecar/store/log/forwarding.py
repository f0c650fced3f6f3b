"""What an edge has passed on to its centre, and what the centre knows of its edges.

An edge has one row in ``forwarding``: up to which position the centre has its events, and how many were deleted before
that. A centre has a row in ``edges`` for each edge that reported.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import sqlalchemy as sa

from sidecar.domain.edges import Edge
from sidecar.domain.events import SERVER_USER_ACTION
from sidecar.domain.units import DAY_US
from sidecar.store import mapping
from sidecar.store.log import rejected_events
from sidecar.store.log.forwarding_schema import edges as table
from sidecar.store.log_positions import newest_position
from sidecar.store.values import Rejected

EDGES_MOST: Final = 1_000
# An edge that was not heard for so long is forgotten.
EDGE_KEPT_US: Final = 7 * DAY_US
_COLUMNS: Final = mapping.columns(table)


class Forwarded(msgspec.Struct, frozen=True):
    """How far an edge is. ``waiting`` events are behind ``position``; the oldest was received at ``oldest_us``.

    ``removed``: how many the retention deleted before they were forwarded, ever.
    """

    position: int
    waiting: int
    oldest_us: int | None
    removed: int

    def behind_us(self, now_us: int) -> int:
        """For how long the oldest that waits has done so; 0 where nothing waits."""
        return 0 if self.oldest_us is None else max(0, now_us - self.oldest_us)


def begin(connection: sa.Connection) -> None:
    """Makes the row of an edge: the centre has nothing of the log yet. Idempotent."""
    sql = "INSERT INTO forwarding (forwarding, position, removed) VALUES (1, 0, 0) ON CONFLICT (forwarding) DO NOTHING"
    connection.exec_driver_sql(sql)


def state(connection: sa.Connection, after: int | None = None) -> Forwarded | None:
    """How far the edge is, or would be with everything up to ``after`` forwarded; None where it never was an edge."""
    row = connection.exec_driver_sql("SELECT position, removed FROM forwarding").first()
    if row is None:
        return None
    position = row[0] if after is None else max(after, row[0])
    sql = "SELECT position, received_at_us FROM events WHERE position > ? ORDER BY position LIMIT 1"
    oldest = connection.exec_driver_sql(sql, (position,)).first()
    if oldest is None:
        return Forwarded(position, 0, None, row[1])
    # Positions have gaps only where events were erased or belonged to an app that is kept for a shorter time.
    return Forwarded(position, newest_position(connection) - oldest[0] + 1, oldest[1], row[1])


def advance(connection: sa.Connection, position: int, rejected: Sequence[Rejected] = ()) -> None:
    """The centre has everything up to ``position``, but for what it ``rejected``, which is kept as such."""
    connection.exec_driver_sql("UPDATE forwarding SET position = ? WHERE position < ?", (position, position))
    rejected_events.keep(connection, rejected)


def note_removal(connection: sa.Connection, removed: Sequence[tuple[int, str]]) -> None:
    """Counts events, by position and type, that are about to be deleted and were not forwarded."""
    row = connection.exec_driver_sql("SELECT position FROM forwarding").first()
    if row is None:
        return
    if lost := sum(position > row[0] and kind != SERVER_USER_ACTION for position, kind in removed):
        connection.exec_driver_sql("UPDATE forwarding SET removed = removed + ?", (lost,))


def note_dropped(connection: sa.Connection, through: int) -> None:
    """The same of all events up to the position ``through``."""
    lost = (
        "SELECT COUNT(*) FROM events WHERE position > forwarding.position AND position <= ?"
        f" AND type <> '{SERVER_USER_ACTION}'"
    )
    connection.exec_driver_sql(
        f"UPDATE forwarding SET removed = removed + ({lost}) WHERE position < ?", (through, through)
    )


# The edges of a centre.


def report(connection: sa.Connection, edge: Edge) -> None:
    """Replaces what is known of the edge, and forgets those that were not heard for long, or are too many."""
    connection.exec_driver_sql(mapping.upsert(table), msgspec.structs.astuple(edge))
    connection.exec_driver_sql("DELETE FROM edges WHERE seen_at_us < ?", (edge.seen_at_us - EDGE_KEPT_US,))
    oldest = "SELECT name FROM edges ORDER BY seen_at_us DESC, name LIMIT ? OFFSET ?"
    connection.exec_driver_sql(f"DELETE FROM edges WHERE name IN ({oldest})", (EDGES_MOST, EDGES_MOST))


def forget(connection: sa.Connection, name: str) -> None:
    """An edge has stopped, with everything forwarded."""
    connection.exec_driver_sql("DELETE FROM edges WHERE name = ?", (name,))


def edges(connection: sa.Connection) -> list[Edge]:
    """All that are known, by name."""
    return [Edge(*row) for row in connection.exec_driver_sql(f"SELECT {_COLUMNS} FROM edges ORDER BY name")]
