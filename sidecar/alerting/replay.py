"""Runs the rules over past events on a throw-away database, and lists what would have been sent. Sends nothing.

The rules, the alert log and the plan of messages are the real ones; the time is that of the events.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from sidecar.alerting.alert_reaction import AlertReaction, Gathered, Policy
from sidecar.alerting.tables import message_rows, notifications
from sidecar.alerting.tables.alert_values import Message
from sidecar.domain.lease import Leases, LeaseTime
from sidecar.domain.units import SECOND_US
from sidecar.store import engines
from sidecar.store.database import Database
from sidecar.store.log import event_log
from sidecar.store.log.event_log import Batch
from sidecar.store.log.followers import Followers
from sidecar.store.users.projections import Projections
from sidecar.store.values import StoredEvent

# How often the rules get the time while events come, and where something is due.
_TICK_US: Final = SECOND_US
_SWEPT: Final = 1_000


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """One message: when, to which receiver, and its line."""

    at_us: int
    receiver: str
    what: str
    kind: str
    summary: str


def replayed(message: Message, at_us: int) -> Replayed:
    """A message in one line."""
    alert = message.body["alert"]
    return Replayed(
        at_us=at_us, receiver=message.receiver, what=message.what, kind=alert["kind"], summary=alert["summary"]
    )


def replay(events: Iterator[list[StoredEvent]], policy: Policy, leases: Leases, until_us: int) -> list[Replayed]:
    """What would have been sent until ``until_us``, in order. ``events`` come in slices, in the order of the log."""
    with (
        tempfile.TemporaryDirectory(prefix="zimwatch-replay-") as folder,
        engines.throw_away(Path(folder)) as database,
    ):
        run = _Run(database, AlertReaction(policy), leases)
        for stored in events:
            run.take(stored)
        run.until(until_us)
        return run.messages


class _Run:
    def __init__(self, database: Database, reaction: AlertReaction, leases: Leases) -> None:
        self._database = database
        self._reaction = reaction
        self._followers = Followers(reaction)
        with database.begin() as connection:
            self._followers.begin(connection)
        self._leases = leases
        self._projections: Projections | None = None
        self._now_us: int | None = None
        self.messages: list[Replayed] = []

    def take(self, stored: list[StoredEvent]) -> None:
        """Events received within the same second are one commit."""
        slices: dict[int, list[StoredEvent]] = {}
        for one in stored:
            slices.setdefault(one.event.received_at_us // _TICK_US, []).append(one)
        for second, own in sorted(slices.items()):
            self.until(second * _TICK_US)
            batch = Batch([one.event for one in own])
            with self._database.begin() as connection:
                if self._projections is None:
                    self._projections = Projections(connection, self._leases)
                time = LeaseTime.without_skips(own[-1].event.received_at_us)
                event_log.append(connection, [batch], self._projections, time=time, followers=self._followers)
            self._tick(own[-1].event.received_at_us)

    def until(self, until_us: int) -> None:
        """Advances the time, from one moment at which something is due to the next."""
        while self._now_us is not None and (due_us := self._next_due_us()) is not None and due_us <= until_us:
            self._now_us = min(until_us, max(due_us, self._now_us + _TICK_US))
            self._tick(self._now_us)
            if self._now_us == until_us:
                break
        self._now_us = until_us

    def _tick(self, now_us: int) -> None:
        with self._database.begin() as connection:
            if self._projections is not None:
                while len(self._projections.sweep(connection, LeaseTime.without_skips(now_us), _SWEPT)) == _SWEPT:
                    pass
            while self._reaction.tick(connection, now_us, Gathered()).result:
                pass
            for receiver in self._reaction.policy.receivers:
                for message in self._reaction.plan(connection, receiver, now_us).result:
                    message_rows.mark_sent(connection, message.id, {}, now_us)
                    self.messages.append(replayed(message, now_us))

    def _next_due_us(self) -> int | None:
        with self._database.begin() as connection:
            due = [notifications.next_due_us(connection, name) for name in self._reaction.policy.receivers]
            due.append(self._reaction.next_due_us(connection, self._now_us or 0))
        return min((us for us in due if us is not None), default=None)
