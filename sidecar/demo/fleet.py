"""Keeps the simulated users going and sends what they report to ``POST /v1/events``, as any client would."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import aiohttp
import msgspec
import structlog

from sidecar.clock import Clock
from sidecar.sdk.recorder import WireEvent
from sidecar.sdk.simulator import SimulatedUser

log = structlog.stdlib.get_logger(__name__)

TICK_S: Final = 0.25
BATCH_EVENTS: Final = 200
# While Zimwatch cannot be reached, this much waits to be sent again; beyond it the oldest is given up.
HELD_EVENTS: Final = 20_000


async def live(users: Sequence[SimulatedUser], endpoint: str, *, clock: Clock) -> None:
    """Runs until cancelled. A batch that got no 200 is sent again as it was: the ids make it count once."""
    held: list[WireEvent] = []
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        while True:
            now_us = clock()
            for user in users:
                held += user.advance(now_us)
            held.sort(key=lambda event: str(event["occurred_at"]))
            del held[:-HELD_EVENTS]
            while held and await _sent(session, endpoint, held[:BATCH_EVENTS]):
                del held[:BATCH_EVENTS]
            await asyncio.sleep(TICK_S)


async def _sent(session: aiohttp.ClientSession, endpoint: str, batch: list[WireEvent]) -> bool:
    headers = {"Content-Type": "application/json"}
    try:
        async with session.post(endpoint, data=msgspec.json.encode(batch), headers=headers) as answer:
            if answer.status == 200:  # noqa: PLR2004 - the one answer that says it was kept
                told = await answer.json()
                if told["rejected"]:
                    log.warning("demo events were rejected", rejected=told["rejected"][:3])
                return True
            log.warning("demo events were not taken", status=answer.status)
    except (aiohttp.ClientError, TimeoutError) as error:
        log.warning("demo events could not be sent", error=str(error))
    return False
