"""The heartbeat of alerting: calls a URL regularly while alerts work, so that a monitor there notices when it stops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from sidecar.http_client import DeliveryError, HttpClient

_RECHECK_S: Final = 1.0

_log = structlog.stdlib.get_logger(__name__)


class Heartbeat:
    """Runs in :meth:`run` until it is cancelled. ``is_well``: whether the rules and the store work."""

    def __init__(self, url: str, interval_s: float, http: HttpClient, is_well: Callable[[], bool]) -> None:
        self._url = url
        self._interval_s = interval_s
        self._http = http
        self._is_well = is_well
        self._failing = False

    async def run(self) -> None:
        """Calls the URL in each interval. A failed call is only logged: the monitor notices the missing one."""
        while True:
            well = self._is_well()
            if well:
                await self._beat()
            await asyncio.sleep(self._interval_s if well else min(_RECHECK_S, self._interval_s))

    async def _beat(self) -> None:
        try:
            await self._http.send(self._url, method="GET")
        except DeliveryError as error:
            if not self._failing:
                _log.warning("the heartbeat fails", problem=str(error))
            self._failing = True
        else:
            self._failing = False
