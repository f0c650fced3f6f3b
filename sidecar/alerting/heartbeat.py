"""The dead man's switch: calls a URL for as long as alerts work, so that its silence tells what we cannot."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from sidecar.alerting.outgoing import DeliveryError, Outgoing

_LOOK_AGAIN_S: Final = 1.0

_log = structlog.stdlib.get_logger(__name__)


class Heartbeat:
    """Run by :meth:`run` until it is cancelled. ``is_well`` tells whether rules and store work at all."""

    def __init__(self, url: str, interval_s: float, outgoing: Outgoing, is_well: Callable[[], bool]) -> None:
        self._url = url
        self._interval_s = interval_s
        self._outgoing = outgoing
        self._is_well = is_well
        self._failing = False

    async def run(self) -> None:
        """A beat that fails is only told in the log: the other side notices by itself."""
        while True:
            well = self._is_well()
            if well:
                await self._beat()
            await asyncio.sleep(self._interval_s if well else min(_LOOK_AGAIN_S, self._interval_s))

    async def _beat(self) -> None:
        try:
            await self._outgoing.send(self._url, method="GET")
        except DeliveryError as error:
            if not self._failing:
                _log.warning("the heartbeat is not taken", problem=str(error))
            self._failing = True
        else:
            self._failing = False
