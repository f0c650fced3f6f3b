"""Sends the messages to one receiver, at least once, with the same id on every attempt.

A message is marked as sent only after the receiver accepted it: a process that dies in between sends it again.
"""

from __future__ import annotations

import asyncio
import contextlib
from random import Random
from typing import Any, Final

import msgspec
import sqlalchemy as sa
import structlog
from opentelemetry import metrics

from sidecar import durations
from sidecar.alerting.alert_reaction import AlertReaction
from sidecar.alerting.receivers import Receiver
from sidecar.alerting.tables import message_rows, notifications
from sidecar.alerting.tables.alert_values import Message
from sidecar.alerting.unit_of_work import changes_of
from sidecar.clock import Clock
from sidecar.domain.alerts.message_plan import LONGEST_PAUSE_US
from sidecar.domain.retry import Backoff
from sidecar.domain.texts import Sentence, Text, duration
from sidecar.domain.units import DAY_US, MINUTE_US, SECOND_US
from sidecar.errors import ZimwatchError
from sidecar.http_client import DeliveryError
from sidecar.store import Store
from sidecar.store.values import Commit, Publishing
from sidecar.system.chance import CHANCE

POLL_S: Final = 0.5
# While nothing is due: a commit that changes it wakes the dispatcher.
IDLE_S: Final = 5.0
AT_ONCE: Final = 8
RECOVERY_S: Final = 1.0
# A message is tried for so long after a start, although its time to be given up went by while Zimwatch was down.
TRIED_LEAST_US: Final = 15 * MINUTE_US
# A receiver may request a longer pause, but not one that amounts to losing the message.
BACKOFF: Final = Backoff(
    first_us=SECOND_US, longest_us=LONGEST_PAUSE_US, longest_requested_us=DAY_US, request_replaces=True
)

_log = structlog.stdlib.get_logger(__name__)
_meter = metrics.get_meter("zimwatch")
_attempts = _meter.create_counter(
    "zimwatch.alert.messages", description="Attempts to send a message of alerts, by receiver and result"
)
_LONGER_PAUSE_REQUESTED: Final = Sentence(
    "delivery.asks_for_longer", "%(error)s; it requests a pause of %(asked)s, the next attempt comes after %(given)s"
)


class _Outcome(msgspec.Struct, frozen=True):
    """The result of one attempt: the proof, or the error."""

    message: Message
    proof: dict[str, Any] | None = None
    error: DeliveryError | None = None


class Dispatcher:
    """The dispatcher of one receiver.

    ``failing``: since when every attempt fails, and why; None while it works. Where it is not running, another node's
    dispatcher may be.
    """

    def __init__(
        self,
        name: str,
        receiver: Receiver,
        store: Store,
        reaction: AlertReaction,
        clock: Clock,
        *,
        give_up_after_us: int,
        chance: Random = CHANCE,
    ) -> None:
        self.name = name
        for result in ("sent", "failed", "dead"):
            _attempts.add(0, {"receiver": name, "result": result})  # a counter that begins at 1 shows no increase
        self._duration = durations.DELIVERIES.labels(name)
        self._receiver = receiver
        self._store = store
        self._reaction = reaction
        self._clock = clock
        self._give_up_after_us = give_up_after_us
        self._begun_us = 0
        self._chance = chance
        self._awake = asyncio.Event()
        self._stopping = False
        self._pause_s = POLL_S
        self.failing: tuple[int, Text] | None = None
        self.is_running = False

    async def run(self) -> None:
        """Sends messages as they come due, until :meth:`stop`. Errors of receiver and database do not end it."""
        unsubscribe = self._store.subscribe(self._wake)
        self._begun_us = self._lease_us()
        self.is_running = True
        try:
            self.failing = (await self._store.read(message_rows.failing_receivers)).get(self.name)
            while not self._stopping:
                self._awake.clear()
                try:
                    has_sent = await self._send_due()
                except Exception as error:  # noqa: BLE001 - the top: the messages stay pending
                    unexpected = None if isinstance(error, ZimwatchError) else error
                    _log.warning("messages wait", receiver=self.name, problem=str(error), exc_info=unexpected)
                    await self._wait(RECOVERY_S)
                    continue
                if not has_sent:
                    await self._wait(self._pause_s)
        finally:
            self.is_running = False
            unsubscribe()

    def stop(self) -> None:
        """Ends :meth:`run` after the messages that it is sending."""
        self._stopping = True
        self._awake.set()

    def _wake(self, commit: Commit) -> None:
        if commit.alerts or commit.alert_log:
            self._awake.set()

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._awake.wait(), seconds)

    async def _send_due(self) -> bool:
        """Plans and sends once; returns whether there was anything to send."""
        await self._store.notice_clock()
        now_us = self._clock()
        due_us = await self._store.read(notifications.next_due_us, self.name)
        if due_us is None or due_us > now_us:
            left_s = IDLE_S if due_us is None else (due_us - now_us) / SECOND_US
            self._pause_s = min(IDLE_S, max(POLL_S, left_s))
            return False
        self._pause_s = POLL_S
        await self._store.write(lambda connection: self._reaction.plan(connection, self.name, self._clock()))
        due = await self._store.read(message_rows.due, self.name, now_us, AT_ONCE)
        if not due:
            return False
        outcomes = await asyncio.gather(*(self._attempt(message) for message in due))
        await self._store.write(self._record, outcomes)
        self._report(outcomes)
        return True

    async def _attempt(self, message: Message) -> _Outcome:
        loop = asyncio.get_running_loop()
        try:
            earlier = await self._store.read(message_rows.earlier_proof, message)
            begun_s = loop.time()
            try:
                return _Outcome(message, proof=await self._receiver.send(message, earlier, self._clock()))
            finally:
                self._duration.observe(loop.time() - begun_s)
        except DeliveryError as error:
            return _Outcome(message, error=error)
        except Exception as error:  # noqa: BLE001 - a receiver may raise anything: the message waits
            _log.exception("a receiver raised an unexpected error", receiver=self.name)
            return _Outcome(message, error=DeliveryError(f"{type(error).__name__}: {error}", permanent=False))

    def _record(self, connection: sa.Connection, outcomes: list[_Outcome]) -> Publishing[None]:
        now_us = self._clock()
        for outcome in outcomes:
            message, error = outcome.message, outcome.error
            if error is None:
                message_rows.mark_sent(connection, message.id, outcome.proof or {}, now_us)
                continue
            retry_us: int | None = None
            if not error.permanent and not self._is_given_up(connection, message, now_us):
                chance = self._chance.random()
                retry_us = now_us + BACKOFF.pause_us(message.attempts + 1, chance, error.retry_after_us)
            message_rows.mark_failed(connection, message.id, _text(error), now_us, retry_us)
        return Publishing(None, changes_of(outcome.message for outcome in outcomes))

    def _is_given_up(self, connection: sa.Connection, message: Message, now_us: int) -> bool:
        # Read again, as it has moved if the clock was set meanwhile.
        created_us = message_rows.created_us(connection, message.id)
        tried_us = self._lease_us() - self._begun_us
        return now_us - created_us >= self._give_up_after_us and tried_us >= min(self._give_up_after_us, TRIED_LEAST_US)

    def _lease_us(self) -> int:
        return self._store.now().time.now_us

    def _report(self, outcomes: list[_Outcome]) -> None:
        for outcome in outcomes:
            result = "sent" if outcome.error is None else "dead" if outcome.error.permanent else "failed"
            _attempts.add(1, {"receiver": self.name, "result": result})
            if outcome.error is None:
                if self.failing:
                    _log.info("a receiver accepts alerts again", receiver=self.name)
                self.failing = None
            elif self.failing is None:
                _log.warning("a receiver does not accept alerts", receiver=self.name, problem=str(outcome.error))
                self.failing = (self._clock(), outcome.error.text)


def _text(error: DeliveryError) -> Text:
    requested_us = error.retry_after_us
    if requested_us is None or requested_us <= BACKOFF.longest_requested_us:
        return error.text
    return _LONGER_PAUSE_REQUESTED(
        error=error.text, asked=duration(requested_us), given=duration(BACKOFF.longest_requested_us)
    )
