"""The whole path beside bare SQLite: HTTP with a token, checks, commit, projections, and spans to a collector."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import bare
from benchmarks.events import Fleet
from benchmarks.processes import cpu_s, load, receiver, rss_mb, told
from tests.support.process import DATABASE, serving

ROUNDS_BEFORE = 20_000


def token_for(folder: Path) -> str:
    """A new ingest token of the database in ``folder``."""
    options = ["token", "create", "--scope", "ingest", "--database-url", f"sqlite:///{folder / DATABASE}"]
    made = subprocess.run(  # noqa: S603 - this project's own command
        [sys.executable, "-m", "sidecar", *options], check=True, capture_output=True, text=True, cwd=folder
    )
    return made.stdout.strip()


def percentile(values: list[float], share: float) -> float:
    """In milliseconds."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] * 1_000


async def whole_path(*, users: int, count: int, rounds: int, batch: int = 100, connections: int = 16) -> dict[str, Any]:
    """Medians over the rounds; a ratio is the median of the rounds' own ratios."""
    fleet = Fleet(users)
    rows = await asyncio.to_thread(bare.prepared, users, count)
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="zimwatch-bench-") as name:
        folder = Path(name)
        token = token_for(folder)
        async with receiver() as collector:
            settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector}
            async with serving(folder, settings) as (url, process):
                await load(folder, url, fleet.bodies(max(users * 2, ROUNDS_BEFORE), 500), token=token, connections=16)
                sent = max(users * 2, ROUNDS_BEFORE)
                for _ in range(rounds):
                    pk, two = (bare.measure(folder, rows, kind) for kind in bare.INDEXES)
                    bodies = fleet.bodies(count, batch)
                    await until(collector, sent)
                    cpu, spans, began = cpu_s(process.pid), (await told(collector))["spans"], time.perf_counter()
                    result = await load(folder, url, bodies, token=token, connections=connections)
                    if result["accepted"] != count:
                        raise RuntimeError(f"{result['accepted']} of {count} events were accepted")
                    sent += count
                    behind = sent - (await told(collector))["spans"]
                    await until(collector, sent)
                    rate = count / result["seconds"]
                    with_spans = count / (time.perf_counter() - began)
                    for key, value in {
                        "beside raw-pk": rate / pk,
                        "beside raw-2ix": rate / two,
                        "events/s": rate,
                        "events/s until the last span has arrived": with_spans,
                        "spans behind at the last answer": behind,
                        "raw-pk rows/s": pk,
                        "raw-2ix rows/s": two,
                        "answer p50 ms": percentile(result["latencies"], 0.5),
                        "answer p99 ms": percentile(result["latencies"], 0.99),
                        "CPU us an event, spans included": (cpu_s(process.pid) - cpu) / count * 1e6,
                        "RSS MB": rss_mb(process.pid),
                    }.items():
                        found.setdefault(key, []).append(value)
                    del spans
    return {key: statistics.median(values) for key, values in found.items()}


async def until(collector: str, spans: int) -> None:
    """Waits until the collector has so many."""
    while (await told(collector))["spans"] < spans:  # noqa: ASYNC110 - it is another process that is waited for
        await asyncio.sleep(0.05)
