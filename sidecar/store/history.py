"""Reads of what has happened, oldest first: events and messages since a moment."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa

from sidecar.store import rows, tables
from sidecar.store.alert_records import Message
from sidecar.store.alert_tables import alert_messages
from sidecar.store.notifications import message_of
from sidecar.store.records import StoredEvent

_SLICE = 2_000


def events_since(connection: sa.Connection, since_us: int) -> Iterator[list[StoredEvent]]:
    """The events received since then, in slices. Positions and times of receipt grow together."""
    position = _first_position(connection, since_us) - 1
    every = rows.columns(tables.events)
    sql = f"SELECT {every} FROM events WHERE position > ? AND received_at_us >= ? ORDER BY position LIMIT {_SLICE}"
    while True:
        stored = [rows.stored_event(row) for row in connection.exec_driver_sql(sql, (position, since_us))]
        if not stored:
            return
        yield stored
        position = stored[-1].position


def messages_since(connection: sa.Connection, since_us: int) -> list[Message]:
    """The messages that were sent since then."""
    sql = (
        f"SELECT {rows.columns(alert_messages)} FROM alert_messages"
        " WHERE state = 'sent' AND sent_at_us >= ? ORDER BY sent_at_us"
    )
    return [message_of(row) for row in connection.exec_driver_sql(sql, (since_us,))]


def _first_position(connection: sa.Connection, since_us: int) -> int:
    """The first event received since then, found by halving: there is no index on times."""
    low, high = (
        connection.exec_driver_sql(f"SELECT COALESCE({which}(position), 0) FROM events").scalar_one()
        for which in ("MIN", "MAX")
    )
    sql = "SELECT position, received_at_us FROM events WHERE position >= ? ORDER BY position LIMIT 1"
    while low < high:
        middle = (low + high) // 2
        row = connection.exec_driver_sql(sql, (middle,)).one()
        if row[1] >= since_us:
            high = middle
        else:
            low = row[0] + 1
    return int(low)
