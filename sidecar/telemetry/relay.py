"""Drains the span outbox to the collector: at least once, with the same ids on every attempt.

It goes in rounds. A round claims the oldest spans that are owed, spreads them over a few lanes by their trace, exports
the lanes side by side, and acknowledges the round in the database when the last of its spans is with the collector. So
the spans of one session leave in order, and a collector that is away, or a restart, loses nothing: what was claimed
and not acknowledged is claimed again. While one round is being sent the next is claimed.

A request that the collector will never take is halved until the span that it minds stands alone; that one is set aside
by name, and the others go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, Protocol, Self

import structlog
from opentelemetry.sdk.resources import Resource

from sidecar.clock import Clock
from sidecar.errors import ZimwatchError
from sidecar.store.records import Loss, PendingSpan
from sidecar.telemetry.exporter import Exporter, NotTakenError, exporter_from
from sidecar.telemetry.resource import resource_from
from sidecar.telemetry.spans import Envelope, span_of

ROUND_SPANS: Final = 4_000
LANES: Final = 4
# A request: collectors take 4 MiB over gRPC, and a span has 80 KB at the very most.
BATCH_SPANS: Final = 500
BATCH_BYTES: Final = 1_048_576
# Spans encoded in one go, between which the event loop does other work.
SLICE_SPANS: Final = 200
# A round that would be small waits for company: each one costs a commit.
LINGER_S: Final = 0.1
POLL_S: Final = 1.0
FIRST_RETRY_S: Final = 0.5
LONGEST_RETRY_S: Final = 30.0
# What a collector may ask for by Retry-After.
LONGEST_WISH_S: Final = 300.0
# A request that was answered with an error of the collector's own so often is halved, to see whether a span causes it.
FAULTS: Final = 5

_log = structlog.stdlib.get_logger(__name__)

Encoded = tuple[PendingSpan, bytes]


class _StoppingError(Exception):
    """The relay was stopped while a request waited for its next attempt."""


class _Division:
    """A batch that is being halved: what had been taken before, and single spans that may be at fault."""

    def __init__(self, since: int) -> None:
        self.since = since
        self.postponed: list[Sequence[Encoded]] = []
        self.is_last_resort = False


class Outbox(Protocol):
    """Where spans that are owed come from, and who is told what became of them."""

    async def claim(self, after: int, limit: int) -> list[PendingSpan]:
        """The oldest spans that are owed, behind the position ``after``."""

    async def done(self, through: int, spans: int, losses: Sequence[Loss]) -> None:
        """The ``spans`` owed spans at and before ``through`` are with the collector, but for ``losses``: committed."""

    def failed(self) -> None:
        """An attempt to export failed."""

    def listen(self, heard: Callable[[], None]) -> Callable[[], None]:
        """Calls ``heard`` when there may be more to claim; gives its undoing."""


class SpanRelay:
    """Run by :meth:`run` until :meth:`stop`."""

    def __init__(
        self,
        outbox: Outbox,
        exporter: Exporter,
        clock: Clock,
        *,
        resource: Resource,
        chance: random.Random | None = None,
    ) -> None:
        self._outbox = outbox
        self._exporter = exporter
        self._clock = clock
        self._envelope = Envelope(resource)
        self._chance = chance or random.Random()  # noqa: S311 - jitter
        self._awake = asyncio.Event()
        self._stop = asyncio.Event()
        self._claimed = 0
        self._failures = 0
        self._taken = 0

    @classmethod
    def to(cls, environ: Mapping[str, str], outbox: Outbox, clock: Clock) -> Self:
        """The relay to the collector that ``environ`` names. To be called in the running event loop."""
        return cls(outbox, exporter_from(environ, clock), clock, resource=resource_from(environ))

    async def run(self) -> None:
        """Exports what is owed, and waits for more; ends when :meth:`stop` was called and all that is owed was tried.

        Neither a collector nor a database that fails ends it: what is owed is tried again, at longest every 30 s, or
        when the collector asks for it.
        """
        unlisten = self._outbox.listen(self._awake.set)
        try:
            while True:
                try:
                    await self._drain()
                except _StoppingError:
                    pass
                except Exception as error:  # noqa: BLE001 - the top: whatever went wrong, its spans are still owed
                    self._tell(error)
                    if not self._stop.is_set():
                        await self._pause(self._wait_s(None))
                        self._claimed = 0
                        continue
                return
        finally:
            unlisten()
            await self._exporter.close()

    def stop(self) -> None:
        """Lets :meth:`run` end once what is owed was tried."""
        self._stop.set()
        self._awake.set()

    async def _drain(self) -> None:
        """Round after round, until it is stopped and nothing is owed."""
        acknowledged: asyncio.Task[None] | None = None
        claimed = asyncio.create_task(self._claim())
        try:
            while True:
                pending = await claimed
                claimed = asyncio.create_task(self._claim() if len(pending) == ROUND_SPANS else self._more())
                if pending:
                    losses = await self._send(pending)
                    if acknowledged is not None:
                        await acknowledged
                    acknowledged = asyncio.create_task(self._done(pending, losses))
                    continue
                if acknowledged is not None:
                    await acknowledged
                    acknowledged = None
                if self._stop.is_set():
                    return
        finally:
            claimed.cancel()
            await asyncio.gather(claimed, *([acknowledged] if acknowledged else []), return_exceptions=True)

    async def _claim(self) -> list[PendingSpan]:
        pending = await self._outbox.claim(self._claimed, ROUND_SPANS)
        if pending:
            self._claimed = pending[-1].position
        return pending

    async def _more(self) -> list[PendingSpan]:
        """The next round once there is something for it, or after a while."""
        self._awake.clear()
        await self._pause(LINGER_S)
        pending = await self._claim()
        if not pending and not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._awake.wait(), POLL_S)
        return pending

    async def _done(self, pending: list[PendingSpan], losses: list[Loss]) -> None:
        await self._outbox.done(pending[-1].position, len(pending), losses)

    async def _send(self, pending: list[PendingSpan]) -> list[Loss]:
        """Sends a round; what of it is lost."""
        lanes: list[list[Encoded]] = [[] for _ in range(LANES)]
        few = len(pending) <= BATCH_SPANS
        for start in range(0, len(pending), SLICE_SPANS):
            for one in pending[start : start + SLICE_SPANS]:
                lanes[0 if few else hash(one.trace_id) % LANES].append((one, span_of(one)))
            await asyncio.sleep(0)
        try:
            async with asyncio.TaskGroup() as group:
                sent = [group.create_task(self._send_lane(lane)) for lane in lanes if lane]
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None  # all lanes have ended; the others' errors are of the same kind
        return [loss for task in sent for loss in task.result()]

    async def _send_lane(self, lane: list[Encoded]) -> list[Loss]:
        return [loss for batch in batches(lane) for loss in await self._deliver(batch)]

    async def _deliver(self, batch: Sequence[Encoded], division: _Division | None = None) -> list[Loss]:
        """Sends a batch until it is taken, or until it is known which of its spans never will be."""
        since = division.since if division else self._taken
        request = self._envelope.request(encoded for _, encoded in batch)
        faults = 0
        while True:
            try:
                taken = await self._exporter.export(request)
            except NotTakenError as error:
                self._outbox.failed()
                faults += error.is_fault
                if len(batch) > 1 and (error.permanent or faults >= FAULTS):
                    return await self._divide(batch, division)
                # One span alone is to blame where others were taken meanwhile; else the collector is.
                if error.permanent or (faults >= FAULTS and self._taken > since):
                    return [self._set_aside(batch[0][0], str(error))]
                self._tell(error)
                if self._stop.is_set():
                    raise _StoppingError from None
                if faults >= FAULTS and division is not None and not division.is_last_resort:
                    division.postponed.append(batch)
                    return []
                await self._pause(self._wait_s(error.retry_after_s))
            else:
                self._recovered()
                self._taken += 1
                return self._rejected(taken.rejected, taken.problem)

    async def _divide(self, batch: Sequence[Encoded], division: _Division | None) -> list[Loss]:
        within = division or _Division(self._taken)
        half = len(batch) // 2
        losses = [*await self._deliver(batch[:half], within), *await self._deliver(batch[half:], within)]
        if division is None:
            # All others have been tried; now it shows whether it is these.
            within.is_last_resort = True
            for suspect in within.postponed:
                losses += await self._deliver(suspect, within)
        return losses

    def _set_aside(self, span: PendingSpan, problem: str) -> Loss:
        _log.warning("a span is set aside: the collector does not take it", event_id=span.id.hex(), problem=problem)
        return Loss(self._clock(), "refused", 1, span.position, span.id, problem)

    def _rejected(self, spans: int, problem: str) -> list[Loss]:
        """A partial success: it must not be sent again, and which spans it was is not said."""
        if not spans:
            if problem:
                _log.warning("the collector has taken spans and has something to say", problem=problem)
            return []
        _log.warning("the collector has rejected spans", spans=spans, problem=problem)
        return [Loss(self._clock(), "rejected", spans, None, None, problem)]

    def _wait_s(self, wish_s: float | None) -> float:
        """Until the next attempt: longer each time, never at the same time as others, and not before it is wished."""
        longest: float = min(LONGEST_RETRY_S, FIRST_RETRY_S * 2 ** min(self._failures - 1, 16))
        own = longest * self._chance.uniform(0.5, 1.0)
        return own if wish_s is None else max(own, min(wish_s, LONGEST_WISH_S))

    def _tell(self, error: Exception) -> None:
        if not self._failures:
            unforeseen = None if isinstance(error, NotTakenError | ZimwatchError) else error
            message = "span export is failing; spans wait in the database"
            _log.warning(message, problem=str(error), exc_info=unforeseen)
        self._failures += 1

    def _recovered(self) -> None:
        if self._failures:
            _log.info("span export recovered", failures=self._failures)
        self._failures = 0

    async def _pause(self, seconds: float) -> None:
        """Waits, unless the relay is stopped meanwhile."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)


def batches(lane: Sequence[Encoded]) -> Iterator[list[Encoded]]:
    """The lane in requests bounded by their spans and bytes; one span alone may be larger."""
    batch: list[Encoded] = []
    size = 0
    for one in lane:
        if batch and (len(batch) >= BATCH_SPANS or size + len(one[1]) > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(one)
        size += len(one[1])
    if batch:
        yield batch
