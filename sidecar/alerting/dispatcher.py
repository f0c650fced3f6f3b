"""Sends what is owed to one receiver: claims, sends, records; at least once, with the same id on every attempt.

A message is marked as sent only after the receiver took it, so that a process that dies in between sends it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import Any, Final

import msgspec
import sqlalchemy as sa
import structlog
from opentelemetry import metrics

from sidecar.alerting.engine import Engine
from sidecar.alerting.outgoing import DeliveryError
from sidecar.alerting.receivers import Receiver
from sidecar.clock import Clock
from sidecar.domain.alerting.retry import next_attempt_us
from sidecar.errors import ZimwatchError
from sidecar.store import Store, notifications
from sidecar.store.alert_records import Message
from sidecar.store.records import Commit

POLL_S: Final = 0.5
AT_ONCE: Final = 8
RECOVERY_S: Final = 1.0

_log = structlog.stdlib.get_logger(__name__)
_meter = metrics.get_meter("zimwatch")
_attempts = _meter.create_counter(
    "zimwatch.alert.messages", description="Attempts to send a message of alerts, by receiver and what became of them"
)


class _Outcome(msgspec.Struct, frozen=True):
    """Of one attempt: the proof, or the error."""

    message: Message
    proof: dict[str, Any] | None = None
    error: DeliveryError | None = None


class Dispatcher:
    """One receiver's queue; run by :meth:`run` until :meth:`stop`."""

    def __init__(
        self,
        name: str,
        receiver: Receiver,
        store: Store,
        engine: Engine,
        clock: Clock,
        *,
        give_up_after_us: int,
        chance: random.Random | None = None,
    ) -> None:
        self.name = name
        self._receiver = receiver
        self._store = store
        self._engine = engine
        self._clock = clock
        self._give_up_after_us = give_up_after_us
        self._chance = chance or random.Random()  # noqa: S311 - jitter
        self._awake = asyncio.Event()
        self._stopping = False
        # Since when nothing was taken, and why; None while it works.
        self.failing: tuple[int, str] | None = None

    async def run(self) -> None:
        """Sends what is due, and waits for more. Neither a receiver nor a database that fails ends it."""
        unsubscribe = self._store.subscribe(self._heard)
        try:
            self.failing = (await self._store.read(notifications.failing)).get(self.name)
            while not self._stopping:
                self._awake.clear()
                try:
                    worked = await self._once()
                except Exception as error:  # noqa: BLE001 - the top: what is owed stays owed
                    unforeseen = None if isinstance(error, ZimwatchError) else error
                    _log.warning("alerts wait", receiver=self.name, problem=str(error), exc_info=unforeseen)
                    await self._wait(RECOVERY_S)
                    continue
                if not worked:
                    await self._wait(POLL_S)
        finally:
            unsubscribe()

    def stop(self) -> None:
        """Lets :meth:`run` end after what it is sending."""
        self._stopping = True
        self._awake.set()

    def _heard(self, commit: Commit) -> None:
        if commit.alerts:
            self._awake.set()

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._awake.wait(), seconds)

    async def _once(self) -> bool:
        """Whether anything was sent, or tried."""
        now_us = self._clock()
        due_us = await self._store.read(notifications.next_due_us, self.name)
        if due_us is None or due_us > now_us:
            return False
        await self._store.write(lambda connection: self._engine.plan(connection, self.name, now_us))
        due = await self._store.read(notifications.due, self.name, now_us, AT_ONCE)
        if not due:
            return False
        outcomes = await asyncio.gather(*(self._attempt(message) for message in due))
        await self._store.write(lambda connection: self._record(connection, outcomes))
        self._tell(outcomes)
        return True

    async def _attempt(self, message: Message) -> _Outcome:
        try:
            earlier = await self._store.read(notifications.earlier, message)
            return _Outcome(message, proof=await self._receiver.send(message, earlier, self._clock()))
        except DeliveryError as error:
            return _Outcome(message, error=error)
        except Exception as error:  # noqa: BLE001 - a receiver may raise anything: then the message waits
            _log.exception("a receiver failed in an unforeseen way", receiver=self.name)
            return _Outcome(message, error=DeliveryError(f"{type(error).__name__}: {error}", permanent=False))

    def _record(self, connection: sa.Connection, outcomes: list[_Outcome]) -> None:
        now_us = self._clock()
        for outcome in outcomes:
            message, error = outcome.message, outcome.error
            if error is None:
                notifications.sent(connection, message.id, outcome.proof or {}, now_us)
                continue
            retry_us: int | None = None
            if not error.permanent and now_us - message.created_at_us < self._give_up_after_us:
                chance = self._chance.random()
                retry_us = next_attempt_us(now_us, message.attempts + 1, chance, error.retry_after_us)
            notifications.failed(connection, message.id, str(error), now_us, retry_us)
        self._engine.touch(outcome.message for outcome in outcomes)

    def _tell(self, outcomes: list[_Outcome]) -> None:
        for outcome in outcomes:
            result = "sent" if outcome.error is None else "dead" if outcome.error.permanent else "failed"
            _attempts.add(1, {"receiver": self.name, "result": result})
            if outcome.error is None:
                if self.failing:
                    _log.info("a receiver takes alerts again", receiver=self.name)
                self.failing = None
            elif self.failing is None:
                _log.warning("a receiver does not take alerts", receiver=self.name, problem=str(outcome.error))
                self.failing = (self._clock(), str(outcome.error))
