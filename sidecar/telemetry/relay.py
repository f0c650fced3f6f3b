"""Exports the span outbox to the collector: at least once, with the same ids on every attempt.

It works in rounds. A round claims the oldest pending spans, spreads them over a few lanes by their trace, exports the
lanes concurrently, and acknowledges the round in the database once the collector has accepted all of it. So the spans
of one session are exported in order, and neither an outage of the collector nor a restart loses any: what was claimed
but not acknowledged is claimed again. The next round is claimed while one is being sent.

A batch that the collector rejects for good is bisected until the rejected span is isolated; that span is recorded as
lost, and the others are exported.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any, Final, Protocol, Self
from zlib import crc32

import structlog
from opentelemetry.sdk.resources import Resource

from sidecar.clock import Clock
from sidecar.domain.retry import Backoff
from sidecar.domain.units import MINUTE_US, MS_US, SECOND_US
from sidecar.domain.user_naming import PLAIN, UserNaming
from sidecar.errors import ZimwatchError
from sidecar.store.values import Loss
from sidecar.system.chance import CHANCE
from sidecar.telemetry.otlp.exporter import Exporter, ExportError, create_exporter
from sidecar.telemetry.otlp.otlp_settings import Signal
from sidecar.telemetry.otlp.resource import resource_from
from sidecar.telemetry.otlp.spans import Envelope, span_of

ROUND_SPANS: Final = 4_000
LANES: Final = 4
# Of one request: collectors accept 4 MiB over gRPC, and a span has at most 80 KB.
BATCH_SPANS: Final = 500
BATCH_BYTES: Final = 1_048_576
# Spans encoded before the event loop gets a turn.
SLICE_SPANS: Final = 200
# Small rounds linger to be batched: each one costs a commit.
LINGER_S: Final = 0.1
POLL_S: Final = 1.0
BACKOFF: Final = Backoff(first_us=500 * MS_US, longest_us=30 * SECOND_US, longest_requested_us=5 * MINUTE_US)
# Internal errors of the collector about one batch, after which it is bisected: a span may cause them.
FAULTS: Final = 5

_log = structlog.stdlib.get_logger(__name__)


class Exportable(Protocol):
    """What is exported: the position and the id of its event, and its trace."""

    @property
    def position(self) -> int:
        """In the log."""

    @property
    def id(self) -> bytes:
        """The event's, which a loss names."""

    @property
    def trace_id(self) -> bytes:
        """16 bytes; those of one trace are sent in order."""


Encoded = tuple[Exportable, bytes]
Encode = Callable[[Any, UserNaming], bytes]
"""Encodes one of an outbox, with the names of users."""


class _StoppedError(Exception):
    """The relay was stopped between two attempts to send a batch."""


class _Bisection:
    """A batch that is being bisected. ``accepted_before`` counts accepted batches; ``suspects`` are single spans."""

    def __init__(self, accepted_before: int) -> None:
        self.accepted_before = accepted_before
        self.suspects: list[Sequence[Encoded]] = []
        self.tries_suspects = False


class Outbox(Protocol):
    """The source of pending spans, which records their outcome."""

    async def claim(self, after: int, limit: int) -> Sequence[Exportable]:
        """The oldest pending spans behind the position ``after``."""

    async def done(self, through: int, spans: int, losses: Sequence[Loss]) -> None:
        """Commits that the ``spans`` pending spans up to ``through`` were accepted, except for ``losses``."""

    def failed(self) -> None:
        """Counts a failed attempt to export."""

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Calls ``wake`` when there may be more to claim; returns a function that ends this."""


class SpanRelay:
    """Exports an outbox from :meth:`run` until :meth:`stop`."""

    def __init__(
        self,
        outbox: Outbox,
        exporter: Exporter,
        clock: Clock,
        *,
        resource: Resource,
        chance: Random = CHANCE,
        users: UserNaming = PLAIN,
        encode: Encode = span_of,
    ) -> None:
        self._users = users
        self._encode = encode
        self._outbox = outbox
        self._exporter = exporter
        self._clock = clock
        self._envelope = Envelope(resource)
        self._chance = chance
        self._awake = asyncio.Event()
        self._stop = asyncio.Event()
        self._claimed = 0
        self._failures = 0
        self._accepted = 0

    @classmethod
    def to(
        cls,
        environ: Mapping[str, str],
        outbox: Outbox,
        clock: Clock,
        users: UserNaming = PLAIN,
        *,
        encode: Encode = span_of,
        signal: Signal = "traces",
    ) -> Self:
        """A relay to the collector that ``environ`` names. Call it in the running event loop."""
        resource = resource_from(environ)
        return cls(
            outbox, create_exporter(environ, clock, signal), clock, resource=resource, users=users, encode=encode
        )

    async def run(self) -> None:
        """Exports pending spans as they arrive. After :meth:`stop` it returns once each has been tried.

        Failures of the collector or the database do not end it: it retries with a backoff of up to 30 s, and honours
        the collector's ``Retry-After``.
        """
        unlisten = self._outbox.listen(self._awake.set)
        try:
            while True:
                try:
                    await self._drain()
                except _StoppedError:
                    pass
                except Exception as error:  # noqa: BLE001 - the top: whatever failed, the spans are still pending
                    self._failed(error)
                    if not self._stop.is_set():
                        await self._back_off()
                        self._claimed = 0
                        continue
                return
        finally:
            unlisten()
            await self._exporter.close()

    def stop(self) -> None:
        """Lets :meth:`run` return once each pending span has been tried."""
        self._stop.set()
        self._awake.set()

    async def _drain(self) -> None:
        """Sends rounds until it is stopped and no span is pending."""
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

    async def _claim(self) -> Sequence[Exportable]:
        pending = await self._outbox.claim(self._claimed, ROUND_SPANS)
        if pending:
            self._claimed = pending[-1].position
        return pending

    async def _more(self) -> Sequence[Exportable]:
        """The next round, after a pause in which it may grow; empty when nothing arrived for a while."""
        self._awake.clear()
        await self._pause(LINGER_S)
        pending = await self._claim()
        if not pending and not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._awake.wait(), POLL_S)
        return pending

    async def _done(self, pending: Sequence[Exportable], losses: list[Loss]) -> None:
        await self._outbox.done(pending[-1].position, len(pending), losses)

    async def _send(self, pending: Sequence[Exportable]) -> list[Loss]:
        """Sends a round; returns the losses."""
        lanes: list[list[Encoded]] = [[] for _ in range(LANES)]
        few = len(pending) <= BATCH_SPANS
        for start in range(0, len(pending), SLICE_SPANS):
            for one in pending[start : start + SLICE_SPANS]:
                lanes[0 if few else crc32(one.trace_id) % LANES].append((one, self._encode(one, self._users)))
            await asyncio.sleep(0)
        try:
            async with asyncio.TaskGroup() as group:
                sent = [group.create_task(self._send_lane(lane)) for lane in lanes if lane]
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None  # all lanes have ended, with errors of the same kind
        return [loss for task in sent for loss in task.result()]

    async def _send_lane(self, lane: list[Encoded]) -> list[Loss]:
        return [loss for batch in batches(lane) for loss in await self._deliver(batch)]

    async def _deliver(self, batch: Sequence[Encoded], bisection: _Bisection | None = None) -> list[Loss]:
        """Sends a batch until it is accepted, or until the rejected spans in it are known."""
        accepted_before = bisection.accepted_before if bisection else self._accepted
        request = self._envelope.request(encoded for _, encoded in batch)
        faults = 0
        while True:
            try:
                result = await self._exporter.export(request)
            except ExportError as error:
                self._outbox.failed()
                faults += error.is_fault
                if len(batch) > 1 and (error.permanent or faults >= FAULTS):
                    return await self._bisect(batch, bisection)
                # A single span is the cause if others were accepted meanwhile; otherwise the collector is.
                if error.permanent or (faults >= FAULTS and self._accepted > accepted_before):
                    return [self._refused(batch[0][0], str(error))]
                self._failed(error)
                if self._stop.is_set():
                    raise _StoppedError from None
                if faults >= FAULTS and bisection is not None and not bisection.tries_suspects:
                    bisection.suspects.append(batch)
                    return []
                await self._back_off(error.retry_after_us)
            else:
                self._recovered()
                self._accepted += 1
                return self._rejected(result.rejected, result.problem)

    async def _bisect(self, batch: Sequence[Encoded], outer: _Bisection | None) -> list[Loss]:
        bisection = outer or _Bisection(self._accepted)
        half = len(batch) // 2
        losses = [*await self._deliver(batch[:half], bisection), *await self._deliver(batch[half:], bisection)]
        if outer is None:
            # All other spans have been tried: if any was accepted, the suspects are at fault.
            bisection.tries_suspects = True
            for suspect in bisection.suspects:
                losses += await self._deliver(suspect, bisection)
        return losses

    def _refused(self, span: Exportable, problem: str) -> Loss:
        _log.warning("the collector refuses a span, which is not sent again", event_id=span.id.hex(), problem=problem)
        return Loss(self._clock(), "refused", 1, span.position, span.id, problem)

    def _rejected(self, spans: int, problem: str) -> list[Loss]:
        """The losses of a partial success, which must not be sent again. The answer does not name the spans."""
        if not spans:
            if problem:
                _log.warning("the collector accepted spans with a warning", problem=problem)
            return []
        _log.warning("the collector rejected spans", spans=spans, problem=problem)
        return [Loss(self._clock(), "rejected", spans, None, None, problem)]

    def _failed(self, error: Exception) -> None:
        if not self._failures:
            unexpected = None if isinstance(error, ExportError | ZimwatchError) else error
            message = "span export is failing; spans wait in the database"
            _log.warning(message, problem=str(error), exc_info=unexpected)
        self._failures += 1

    def _recovered(self) -> None:
        if self._failures:
            _log.info("span export recovered", failures=self._failures)
        self._failures = 0

    async def _back_off(self, requested_us: int | None = None) -> None:
        await self._pause(BACKOFF.pause_us(self._failures, self._chance.random(), requested_us) / SECOND_US)

    async def _pause(self, seconds: float) -> None:
        """Waits, or returns early when the relay is stopped."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)


def batches(lane: Sequence[Encoded]) -> Iterator[list[Encoded]]:
    """Splits a lane into batches bounded in spans and bytes; a single span may be larger."""
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
