"""The span outbox: the spans that are pending, as runs of positions in the log.

A span is read from its event's row: it takes no space of its own, is committed with its event, and is acknowledged by
moving the beginning of a run. A run begins when Zimwatch starts with an exporter, and is closed when it starts without
one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa

from sidecar.domain.events import CONNECTION_STATE_CHANGED
from sidecar.store.log_positions import newest_position
from sidecar.store.values import (
    Applied,
    Backlog,
    Loss,
    PendingSpan,
)

_COLUMNS: Final = ", ".join(PendingSpan.__struct_fields__)
LOSSES_KEPT: Final = 1_000


def begin(connection: sa.Connection, *, export_spans: bool) -> None:
    """Sets whether spans of events from now on are pending."""
    is_open = connection.exec_driver_sql("SELECT 1 FROM span_outbox WHERE is_open").first() is not None
    if export_spans and not is_open:
        newest = newest_position(connection)
        sql = "INSERT INTO span_outbox (first_position, last_position, is_open, spans) VALUES (?, ?, TRUE, 0)"
        connection.exec_driver_sql(sql, (newest + 1, newest))
    elif is_open and not export_spans:
        connection.exec_driver_sql("UPDATE span_outbox SET is_open = FALSE WHERE is_open")
        connection.exec_driver_sql("DELETE FROM span_outbox WHERE NOT is_open AND spans = 0")
        # The next run will begin at the newest position.
        connection.exec_driver_sql("DELETE FROM followers WHERE name = ?", (SpanFollower.name,))


class SpanFollower:
    """A :class:`sidecar.store.log.followers.Follower`: adds connection state changes to the open run."""

    name = "spans"

    def follow(self, connection: sa.Connection, applied: Sequence[Applied], _now_us: int, /) -> None:
        """Extends the open run to the last of the events."""
        positions = [one.position for one in applied if one.event.type == CONNECTION_STATE_CHANGED]
        if positions:
            # An empty run begins at its first span, so that the events before it are not searched for the oldest.
            sql = (
                "UPDATE span_outbox SET first_position = CASE WHEN spans = 0 THEN ? ELSE first_position END,"
                " spans = spans + ?, last_position = ? WHERE is_open"
            )
            connection.exec_driver_sql(sql, (positions[0], len(positions), positions[-1]))


def claim(connection: sa.Connection, after: int, limit: int) -> list[PendingSpan]:
    """The oldest pending spans after a position, up to ``limit``; all of one run, so more may follow."""
    runs = connection.exec_driver_sql(
        "SELECT first_position, last_position FROM span_outbox WHERE last_position > ? ORDER BY first_position",
        (after,),
    ).all()
    sql = (
        f"SELECT {_COLUMNS} FROM events WHERE position BETWEEN ? AND ? AND type = '{CONNECTION_STATE_CHANGED}'"
        " ORDER BY position LIMIT ?"
    )
    for first, last in runs:
        # The driver's own rows: SQLAlchemy's would cost as much again as reading them.
        driver: Any = connection.connection.driver_connection
        if found := driver.execute(sql, (max(first, after + 1), last, limit)).fetchall():
            return [PendingSpan(*row) for row in found]
    return []


def acknowledge(connection: sa.Connection, through: int, spans: int, losses: Sequence[Loss] = ()) -> None:
    """Removes the ``spans`` pending spans up to the position ``through``, of one run; ``losses`` of them were lost.

    Idempotent, apart from the losses.
    """
    _remove(connection, through, spans)
    record_losses(connection, losses)


def _remove(connection: sa.Connection, through: int, spans: int) -> None:
    run = connection.exec_driver_sql(
        "SELECT first_position, last_position, is_open, spans FROM span_outbox"
        " WHERE first_position <= ? AND last_position >= ?",
        (through, through),
    ).first()
    if run is None:
        return
    first, last, is_open, pending = run
    # As above: the run continues with its next span, which is searched once. It may be one that was not counted, where
    # a claimed one was erased meanwhile.
    following = (
        f"SELECT MIN(position) FROM events WHERE position > ? AND position <= ? AND type = '{CONNECTION_STATE_CHANGED}'"
    )
    begins = connection.exec_driver_sql(following, (through, last)).scalar() if through < last else None
    left = 0 if begins is None else max(1, pending - spans)
    if not left and not is_open:
        connection.exec_driver_sql("DELETE FROM span_outbox WHERE first_position = ?", (first,))
        return
    sql = "UPDATE span_outbox SET first_position = ?, spans = ? WHERE first_position = ?"
    connection.exec_driver_sql(sql, (through + 1 if begins is None else begins, left, first))


def give_up(connection: sa.Connection, through: int, now_us: int, problem: str) -> int:
    """Removes the pending spans up to the position ``through`` and records them as lost; how many."""
    lost = 0
    sql = f"SELECT COUNT(*) FROM events WHERE position BETWEEN ? AND ? AND type = '{CONNECTION_STATE_CHANGED}'"
    runs = connection.exec_driver_sql(
        "SELECT first_position, last_position FROM span_outbox WHERE first_position <= ? AND spans > 0", (through,)
    ).all()
    for first, last in runs:
        end = min(through, last)
        spans = int(connection.exec_driver_sql(sql, (first, end)).scalar_one())
        _remove(connection, end, spans)
        lost += spans
    if lost:
        record_losses(connection, [Loss(now_us, "expired", lost, None, None, problem)])
    return lost


def give_up_some(connection: sa.Connection, positions: Sequence[int], now_us: int, problem: str) -> None:
    """Removes pending spans of events that are about to be deleted, and records them as lost."""
    if lost := remove_some(connection, positions):
        record_losses(connection, [Loss(now_us, "expired", lost, None, None, problem)])


def remove_some(connection: sa.Connection, positions: Sequence[int]) -> int:
    """Takes the spans of events that are about to be deleted out of the runs of pending ones; how many were pending."""
    runs = connection.exec_driver_sql(
        "SELECT first_position, last_position, is_open, spans FROM span_outbox WHERE spans > 0"
    ).all()
    removed = 0
    for first, last, is_open, spans in runs:
        left = spans - sum(first <= position <= last for position in positions)
        if left == spans:
            continue
        removed += spans - max(0, left)
        if left > 0:
            connection.exec_driver_sql("UPDATE span_outbox SET spans = ? WHERE first_position = ?", (left, first))
        elif is_open:
            sql = "UPDATE span_outbox SET spans = 0, first_position = ? WHERE first_position = ?"
            connection.exec_driver_sql(sql, (last + 1, first))
        else:
            connection.exec_driver_sql("DELETE FROM span_outbox WHERE first_position = ?", (first,))
    return removed


def record_losses(connection: sa.Connection, losses: Sequence[Loss]) -> None:
    """Keeps the newest :data:`LOSSES_KEPT` losses for inspection."""
    sql = "INSERT INTO span_losses (lost_at_us, kind, spans, position, event_id, problem) VALUES (?, ?, ?, ?, ?, ?)"
    rows = [(one.lost_at_us, one.kind, one.spans, one.position, one.event_id, one.problem) for one in losses]
    if not rows:
        return
    connection.exec_driver_sql(sql, rows)
    prune = "DELETE FROM span_losses WHERE loss <= (SELECT MAX(loss) FROM span_losses) - ?"
    connection.exec_driver_sql(prune, (LOSSES_KEPT,))


def newest_losses(connection: sa.Connection, limit: int) -> list[Loss]:
    """The newest ``limit`` losses, newest first."""
    columns = ", ".join(Loss.__struct_fields__)
    found = connection.exec_driver_sql(f"SELECT {columns} FROM span_losses ORDER BY loss DESC LIMIT ?", (limit,))
    return [Loss(*row) for row in found]


def count_pending(connection: sa.Connection) -> int:
    """How many spans are pending."""
    return int(connection.exec_driver_sql("SELECT COALESCE(SUM(spans), 0) FROM span_outbox").scalar_one())


def backlog(connection: sa.Connection) -> Backlog:
    """How many spans are pending, and when the oldest was received."""
    spans = count_pending(connection)
    if not spans:
        return Backlog(0, None)
    oldest: Any = (
        "SELECT received_at_us FROM events"
        " WHERE position >= (SELECT MIN(first_position) FROM span_outbox WHERE spans > 0)"
        f" AND type = '{CONNECTION_STATE_CHANGED}' ORDER BY position LIMIT 1"
    )
    return Backlog(spans, connection.exec_driver_sql(oldest).scalar())
