"""Spans that are owed to the collector: the part of the log that lies in the runs of ``span_outbox``.

An event's row holds all that its span says, so that what is owed takes no room of its own, is committed with its event
by nature, and is acknowledged by moving the beginning of a run. Runs begin when Zimwatch starts with an exporter, and
are closed when it starts without one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa

from sidecar.domain.events import CONNECTION_STATE_CHANGED
from sidecar.store import tables
from sidecar.store.records import Backlog, Loss, PendingSpan

_COLUMNS: Final = ", ".join(PendingSpan.__struct_fields__)
LOSSES_KEPT: Final = 1_000


def begin(connection: sa.Connection, *, export_spans: bool) -> None:
    """What comes from now on is owed, or it is not."""
    is_open = connection.exec_driver_sql("SELECT 1 FROM span_outbox WHERE last_position IS NULL").first() is not None
    head = int(connection.exec_driver_sql("SELECT COALESCE(MAX(position), 0) FROM events").scalar_one())
    if export_spans and not is_open:
        connection.exec_driver_sql("INSERT INTO span_outbox VALUES (?, NULL, 0)", (head + 1,))
    elif is_open and not export_spans:
        connection.exec_driver_sql("UPDATE span_outbox SET last_position = ? WHERE last_position IS NULL", (head,))
        connection.exec_driver_sql("DELETE FROM span_outbox WHERE last_position IS NOT NULL AND spans = 0")


def owe(connection: sa.Connection, spans: int) -> None:
    """``spans`` more are in the open run."""
    if spans:
        connection.exec_driver_sql("UPDATE span_outbox SET spans = spans + ? WHERE last_position IS NULL", (spans,))


def claim(connection: sa.Connection, after: int, limit: int) -> list[PendingSpan]:
    """The oldest spans that are owed, behind the position ``after``; all of one run, so there may be more."""
    runs = connection.exec_driver_sql(
        "SELECT first_position, last_position FROM span_outbox WHERE COALESCE(last_position > ?, 1)"
        " ORDER BY first_position",
        (after,),
    ).all()
    sql = (
        f"SELECT {_COLUMNS} FROM events WHERE position BETWEEN ? AND ? AND type = '{CONNECTION_STATE_CHANGED}'"
        " ORDER BY position LIMIT ?"
    )
    for first, last in runs:
        begin_at, end = max(first, after + 1), tables.LARGEST if last is None else last
        # The driver's own rows: SQLAlchemy's would cost as much again as reading them.
        driver: Any = connection.connection.driver_connection
        if found := driver.execute(sql, (begin_at, end, limit)).fetchall():
            return [PendingSpan(*row) for row in found]
    return []


def delivered(connection: sa.Connection, through: int, spans: int) -> None:
    """The ``spans`` spans at and before the position ``through`` that were owed are owed no more.

    They lie in one run. Idempotent where the run has begun behind ``through`` already.
    """
    run = connection.exec_driver_sql(
        "SELECT first_position, last_position, spans FROM span_outbox"
        " WHERE first_position <= ? AND COALESCE(last_position >= ?, 1)",
        (through, through),
    ).first()
    if run is None:
        return
    first, last, owed = run
    if last is not None and owed <= spans:
        connection.exec_driver_sql("DELETE FROM span_outbox WHERE first_position = ?", (first,))
        return
    sql = "UPDATE span_outbox SET first_position = ?, spans = ? WHERE first_position = ?"
    connection.exec_driver_sql(sql, (through + 1, max(0, owed - spans), first))


def give_up(connection: sa.Connection, through: int, now_us: int, problem: str) -> int:
    """Spans at and before ``through`` that are owed are lost; how many that were."""
    lost = 0
    sql = f"SELECT COUNT(*) FROM events WHERE position BETWEEN ? AND ? AND type = '{CONNECTION_STATE_CHANGED}'"
    runs = connection.exec_driver_sql(
        "SELECT first_position, last_position FROM span_outbox WHERE first_position <= ? AND spans > 0", (through,)
    ).all()
    for first, last in runs:
        end = through if last is None else min(through, last)
        spans = int(connection.exec_driver_sql(sql, (first, end)).scalar_one())
        delivered(connection, end, spans)
        lost += spans
    if lost:
        lose(connection, [Loss(now_us, "expired", lost, None, None, problem)])
    return lost


def lose(connection: sa.Connection, losses: Sequence[Loss]) -> None:
    """Keeps what was lost for inspection, and counts it."""
    sql = "INSERT INTO span_losses (lost_at_us, kind, spans, position, event_id, problem) VALUES (?, ?, ?, ?, ?, ?)"
    rows = [(one.lost_at_us, one.kind, one.spans, one.position, one.event_id, one.problem) for one in losses]
    if not rows:
        return
    connection.exec_driver_sql(sql, rows)
    prune = "DELETE FROM span_losses WHERE loss <= (SELECT MAX(loss) FROM span_losses) - ?"
    connection.exec_driver_sql(prune, (LOSSES_KEPT,))


def losses(connection: sa.Connection, limit: int) -> list[Loss]:
    """What was lost, newest first."""
    columns = ", ".join(Loss.__struct_fields__)
    found = connection.exec_driver_sql(f"SELECT {columns} FROM span_losses ORDER BY loss DESC LIMIT ?", (limit,))
    return [Loss(*row) for row in found]


def backlog(connection: sa.Connection) -> Backlog:
    """How much is owed, and since when."""
    spans = int(connection.exec_driver_sql("SELECT COALESCE(SUM(spans), 0) FROM span_outbox").scalar_one())
    if not spans:
        return Backlog(0, None)
    oldest: Any = (
        "SELECT received_at_us FROM events"
        " WHERE position >= (SELECT MIN(first_position) FROM span_outbox WHERE spans > 0)"
        f" AND type = '{CONNECTION_STATE_CHANGED}' ORDER BY position LIMIT 1"
    )
    return Backlog(spans, connection.exec_driver_sql(oldest).scalar())
