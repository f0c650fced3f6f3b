"""Passes the log of an edge on to its centre: each event once, in the order of the log, whoever is away meanwhile.

The position up to which the centre has everything is moved after its answer, in one transaction with what it rejected.
So nothing is skipped, and what is sent again after a crash are duplicates, by their ids. Heartbeats are not in the log:
see :mod:`sidecar.forwarding.heartbeat_fold`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from random import Random
from typing import Final

import msgspec
import sqlalchemy as sa
import structlog
from opentelemetry import metrics

from sidecar.clock import Clock
from sidecar.domain.edges import REPORT_EVERY_US
from sidecar.domain.events import SERVER_USER_ACTION
from sidecar.domain.retry import Backoff
from sidecar.domain.texts import Text
from sidecar.domain.units import MINUTE_US, MS_US, SECOND_US
from sidecar.errors import StoreUnavailableError
from sidecar.forwarding.centre import Centre, NotTakenError, Report, Taken, TooLargeError
from sidecar.forwarding.heartbeat_fold import HeartbeatFold, look_every_us
from sidecar.forwarding.wire_out import body_of
from sidecar.ingest import wire
from sidecar.store import Store
from sidecar.store.log import forwarding, log_reads
from sidecar.store.log.forwarding import Forwarded
from sidecar.store.values import Rejected, StoredEvent

# Of one request: below the 1 MiB that a centre takes by default.
BATCH_EVENTS: Final = 1_000
BATCH_BYTES: Final = 900_000
HEARTBEATS: Final = 1_000
# Events that arrive together are sent together.
LINGER_S: Final = 0.2
POLL_S: Final = 1.0
BACKOFF: Final = Backoff(first_us=500 * MS_US, longest_us=30 * SECOND_US, longest_requested_us=5 * MINUTE_US)
# Somebody has to do something first.
REFUSED_BACKOFF: Final = Backoff(first_us=SECOND_US, longest_us=5 * MINUTE_US, longest_requested_us=5 * MINUTE_US)

_log = structlog.stdlib.get_logger(__name__)
_RESULTS: Final = ("accepted", "duplicate", "rejected")
_forwarded = metrics.get_meter("zimwatch").create_counter(
    "zimwatch.forwarded.events", description="Events that an edge passed on, by what the centre did with them"
)


class Status(msgspec.Struct, frozen=True):
    """``problem``: why the centre takes nothing, None where it does. ``is_refused``: somebody has to do something."""

    problem: Text | None = None
    is_refused: bool = False


class _Batch(msgspec.Struct):
    """Events of the log behind the cursor: ``through`` is the last position, also of those that are not sent."""

    events: list[StoredEvent]
    bodies: list[bytes]
    through: int


class Forwarder:
    """Works in :meth:`run` until :meth:`stop`, and then says so to the centre, if it can be reached."""

    def __init__(
        self,
        store: Store,
        centre: Centre,
        fold: HeartbeatFold,
        *,
        clock: Clock,
        steady: Clock,
        chance: Random,
    ) -> None:
        self._store = store
        self._centre = centre
        self._fold = fold
        self._clock = clock
        self._steady = steady
        self._chance = chance
        self._failures = 0
        self._batch_events, self._batch_bytes = BATCH_EVENTS, BATCH_BYTES
        self._awake = asyncio.Event()
        self._stop = asyncio.Event()
        self._reported_us: int | None = None
        self._looked_us: int | None = None
        # The centre's interval between heartbeats.
        self._after_s = store.heartbeat_after_s
        self.status = Status()
        for result in _RESULTS:
            _forwarded.add(0, {"result": result})  # so that the first increment is visible as one

    async def run(self) -> None:
        """Sends what there is, as it arrives. No failure of the centre or the database ends it."""
        unlisten = self._store.subscribe(lambda _commit: self._awake.set())
        try:
            while True:
                self._awake.clear()
                try:
                    waiting = await self._step()
                except NotTakenError as error:
                    if self._stop.is_set():
                        return
                    await self._pause(self._failed(error))
                except StoreUnavailableError as error:
                    if self._stop.is_set():
                        return
                    await self._pause(error.retry_after_s)
                else:
                    if waiting >= self._batch_events:
                        continue
                    if self._stop.is_set():
                        if waiting:
                            continue
                        await self._say_goodbye()
                        return
                    await self._rest(is_done=not waiting)
        finally:
            unlisten()

    def stop(self) -> None:
        """Lets :meth:`run` return once everything was sent, or could not be."""
        self._stop.set()
        self._awake.set()

    async def _step(self) -> int:
        """Sends one batch of events, and the heartbeats that are due; how many events wait then."""
        batch = await self._store.read(_next_batch, self._batch_events, self._batch_bytes)
        if batch.bodies:
            await self._send(batch)
        elif batch.through:
            await self._store.write(forwarding.advance, batch.through)
        state = await self._state()
        await self._send_heartbeats(state)
        if self._is_due(self._reported_us, REPORT_EVERY_US) and not state.waiting:
            await self._taken([], self._report(state))
        return state.waiting

    async def _send(self, batch: _Batch) -> None:
        try:
            taken = await self._taken(batch.bodies, self._report(await self._state(batch.through)))
        except TooLargeError as error:
            await self._halve(batch, str(error))
            return
        self._batch_events = min(BATCH_EVENTS, self._batch_events * 2)
        self._batch_bytes = min(BATCH_BYTES, self._batch_bytes * 2)
        through = batch.through
        if taken.rejected_more and taken.rejected:
            # Those behind the last that is named are sent once more, so that each of them gets its reason.
            through = _of(batch, taken.rejected[-1].index).position
        rejected = [
            self._rejected(batch, one.index, one.error) for one in taken.rejected if one.index < len(batch.bodies)
        ]
        await self._advance(through, rejected)
        for result, count in zip(_RESULTS, (taken.accepted, taken.duplicates, len(rejected)), strict=True):
            _forwarded.add(count, {"result": result})

    async def _halve(self, batch: _Batch, why: str) -> None:
        """The next request is smaller; one event that is too large by itself is rejected."""
        if len(batch.bodies) > 1:
            self._batch_events = (len(batch.bodies) + 1) // 2
            self._batch_bytes = max(1, sum(map(len, batch.bodies)) // 2)
            return
        await self._advance(batch.through, [self._rejected(batch, 0, why)])
        _forwarded.add(1, {"result": "rejected"})

    async def _advance(self, through: int, rejected: Sequence[Rejected]) -> None:
        if rejected:
            _log.warning("the centre rejected events", events=len(rejected), error=rejected[0].error)
        await self._store.write(forwarding.advance, through, rejected)

    def _rejected(self, batch: _Batch, index: int, why: str) -> Rejected:
        event, error = _of(batch, index).event, f"the centre rejected it: {why}"
        return msgspec.structs.replace(
            wire.rejected_event(event, index, error, batch.bodies[index]), received_at_us=self._clock()
        )

    async def _send_heartbeats(self, state: Forwarded) -> None:
        if not self._is_due(self._looked_us, look_every_us(self._after_s)) and not self._stop.is_set():
            return
        newest = state.position + state.waiting
        while due := self._fold.due(
            self._steady(), newest=newest, forwarded=state.position, after_s=self._after_s, limit=HEARTBEATS
        ):
            taken = await self._taken([body_of(one) for one in due], self._report(state))
            self._fold.sent(due, self._steady())
            self._after_s = taken.heartbeat_after_s or self._after_s
            self._store.heartbeats.give_at_least(self._after_s)
        self._looked_us = self._steady()

    async def _say_goodbye(self) -> None:
        with contextlib.suppress(NotTakenError):
            await self._centre.send([], Report(0, 0, ends=True))

    async def _taken(self, bodies: Sequence[bytes], report: Report) -> Taken:
        taken = await self._centre.send(bodies, report)
        if self.status.problem is not None:
            _log.info("events are passed on again", failures=self._failures)
        self._failures = 0
        self.status = Status()
        self._reported_us = self._steady()
        return taken

    async def _state(self, after: int | None = None) -> Forwarded:
        state = await self._store.read(forwarding.state, after)
        if state is None:
            await self._store.write(forwarding.begin)
            return await self._state(after)
        return state

    def _report(self, state: Forwarded) -> Report:
        return Report(state.waiting, state.behind_us(self._clock()))

    def _is_due(self, last_us: int | None, every_us: int) -> bool:
        return last_us is None or self._steady() - last_us >= every_us

    def _failed(self, error: NotTakenError) -> float:
        """Records why a request was not taken; returns the seconds until the next."""
        self._failures += 1
        if self.status.problem is None:
            _log.warning("events are not passed on; they wait in the database", problem=str(error))
        self.status = Status(error.problem, error.is_refused)
        backoff = REFUSED_BACKOFF if error.is_refused else BACKOFF
        return backoff.pause_us(self._failures, self._chance.random(), error.retry_after_us) / SECOND_US

    async def _pause(self, seconds: float) -> None:
        """Waits, or returns early when it is stopped."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)

    async def _rest(self, *, is_done: bool) -> None:
        """Waits for company, and where nothing waits until something may."""
        await self._pause(LINGER_S)
        if not is_done:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._awake.wait(), POLL_S)


def _of(batch: _Batch, index: int) -> StoredEvent:
    return batch.events[min(index, len(batch.events) - 1)]


def _next_batch(connection: sa.Connection, most_events: int, most_bytes: int) -> _Batch:
    """The events behind the cursor that are to be sent, at least one if there is any."""
    state = forwarding.state(connection)
    batch = _Batch([], [], 0)
    size = 0
    for stored in log_reads.events_after(connection, 0 if state is None else state.position, most_events):
        # What ZEGO's server reports goes to the centre directly, if it is to be there.
        if stored.event.type != SERVER_USER_ACTION:
            body = body_of(stored.event)
            size += len(body) + 1
            if batch.bodies and size > most_bytes:
                break
            batch.events.append(stored)
            batch.bodies.append(body)
        batch.through = stored.position
    return batch
