"""Resends firing alerts to a receiver that keeps them in memory only, such as a Prometheus Alertmanager.

A resend is no message: it is neither counted nor recorded, and happens whether an alert is acknowledged or not and
however long ``repeat_interval`` is. The receiver itself decides whom it notifies, and when again.
"""

from __future__ import annotations

import asyncio

import structlog

from sidecar.alerting.receivers import VolatileReceiver
from sidecar.alerting.tables import notifications
from sidecar.clock import Clock
from sidecar.errors import ZimwatchError
from sidecar.store import Store

# Prometheus itself sends its alerts again about every minute.
RESEND_S = 30.0

_log = structlog.stdlib.get_logger(__name__)


class Resender:
    """Runs in :meth:`run` until it is cancelled."""

    def __init__(
        self, name: str, receiver: VolatileReceiver, store: Store, clock: Clock, every_s: float | None = None
    ) -> None:
        self._name = name
        self._receiver = receiver
        self._store = store
        self._clock = clock
        self._every_s = RESEND_S if every_s is None else every_s
        self._failing = False

    async def run(self) -> None:
        """Resends every 30 s. A failure is logged once, until a resend succeeds."""
        while True:
            await asyncio.sleep(self._every_s)
            try:
                await self.resend()
            except ZimwatchError as error:
                if not self._failing:
                    _log.warning("resending firing alerts fails", receiver=self._name, problem=str(error))
                self._failing = True
            else:
                self._failing = False

    async def resend(self) -> None:
        """Resends once."""
        # Nothing else is sent between reading and sending, so that no resolved alert fires again.
        async with self._receiver.sending:
            now_us = self._clock()
            firing = await self._store.read(notifications.delivered_and_firing, self._name, now_us)
            await self._receiver.resend(firing, now_us)
