"""A fleet that falls silent at once: the CPU of the whole server while its leases run out."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec

from benchmarks.processes import cpu_s
from tests.support.called import SECRET, Called, listening
from tests.support.process import serving
from tests.support.wire import fresh_event

# At most a share of a core.
CORE: Final = 0.08
MINUTE_S: Final = 60
_BATCH: Final = 1_000
_JSON: Final = {"Content-Type": "application/json"}


async def measure(users: int) -> dict[str, Any]:
    """A minute without events, then the minute from the end of the first lease on.

    With a receiver of alerts, an open stream and an open overview. Until the second minute is over nobody comes back.
    """
    hook = Called()
    with tempfile.TemporaryDirectory(prefix="zimwatch-bench-") as name:
        async with listening(hook):
            webhook = {"name": "ops", "type": "webhook", "url": f"{hook.url}/hook", "secret": SECRET}
            settings = {
                "ZIMWATCH_ALERTS__RECEIVERS": json.dumps([webhook]),
                # Else the interval of so many clients, and with it their leases, would be of minutes.
                "ZIMWATCH_LEASES__HEARTBEATS_PER_SECOND": str(users),
            }
            timeout = aiohttp.ClientTimeout(total=None)
            async with (
                serving(Path(name), settings) as (url, process),
                aiohttp.ClientSession(url, timeout=timeout) as http,
            ):
                readers = [asyncio.create_task(_read(http, path)) for path in ("/v1/stream", "/live/")]
                clients = [str(uuid.uuid4()) for _ in range(users)]
                await _send(http, _events(clients, 1))
                beaten = time.monotonic()
                await _send(http, _events(clients, 2, type="heartbeat"))
                beating_s = time.monotonic() - beaten
                before, began = cpu_s(process.pid), time.monotonic()
                await _silent(http, 1)
                idle = (cpu_s(process.pid) - before) / (time.monotonic() - began)
                before, began = cpu_s(process.pid), time.monotonic()
                await _silent(http, users)
                swept_s = time.monotonic() - began
                await asyncio.sleep(MINUTE_S - swept_s)
                core = (cpu_s(process.pid) - before) / MINUTE_S
                alerts = (await _summary(http))["alerts"]
                for reader in readers:
                    reader.cancel()
                await asyncio.gather(*readers, return_exceptions=True)
    return {
        "share of a core beside the target": core / CORE,
        "share of a core over their minute": core,
        "us of CPU each": core * MINUTE_S / users * 1e6,
        "share of a core before": idle,
        "seconds in which the heartbeats were sent": beating_s,
        "seconds until all are swept": swept_s,
        "alerts that fire": ", ".join(f"{count} {kind}" for kind, count in alerts.items()),
        "messages": [one["alert"]["summary"] for one in hook.taken],
    }


async def _silent(http: aiohttp.ClientSession, users: int) -> None:
    """Waits until so many users are without a sign of life; asks seldom, because a question costs CPU too."""
    for _ in range(2 * MINUTE_S):
        if (await _summary(http))["unconfirmed"] >= users:
            return
        await asyncio.sleep(1)
    raise RuntimeError("the fleet did not fall silent")


def _events(clients: list[str], seq: int, **more: str) -> Iterator[bytes]:
    for start in range(0, len(clients), _BATCH):
        yield msgspec.json.encode(
            [
                fresh_event(user_id=f"user-{start + number}", client_id=client, seq=seq, **more)
                for number, client in enumerate(clients[start : start + _BATCH])
            ]
        )


async def _send(http: aiohttp.ClientSession, bodies: Iterator[bytes]) -> None:
    for body in bodies:
        async with http.post("/v1/events", data=body, headers=_JSON) as answer:
            answer.raise_for_status()


async def _summary(http: aiohttp.ClientSession) -> dict[str, Any]:
    async with http.get("/v1/summary") as answer:
        found: dict[str, Any] = await answer.json()
        return found


async def _read(http: aiohttp.ClientSession, path: str) -> None:
    async with http.get(path) as response:
        while await response.content.readany():
            pass
