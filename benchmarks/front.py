"""What a request costs beside the least that it could: ratios of two sides that alternate within one run.

Servers have one core, senders the other, so that both sides get the same whatever else the machine does.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pickle
import statistics
import sys
import tempfile
from collections.abc import Sequence
from operator import truediv
from pathlib import Path
from typing import Any

from benchmarks import bare
from benchmarks.events import Fleet
from benchmarks.ingest import percentile, token_for
from benchmarks.load import EVENTS
from benchmarks.processes import cpu_ns, listening, load
from tests.support.process import free_port, serving

ROUNDS = 10
REQUESTS = 1_000
SINGLES = 200
PACED_S = 3.0
LOAD = 0.4
USERS = 20_000
SERVER_CORE = ("taskset", "-c", str(max(os.sched_getaffinity(0))))
SENDER_CORE = ("taskset", "-c", str(min(os.sched_getaffinity(0))))


async def measure(events: int) -> dict[str, Any]:
    """All of it; ``events`` are those of each round of the rate."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="zimwatch-bench-") as name:
        folder = Path(name)
        token = token_for(folder)
        async with serving(folder, before=SERVER_CORE) as (url, process):
            found |= await requests(folder, url, process.pid, token)
            found |= await alone(folder, url, token)
            found |= await paced(folder, url, token)
    return found | await beside_text(events)


async def requests(folder: Path, url: str, pid: int, token: str) -> dict[str, float]:
    """CPU of one event a request on one kept connection, beside ``GET /livez``."""
    fleet = Fleet(1)
    livez_us: list[float] = []
    event_us: list[float] = []
    for number in range(ROUNDS + 1):
        for took, path in ((livez_us, "/livez"), (event_us, EVENTS)):
            bodies = fleet.bodies(REQUESTS, 1) if path == EVENTS else [b""] * REQUESTS
            before = cpu_ns(pid)
            await load(folder, url, bodies, token=token, connections=1, before=SENDER_CORE, path=path)
            if number:  # the first warms up
                took.append((cpu_ns(pid) - before) / REQUESTS / 1_000)
    return {
        "CPU of an event alone, beside GET /livez": statistics.median(map(truediv, event_us, livez_us)),
        "CPU of GET /livez, us": statistics.median(livez_us),
        "CPU of an event alone, us": statistics.median(event_us),
    }


async def alone(folder: Path, url: str, token: str) -> dict[str, float]:
    """One event a request on one connection, beside a bare handler that commits one row."""
    fleet = Fleet(USERS)
    ours, theirs = _Rounds(), _Rounds()
    port = free_port()
    command = _command(folder, "serve", "--folder", folder, "--port", port)
    async with listening(f"http://127.0.0.1:{port}", *command) as bare_url:
        for _ in range(ROUNDS):
            for at, side in ((url, ours), (bare_url, theirs)):
                bodies = fleet.bodies(SINGLES, 1)
                sent = await load(folder, at, bodies, token=token, connections=1, before=SENDER_CORE)
                side.add(sent["latencies"])
    return ours.beside(theirs, "one event a request, one connection", "a bare POST and commit")


async def paced(folder: Path, url: str, token: str) -> dict[str, float]:
    """Batches of 100 on 16 connections at 40 % of the best load, beside bare group commit at the same rate."""
    fleet = Fleet(USERS)
    await load(folder, url, fleet.bodies(USERS * 2, 500), token=token, connections=16)
    best = await load(folder, url, fleet.bodies(USERS * 2, 100), token=token, connections=16, before=SENDER_CORE)
    rate = LOAD * USERS * 2 / 100 / best["seconds"]
    count = int(PACED_S * rate)
    ours, theirs = _Rounds(), _Rounds()
    for _ in range(ROUNDS):
        bodies = fleet.bodies(count * 100, 100)
        sent = await load(folder, url, bodies, token=token, connections=16, rate=rate, before=SENDER_CORE)
        ours.add(sent["latencies"])
        theirs.add(await _group_commit(folder, rate, count))
    return ours.beside(theirs, f"batches of 100 at {LOAD:.0%} of the best load", "bare group commit")


class _Rounds:
    """The latencies of one side: medians over the rounds, as the disk stalls in some of them for either side."""

    def __init__(self) -> None:
        self.p50: list[float] = []
        self.p99: list[float] = []

    def add(self, latencies: list[float]) -> None:
        """Those of one round, in seconds."""
        self.p50.append(percentile(latencies, 0.5))
        self.p99.append(percentile(latencies, 0.99))

    def beside(self, least: _Rounds, what: str, what_least: str) -> dict[str, float]:
        """The ratio of the p99, and the p50 and p99 of both sides."""
        found = {f"{what}: p99 beside {what_least}": statistics.median(self.p99) / statistics.median(least.p99)}
        for name, side in ((what, self), (what_least, least)):
            found[f"{name}: p50 ms"] = statistics.median(side.p50)
            found[f"{name}: p99 ms"] = statistics.median(side.p99)
        return found


async def beside_text(events: int) -> dict[str, float]:
    """The rate of 8 connections and 5,000 users from an empty table on, beside raw-text from an empty table on."""
    ratios, rates = [], []
    for number in range(3):
        with tempfile.TemporaryDirectory(prefix="zimwatch-bench-") as name:
            folder = Path(name)
            token = token_for(folder)
            rows = await asyncio.to_thread(bare.prepared, Fleet(5_000, seed=9 + number), events)
            with contextlib.closing(bare.Table(folder, bare.TEXT, [], 0)) as table:
                raw = table.append(bare.as_text(rows))
            async with serving(folder) as (url, _):
                sent = await load(folder, url, Fleet(5_000).bodies(events, 100), token=token, connections=8)
            rates.append(events / sent["seconds"])
            ratios.append(rates[-1] / raw)
    return {
        "8 connections, batches of 100, 5,000 users, empty: beside raw-text": statistics.median(ratios),
        "the same, events/s": statistics.median(rates),
    }


def _command(folder: Path, what: str, *options: object) -> Sequence[str]:
    rows = folder / "rows.pickle"
    if not rows.exists():
        rows.write_bytes(pickle.dumps(bare.prepared(Fleet(USERS, seed=3), 10_000)))
    return (*SERVER_CORE, sys.executable, "-m", "benchmarks.bare_server", what, str(rows), *map(str, options))


async def _group_commit(folder: Path, rate: float, count: int) -> list[float]:
    with tempfile.TemporaryDirectory(dir=folder) as name:
        command = _command(folder, "commit", "--folder", name, "--batch", 100, "--rate", rate, "--count", count)
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        output, _ = await process.communicate()
    found: list[float] = json.loads(output)
    return found
