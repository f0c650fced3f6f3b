"""Ticks the alert rules once a second, with what they need beside events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from sidecar.alerting.alert_reaction import AlertReaction, Gathered
from sidecar.alerting.app_activity import AppActivity
from sidecar.alerting.forecast import Forecast
from sidecar.alerting.notify.dispatcher import Dispatcher
from sidecar.alerting.tables import message_rows
from sidecar.clock import Clock
from sidecar.domain.alerts.rules.backup_overdue import LastBackup
from sidecar.domain.alerts.rules.edge_behind import KnownEdges
from sidecar.domain.alerts.rules.export_stalled import SPANS_WAIT
from sidecar.domain.alerts.rules.token_expiring import Ending
from sidecar.domain.texts import Text, verbatim
from sidecar.domain.units import MINUTE_US
from sidecar.errors import ZimwatchError
from sidecar.store import Store
from sidecar.store.log import forwarding, span_outbox

TICK_S: Final = 1.0
FORECAST_EVERY_US: Final = MINUTE_US

_log = structlog.stdlib.get_logger(__name__)


class Ticker:
    """Run by :meth:`run` until it is cancelled."""

    def __init__(
        self,
        store: Store,
        reaction: AlertReaction,
        dispatchers: Sequence[Dispatcher],
        clock: Clock,
        *,
        exports_spans: bool,
        last_backup: Callable[[], LastBackup | None] = lambda: None,
    ) -> None:
        self._store = store
        self._reaction = reaction
        self._dispatchers = dispatchers
        self._clock = clock
        self._exports_spans = exports_spans
        self._last_backup = last_backup
        self._forecast = Forecast(reaction.policy.thresholds.token_forecast_us)
        self._forecast_us = 0
        self._activity = AppActivity(store, reaction.policy.thresholds)
        self.last_us = 0

    async def run(self) -> None:
        """A tick that fails is logged, and made up for by the next one."""
        while True:
            try:
                await self.tick()
            except Exception as error:  # noqa: BLE001 - the top: the next second tries again
                unforeseen = None if isinstance(error, ZimwatchError) else error
                _log.warning("the alert rules missed a second", problem=str(error), exc_info=unforeseen)
            await asyncio.sleep(TICK_S)

    async def tick(self) -> None:
        """One tick, now."""
        await self._store.notice_clock()  # first, so that nothing is due because the clock was set
        now_us = self._clock()
        gathered = Gathered(
            stalled=await self._stalled(now_us),
            tokens_ending=await self._tokens_ending(now_us),
            activity=await self._activity.look(now_us),
            backup=self._last_backup(),
            edges=KnownEdges(await self._store.read(forwarding.edges), self._store.now().time),
        )
        # Much work takes many transactions, with events in between.
        while await self._store.write(lambda connection: self._reaction.tick(connection, self._clock(), gathered)):
            self.last_us = self._clock()
        self.last_us = now_us

    async def _stalled(self, now_us: int) -> dict[str, tuple[int | None, Text]]:
        found: dict[str, tuple[int | None, Text]] = {}
        limit_us = self._reaction.policy.thresholds.stalled_after_us
        if self._exports_spans:
            oldest_us = (await self._store.read(span_outbox.backlog)).oldest_us
            # Late from half the limit on, so that a backlog that is being worked off does not flap.
            late = oldest_us is not None and now_us - oldest_us >= limit_us // 2
            found["spans"] = (oldest_us if late else None, SPANS_WAIT())
        elsewhere: dict[str, tuple[int, Text]] = {}
        if not all(one.is_running for one in self._dispatchers):
            elsewhere = await self._store.read(message_rows.failing_receivers)
        for dispatcher in self._dispatchers:
            failing = dispatcher.failing if dispatcher.is_running else elsewhere.get(dispatcher.name)
            since_us, why = failing or (None, verbatim(""))
            found[f"receiver {dispatcher.name}"] = (since_us, why)
        return found

    async def _tokens_ending(self, now_us: int) -> dict[int, Ending] | None:
        if (
            not self._reaction.policy.thresholds.token_forecast_us
            or 0 < self._forecast_us - now_us <= FORECAST_EVERY_US
        ):
            return None
        self._forecast_us = now_us + FORECAST_EVERY_US
        return await self._store.read(self._forecast.ending, now_us)
