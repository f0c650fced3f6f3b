"""Runs the made-up users from now on, and sends their events to ``POST /v1/events``, like any client."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any, Final

import aiohttp
import msgspec
import structlog

from sidecar.clock import Clock
from sidecar.demo.day import Report, reports
from sidecar.demo.person import Person, by_own_clock
from sidecar.domain import rfc3339
from sidecar.sdk.recording.recorder import WireEvent

log = structlog.stdlib.get_logger(__name__)

TICK_S: Final = 0.25
BATCH_EVENTS: Final = 200
# Events kept while Zimwatch cannot be reached; the oldest beyond that are dropped.
QUEUED_EVENTS: Final = 20_000

_OFF: Final = attrgetter("clock_off_us")


async def live(people: Sequence[Person], endpoint: str, *, clock: Clock) -> None:
    """Runs until cancelled. A batch without a 200 is sent again unchanged: by its ids it is stored once."""
    queue: list[Report] = []
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        while True:
            now_us = clock()
            for one in people:
                queue += reports(one.advance(now_us), one.clock_off_us)
            queue.sort(key=attrgetter("at_us"))
            del queue[:-QUEUED_EVENTS]
            while queue and (after_s := await _sent(session, endpoint, queue[:BATCH_EVENTS], clock)):
                del queue[:BATCH_EVENTS]
                for one in people:
                    one.user.heartbeat_after(after_s, now_us)
            await asyncio.sleep(TICK_S)


async def _sent(session: aiohttp.ClientSession, endpoint: str, batch: list[Report], clock: Clock) -> int | None:
    """Sends the events of clocks that are equally wrong together; the interval of heartbeats, None for a failure."""
    after_s = None
    for off_us, some in groupby(sorted(batch, key=_OFF), key=_OFF):
        events = [by_own_clock(report.event, off_us) for report in some]
        answer = await _posted(session, endpoint, events, {"sent_at": rfc3339.text(clock() + off_us)} if off_us else {})
        if answer is None:
            return None
        after_s = int(answer["heartbeat_after_s"])
    return after_s


async def _posted(
    session: aiohttp.ClientSession, endpoint: str, events: list[WireEvent], query: dict[str, str]
) -> dict[str, Any] | None:
    headers = {"Content-Type": "application/json"}
    try:
        async with session.post(endpoint, params=query, data=msgspec.json.encode(events), headers=headers) as answer:
            if answer.status == 200:  # noqa: PLR2004 - the one status of success
                result: dict[str, Any] = await answer.json()
                if result["rejected"]:
                    log.warning("demo events were rejected", rejected=result["rejected"][:3])
                return result
            log.warning("demo events were not accepted", status=answer.status)
    except (aiohttp.ClientError, TimeoutError) as error:
        log.warning("demo events could not be sent", error=str(error))
    return None
