"""A sink for events observed in the server's own process, with the same checks as for events from outside."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec
import structlog

from sidecar.clock import Clock
from sidecar.errors import StoreUnavailableError
from sidecar.ingest.wire import decode
from sidecar.store import Store

log = structlog.stdlib.get_logger(__name__)

MOST_EVENTS: Final = 10_000


class StoreSink:
    """Appends events to ``store`` in order, while :meth:`run` runs. Failed commits are retried, from memory."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._waiting: list[bytes] = []
        self._pushed = asyncio.Event()
        self.heartbeat_after_s: int | None = None

    def put(self, event: dict[str, Any]) -> None:
        """Adds an event of wire version 1; past ``MOST_EVENTS`` the oldest is dropped."""
        self._waiting.append(msgspec.json.encode(event))
        del self._waiting[:-MOST_EVENTS]
        self._pushed.set()

    async def run(self) -> None:
        """Appends until cancelled, and then once more."""
        try:
            while True:
                await self._pushed.wait()
                self._pushed.clear()
                rest_s = await self._append()
                if rest_s is not None:
                    await asyncio.sleep(rest_s)
                    self._pushed.set()
        finally:
            await self._append()

    async def _append(self) -> float | None:
        """One attempt; returns the seconds to wait before the next, None where nothing is waiting."""
        batch, self._waiting = self._waiting, []
        if not batch:
            return None
        decoded = decode(b"[" + b",".join(batch) + b"]", "json", self._clock())
        try:
            answer = await self._store.append([event for _, event in decoded.events], decoded.rejected)
        except BaseException as error:
            self._waiting = (batch + self._waiting)[-MOST_EVENTS:]  # its ids make another attempt safe
            if not isinstance(error, StoreUnavailableError):
                raise
            log.warning("observed events wait for the database", error=str(error), events=len(batch))
            return error.retry_after_s
        self.heartbeat_after_s = answer.heartbeat_after_s
        return 0.0 if self._waiting else None
