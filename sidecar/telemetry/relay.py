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
from sidecar.store import Store
from sidecar.store.records import Commit, PendingSpan
from sidecar.telemetry.metrics import Metrics
from sidecar.telemetry.spans import span_of

BATCH: Final = 200
POLL_S: Final = 1.0
FIRST_RETRY_S: Final = 0.5
LONGEST_RETRY_S: Final = 30.0

_log = structlog.stdlib.get_logger(__name__)


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
        # The stock exporters log every failed attempt; the relay tells when it begins and when it is over.
        logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)

    async def run(self) -> None:
        """Exports what is owed, and waits for more; ends when :meth:`stop` was called and nothing is due."""
        unsubscribe = self._store.subscribe(self._heard)
        try:
            while True:
                self._awake.clear()
                pending = await self._store.claim_spans(BATCH)
                if pending:
                    delivered = await self._export(pending)
                    if self._stopping and not delivered:
                        return
                elif self._stopping:
                    return
                else:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._awake.wait(), POLL_S)
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

    async def _export(self, pending: list[PendingSpan]) -> bool:
        spans = [span_of(one, self._resource) for one in pending]
        positions = [one.position for one in pending]
        try:
            result = await asyncio.get_running_loop().run_in_executor(self._thread, self._exporter.export, spans)
            problem = None if result is SpanExportResult.SUCCESS else "the collector did not take them"
        except Exception as error:  # noqa: BLE001 - whatever an exporter raises, its spans are still owed
            problem = str(error)
        if problem is None:
            await self._store.spans_delivered(positions)
            self._metrics.spans_exported(len(spans))
            if self._failures:
                _log.info("span export recovered", failures=self._failures)
            self._failures = 0
            return True
        if not self._failures:
            _log.warning("span export is failing; spans wait in the database", problem=problem)
        self._failures += 1
        self._metrics.span_export_failed()
        longest = min(LONGEST_RETRY_S, FIRST_RETRY_S * 2 ** (self._failures - 1))
        wait_s = longest * self._chance.uniform(0.5, 1.0)
        await self._store.spans_failed(positions, retry_at_us=self._clock() + int(wait_s * 1_000_000))
        if not self._stopping:
            # A collector that refused one batch is not offered the next one before that time either.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopped(), wait_s)
        return False

    async def _stopped(self) -> None:
        while not self._stopping:
            self._awake.clear()
            await self._awake.wait()
