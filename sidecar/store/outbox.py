"""Spans that are owed to the collector: committed with their events, deleted when the collector has taken them."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from sidecar.store import rows, tables
from sidecar.store.records import Backlog, PendingSpan

_OWED = ("trace_id", "is_root", "previous_state", "previous_state_duration_us", "user_status", "attempts")


def claim(connection: sa.Connection, limit: int, now_us: int) -> list[PendingSpan]:
    """The oldest spans that are due. There is one relay, so a claim need not be recorded."""
    owed = ", ".join(f"span_outbox.{name}" for name in _OWED)
    sql = (
        f"SELECT {rows.columns(tables.events, of='events')}, {owed} FROM span_outbox JOIN events USING (position)"
        " WHERE due_at_us <= ? ORDER BY position LIMIT ?"
    )
    pending = []
    for row in connection.exec_driver_sql(sql, (now_us, limit)):
        stored = rows.stored_event(row)
        owes = dict(zip(_OWED, row[-len(_OWED) :], strict=True))
        owes["is_root"] = bool(owes["is_root"])
        pending.append(PendingSpan(position=stored.position, event=stored.event, **owes))
    return pending


def delivered(connection: sa.Connection, positions: Sequence[int]) -> None:
    """The collector has taken these."""
    connection.exec_driver_sql("DELETE FROM span_outbox WHERE position = ?", [(one,) for one in positions])


def failed(connection: sa.Connection, positions: Sequence[int], retry_at_us: int) -> None:
    """The collector has not taken these: they are due again at ``retry_at_us``."""
    sql = "UPDATE span_outbox SET attempts = attempts + 1, due_at_us = ? WHERE position = ?"
    connection.exec_driver_sql(sql, [(retry_at_us, one) for one in positions])


def backlog(connection: sa.Connection) -> Backlog:
    """How much is owed, and since when."""
    oldest = "SELECT received_at_us FROM events WHERE position = (SELECT MIN(position) FROM span_outbox)"
    count = connection.exec_driver_sql("SELECT COUNT(*) FROM span_outbox").scalar_one()
    return Backlog(count, connection.exec_driver_sql(oldest).scalar())
