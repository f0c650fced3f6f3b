"""Reads the events of one client: by position, or back from its newest one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from sidecar.domain.events import Event
from sidecar.store import mapping
from sidecar.store.mapping import Client
from sidecar.store.users.client_block import Order

# A client with more events since its last block has some from before there were blocks: they count as deleted.
TAIL_MOST: Final = 1_000
# What the login state follows from.
_EVENT: Final = "position, id, type, moment_us, seq, session_id, connection_state, connection_event, details"
_NO_DETAILS: Final[dict[str, Any]] = {}


class ClientEvents:
    """The events of a client, of which ``applied`` belong to this transaction and are not written yet.

    ``head`` is its last position in the table before the transaction.
    """

    def __init__(
        self, connection: sa.Connection, client: Client, head: int | None, applied: Sequence[tuple[int, Event]]
    ) -> None:
        self._connection = connection
        self._client = client
        self._head = head
        self._closed = client.closed_position
        self._applied = applied
        self._stored_tail: list[tuple[int, Event]] | None = None

    def at(self, positions: Sequence[int]) -> list[tuple[int, Event]]:
        """The events at these positions, which must not have been deleted."""
        driver: Any = self._connection.connection.driver_connection
        found = dict(self._applied)
        for some in mapping.chunks([position for position in positions if position not in found]):
            sql = f"SELECT {_EVENT} FROM events WHERE position IN ({', '.join('?' * len(some))})"
            for row in driver.execute(sql, some):
                found[row[0]] = self._event(row)
        return [(position, found[position]) for position in positions]

    def between(self, begin: Order, end: Order) -> list[tuple[int, Event]] | None:
        """The events after ``begin`` and up to ``end`` that arrived since a block was closed; None if one was deleted.

        In their order.
        """
        if self._stored_tail is None:
            found = self._since_block(_EVENT, self._head, TAIL_MOST)
            if found is None:
                return None
            self._stored_tail = [(row[1], self._event(row[1:])) for row in found]
        events = [one for one in (*self._stored_tail, *self._applied) if begin < one[1].order <= end]
        return sorted(events, key=lambda one: one[1].order)

    def arrived(self) -> list[tuple[Order, int]]:
        """Order and position of what arrived since a block was closed before this transaction, once all is written."""
        most = TAIL_MOST + len(self._applied)
        found = self._since_block("position, seq, id", self._client.last_position, most)
        return sorted(((row[2], row[3]), row[1]) for row in found or ())

    def _event(self, row: Sequence[Any]) -> Event:
        _, event_id, event_type, moment_us, seq, session_id, state, connection_event, details = row
        return Event(
            id=event_id,
            type=event_type,
            occurred_at_us=moment_us,
            received_at_us=moment_us,
            moment_us=moment_us,
            client_id=self._client.client_id,
            seq=seq,
            app_id=0,
            session_id=session_id,
            connection_state=state,
            connection_event=connection_event,
            details=msgspec.json.decode(details) if details else _NO_DETAILS,
        )

    def _since_block(self, columns: str, head: int | None, most: int) -> list[Sequence[Any]] | None:
        """Back from ``head`` to the last event of a block; None if an event was deleted, or with more than ``most``."""
        closed = self._closed or 0
        if head is None or head <= closed:
            return []
        names = ", ".join(f"events.{name.strip()}" for name in columns.split(","))
        sql = (
            "WITH RECURSIVE chain (position, length) AS (SELECT ?, 1"
            " UNION ALL SELECT previous_client_position, length + 1"
            " FROM chain JOIN events USING (position) WHERE previous_client_position > ? AND length < ?)"
            f" SELECT events.previous_client_position, {names} FROM chain JOIN events USING (position)"
            " ORDER BY position DESC"
        )
        driver: Any = self._connection.connection.driver_connection
        found: list[Sequence[Any]] = driver.execute(sql, (head, closed, most + 1)).fetchall()
        if not found or len(found) > most:
            return None
        before = found[-1][0]
        reached = before is None or (self._closed is not None and before <= closed)
        return found if reached else None
