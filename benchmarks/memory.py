"""Memory at full speed of ingest, with a growing number of users."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.events import Fleet
from benchmarks.ingest import token_for
from benchmarks.processes import load, receiver, rss_mb
from tests.support.process import serving

CHUNK = 100_000
MINUTE_S = 60


async def measure(users: int, minutes: int) -> dict[str, Any]:
    """Batches of 100 on 16 connections, each change another user's, one run of them after the other."""
    fleet = Fleet(users)
    sent = 0
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(prefix="zimwatch-bench-") as name:
        folder = Path(name)
        token = token_for(folder)
        async with (
            receiver() as collector,
            serving(folder, {"OTEL_EXPORTER_OTLP_ENDPOINT": collector}) as (url, process),
        ):
            found["at the start"] = {"RSS MB": rss_mb(process.pid), "known users": 0, "events/s": 0}
            bodies = await asyncio.to_thread(fleet.bodies, CHUNK, 100)
            began = time.perf_counter()
            while len(found) <= minutes:
                # Prepared while others are sent, so that the server is never idle for long.
                making = asyncio.create_task(asyncio.to_thread(fleet.bodies, CHUNK, 100))
                sent += (await load(folder, url, bodies, token=token, connections=16))["accepted"]
                bodies = await making
                lasted_s = time.perf_counter() - began
                if lasted_s >= MINUTE_S * len(found):
                    found[f"after {lasted_s / MINUTE_S:.1f} minutes"] = {
                        "RSS MB": rss_mb(process.pid),
                        "known users": fleet.known,
                        "events/s": sent / lasted_s,
                    }
    return {f"{users:,} users": found}
