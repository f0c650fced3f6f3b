"""Tells the rules what time it is, once a second, and what is the case beside the events."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog

from sidecar.alerting.dispatcher import Dispatcher
from sidecar.alerting.engine import Engine, Gathered
from sidecar.alerting.forecast import Forecast
from sidecar.clock import Clock
from sidecar.domain.alerting import words
from sidecar.domain.alerting.token_rules import Ending
from sidecar.errors import ZimwatchError
from sidecar.store import Store

TICK_S: Final = 1.0
FORECAST_EVERY_US: Final = 60_000_000

_log = structlog.stdlib.get_logger(__name__)


class Ticker:
    """Run by :meth:`run` until it is cancelled."""

    def __init__(
        self, store: Store, engine: Engine, dispatchers: Sequence[Dispatcher], clock: Clock, *, exports_spans: bool
    ) -> None:
        self._store = store
        self._engine = engine
        self._dispatchers = dispatchers
        self._clock = clock
        self._exports_spans = exports_spans
        self._forecast = Forecast(engine.policy.thresholds.token_forecast_us)
        self._forecast_us = 0
        self.last_us = 0

    async def run(self) -> None:
        """A tick that fails is told in the log; the next one makes up for it."""
        while True:
            try:
                await self.tick()
            except Exception as error:  # noqa: BLE001 - the top: the next second tries again
                unforeseen = None if isinstance(error, ZimwatchError) else error
                _log.warning("the alert rules missed a second", problem=str(error), exc_info=unforeseen)
            await asyncio.sleep(TICK_S)

    async def tick(self) -> None:
        """One tick, now."""
        now_us = self._clock()
        gathered = Gathered(stalled=await self._stalled(now_us), tokens_ending=await self._tokens_ending(now_us))
        # What is much to do takes many transactions, with events in between.
        while await self._store.write(lambda connection: self._engine.tick(connection, now_us, gathered)):
            self.last_us = self._clock()
        self.last_us = now_us

    async def _stalled(self, now_us: int) -> dict[str, tuple[int | None, str]]:
        found: dict[str, tuple[int | None, str]] = {}
        limit_us = self._engine.policy.thresholds.stalled_after_us
        if self._exports_spans:
            oldest_us = (await self._store.span_backlog()).oldest_us
            # Down at half of what it takes up: a backlog that is only worked off does not come and go.
            late = oldest_us is not None and now_us - oldest_us >= limit_us // 2
            found["spans"] = (oldest_us if late else None, words.SPANS_WAIT())
        for dispatcher in self._dispatchers:
            since_us, why = dispatcher.failing or (None, "")
            found[f"receiver {dispatcher.name}"] = (since_us, why)
        return found

    async def _tokens_ending(self, now_us: int) -> dict[int, Ending] | None:
        if not self._engine.policy.thresholds.token_forecast_us or now_us < self._forecast_us:
            return None
        self._forecast_us = now_us + FORECAST_EVERY_US
        return await self._store.read(self._forecast.ending, now_us)
