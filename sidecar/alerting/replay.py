"""Runs the rules over past events, on a throw-away database and without sending, and says what would have been sent.

The rules, the ledger and the plan of messages are the ones that run for real; the time is that of the events.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import sqlalchemy as sa

from sidecar.alerting.engine import Engine, Gathered, Policy
from sidecar.domain.lease import Leases
from sidecar.domain.lease_time import plain
from sidecar.store import engine as opened
from sidecar.store import event_log, notifications
from sidecar.store.alert_records import Message
from sidecar.store.event_log import Batch
from sidecar.store.projections import Projections
from sidecar.store.records import StoredEvent

_SECOND_US: Final = 1_000_000
# The rules are told the time this often while events come, and where something is due.
_TICK_US: Final = _SECOND_US
_SWEPT: Final = 1_000


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One message: when, to whom, and its line."""

    at_us: int
    receiver: str
    what: str
    kind: str
    summary: str


def told(message: Message, at_us: int) -> Told:
    """A message in one line."""
    alert = message.body["alert"]
    return Told(at_us=at_us, receiver=message.receiver, what=message.what, kind=alert["kind"], summary=alert["summary"])


def replay(events: Iterator[list[StoredEvent]], policy: Policy, leases: Leases, until_us: int) -> list[Told]:
    """What would have been sent, in order. ``events`` come in slices, in the order of the log; then time goes on."""
    with tempfile.TemporaryDirectory(prefix="zimwatch-replay-") as folder:
        path = Path(folder) / "replay.db"
        database = opened.connect(path, writes=True)
        try:
            opened.migrate(database, path)
            with database.connect() as connection:
                connection.connection.execute("PRAGMA synchronous = OFF")
            run = _Run(database, Engine(policy), leases)
            for stored in events:
                run.take(stored)
            run.until(until_us)
            return run.messages
        finally:
            database.dispose()


class _Run:
    def __init__(self, database: sa.Engine, engine: Engine, leases: Leases) -> None:
        self._database = database
        self._engine = engine
        self._leases = leases
        self._projections: Projections | None = None
        self._now_us: int | None = None
        self.messages: list[Told] = []

    def take(self, stored: list[StoredEvent]) -> None:
        """Events that were received within the same second are one commit."""
        slices: dict[int, list[StoredEvent]] = {}
        for one in stored:
            slices.setdefault(one.event.received_at_us // _TICK_US, []).append(one)
        for second, own in sorted(slices.items()):
            self.until(second * _TICK_US)
            batch = Batch([one.event for one in own])
            with self._database.begin() as connection:
                if self._projections is None:
                    self._projections = Projections(connection, self._leases)
                time = plain(own[-1].event.received_at_us)
                event_log.append(connection, [batch], self._projections, time=time, reactions=[self._engine])

    def until(self, until_us: int) -> None:
        """Lets time go by, from one moment at which something is due to the next."""
        while self._now_us is not None and (due_us := self._next_due_us()) is not None and due_us <= until_us:
            self._now_us = min(until_us, max(due_us, self._now_us + _TICK_US))
            self._tick(self._now_us)
            if self._now_us == until_us:
                break
        self._now_us = until_us

    def _tick(self, now_us: int) -> None:
        with self._database.begin() as connection:
            if self._projections is not None:
                while len(self._projections.sweep(connection, plain(now_us), _SWEPT)) == _SWEPT:
                    pass
            while self._engine.tick(connection, now_us, Gathered()):
                pass
            for receiver in self._engine.policy.receivers:
                for message in self._engine.plan(connection, receiver, now_us):
                    notifications.sent(connection, message.id, {}, now_us)
                    self.messages.append(told(message, now_us))

    def _next_due_us(self) -> int | None:
        with self._database.begin() as connection:
            owed = [notifications.next_due_us(connection, name) for name in self._engine.policy.receivers]
        return min((us for us in (*owed, self._engine.next_due_us) if us is not None), default=None)
