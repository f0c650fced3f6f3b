"""Drains the span outbox to the collector: at least once, with the same ids on every attempt.

A span leaves the outbox only when the exporter answered SUCCESS. Until then it stays in the database, so that a
collector that is away, or a restart, loses nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import structlog
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from sidecar.clock import Clock
from sidecar.errors import ZimwatchError
from sidecar.store import Store
from sidecar.store.records import Commit
from sidecar.telemetry.metrics import Metrics
from sidecar.telemetry.spans import span_of

BATCH: Final = 200
POLL_S: Final = 1.0
FIRST_RETRY_S: Final = 0.5
LONGEST_RETRY_S: Final = 30.0

_log = structlog.stdlib.get_logger(__name__)


class _NotDeliveredError(Exception):
    """The collector has not taken a batch; its text is what the exporter said about it."""


class _LastTold(logging.Handler):
    """Keeps what an exporter last logged, which is the only place where it tells why an export failed."""

    text = "the collector did not take them"

    def emit(self, record: logging.LogRecord) -> None:
        self.text = record.getMessage()


# The stock exporters log every failed attempt; the relay tells when that begins, why, and when it is over. This stays
# for as long as the process does, because an attempt may outlive the relay that made it.
_told: Final = _LastTold(logging.ERROR)


class SpanRelay:
    """Run by :meth:`run` until :meth:`stop`."""

    def __init__(
        self,
        store: Store,
        exporter: SpanExporter,
        clock: Clock,
        metrics: Metrics,
        *,
        resource: Resource,
        chance: random.Random | None = None,
    ) -> None:
        self._store = store
        self._exporter = exporter
        self._clock = clock
        self._metrics = metrics
        self._resource = resource
        self._chance = chance or random.Random()  # noqa: S311 - jitter
        self._thread = ThreadPoolExecutor(1, "zimwatch-export")
        self._awake = asyncio.Event()
        self._stopping = False
        self._failures = 0
        self._wait_s = FIRST_RETRY_S
        exporters = logging.getLogger("opentelemetry.exporter.otlp")
        exporters.addHandler(_told)
        exporters.propagate = False

    async def run(self) -> None:
        """Exports what is owed, and waits for more; ends when :meth:`stop` was called and nothing is due.

        Neither a collector nor a database that fails ends it: what is owed is tried again, at longest every 30 s.
        """
        unsubscribe = self._store.subscribe(self._heard)
        try:
            await self._drain()
        finally:
            unsubscribe()
            self._exporter.shutdown()
            self._thread.shutdown(wait=False)

    def stop(self) -> None:
        """Lets :meth:`run` end once what is due was tried."""
        self._stopping = True
        self._awake.set()

    def _heard(self, _commit: Commit) -> None:
        self._awake.set()

    async def _drain(self) -> None:
        while True:
            self._awake.clear()
            stopping = self._stopping
            try:
                exported = await self._export_due()
            except Exception as error:  # noqa: BLE001 - the top: whatever went wrong, its spans are still owed
                self._tell(error)
                if stopping:
                    return
                # A collector that refused one batch is not offered the next one before that time either.
                await self._stopped_within(self._wait_s)
                continue
            if exported:
                self._recovered()
            elif stopping:
                return
            else:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._awake.wait(), POLL_S)

    async def _export_due(self) -> int:
        """How many spans were due and are delivered."""
        longest = min(LONGEST_RETRY_S, FIRST_RETRY_S * 2 ** min(self._failures, 16))
        self._wait_s = longest * self._chance.uniform(0.5, 1.0)
        pending = await self._store.claim_spans(BATCH)
        if not pending:
            return 0
        spans = [span_of(one, self._resource) for one in pending]
        positions = [one.position for one in pending]
        try:
            result = await asyncio.get_running_loop().run_in_executor(self._thread, self._exporter.export, spans)
            problem = None if result is SpanExportResult.SUCCESS else _told.text
        except Exception as error:  # noqa: BLE001 - an exporter may raise anything
            problem = f"{type(error).__name__}: {error}"
        if problem is not None:
            self._metrics.span_export_failed()
            await self._store.spans_failed(positions, retry_at_us=self._clock() + int(self._wait_s * 1_000_000))
            raise _NotDeliveredError(problem)
        await self._store.spans_delivered(positions)
        self._metrics.spans_exported(len(spans))
        return len(spans)

    def _tell(self, error: Exception) -> None:
        if not self._failures:
            unforeseen = None if isinstance(error, _NotDeliveredError | ZimwatchError) else error
            message = "span export is failing; spans wait in the database"
            _log.warning(message, problem=str(error), exc_info=unforeseen)
        self._failures += 1

    def _recovered(self) -> None:
        if self._failures:
            _log.info("span export recovered", failures=self._failures)
        self._failures = 0

    async def _stopped_within(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopped(), seconds)

    async def _stopped(self) -> None:
        while not self._stopping:
            self._awake.clear()
            await self._awake.wait()
