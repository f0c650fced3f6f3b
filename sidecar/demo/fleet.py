"""Runs the simulated users and sends their events to ``POST /v1/events``, like any client."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import aiohttp
import msgspec
import structlog

from sidecar.clock import Clock
from sidecar.sdk.recording.recorder import WireEvent
from sidecar.sdk.simulator.simulated_app import SimulatedUser

log = structlog.stdlib.get_logger(__name__)

TICK_S: Final = 0.25
BATCH_EVENTS: Final = 200
# Events kept while Zimwatch cannot be reached; the oldest beyond that are dropped.
QUEUED_EVENTS: Final = 20_000


async def live(users: Sequence[SimulatedUser], endpoint: str, *, clock: Clock) -> None:
    """Runs until cancelled. A batch without a 200 is sent again unchanged: by its ids it is stored once."""
    queue: list[WireEvent] = []
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        while True:
            now_us = clock()
            for user in users:
                queue += user.advance(now_us)
            queue.sort(key=lambda event: str(event["occurred_at"]))
            del queue[:-QUEUED_EVENTS]
            while queue and (answer := await _sent(session, endpoint, queue[:BATCH_EVENTS])):
                del queue[:BATCH_EVENTS]
                for user in users:
                    user.heartbeat_after(answer["heartbeat_after_s"], now_us)
            await asyncio.sleep(TICK_S)


async def _sent(session: aiohttp.ClientSession, endpoint: str, batch: list[WireEvent]) -> dict[str, Any] | None:
    headers = {"Content-Type": "application/json"}
    try:
        async with session.post(endpoint, data=msgspec.json.encode(batch), headers=headers) as answer:
            if answer.status == 200:  # noqa: PLR2004 - the one status of success
                result: dict[str, Any] = await answer.json()
                if result["rejected"]:
                    log.warning("demo events were rejected", rejected=result["rejected"][:3])
                return result
            log.warning("demo events were not accepted", status=answer.status)
    except (aiohttp.ClientError, TimeoutError) as error:
        log.warning("demo events could not be sent", error=str(error))
    return None
