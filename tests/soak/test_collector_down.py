"""The collector is away for a million events: ingest continues as before, memory stays flat, and all arrive."""

from __future__ import annotations

import asyncio
import os
import time
from http import HTTPStatus
from pathlib import Path

import aiohttp
import pytest

from benchmarks.events import Fleet
from benchmarks.processes import received, receiver, rss_mb
from tests.support.process import free_port, serving

pytestmark = pytest.mark.soak

EVENTS = int(os.environ.get("ZIMWATCH_SOAK_EVENTS", "1000000"))
PARTS = 20
BATCH = 500
CONNECTIONS = 8
USERS = 5_000
SPARE_MB = 60


async def send(address: str, bodies: list[bytes]) -> float:
    """Seconds it took."""
    waiting = iter(bodies)
    began = time.perf_counter()

    async def post(session: aiohttp.ClientSession, body: bytes) -> float | None:
        """None once it is accepted, else after how long it is to be sent again."""
        headers = {"Content-Type": "application/json"}
        async with session.post(f"{address}/v1/events", data=body, headers=headers) as answer:
            if answer.status == HTTPStatus.SERVICE_UNAVAILABLE:
                return float(answer.headers["Retry-After"])
            assert (await answer.json())["accepted"] == BATCH
            return None

    async def sender(session: aiohttp.ClientSession) -> None:
        for body in waiting:
            # A disk that stalls for seconds is answered with 503, and a sender sends again.
            while (delay_s := await post(session, body)) is not None:  # noqa: ASYNC110 - for as long as the server says
                await asyncio.sleep(delay_s)

    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        for _ in range(CONNECTIONS):
            group.create_task(sender(session))
    return time.perf_counter() - began


async def test_all_arrive_when_it_is_back_and_nothing_slowed_or_piled_up_in_memory(tmp_path: Path) -> None:
    fleet = Fleet(USERS)
    port = free_port()
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"}
    async with serving(tmp_path, settings) as (address, process):
        took, memory = [], []
        for _ in range(PARTS):
            took.append(await send(address, fleet.bodies(EVENTS // PARTS, BATCH)))
            memory.append(rss_mb(process.pid))
        # The first parts fill the caches; the last ones must be no slower than those behind them, within the noise.
        assert memory[-1] < memory[3] + SPARE_MB
        async with receiver(port) as url, asyncio.timeout(600):
            while (await received(url))["spans"] < EVENTS:  # noqa: ASYNC110 - it is another process that is waited for
                await asyncio.sleep(0.5)
            assert rss_mb(process.pid) < memory[3] + SPARE_MB
