"""The whole path beside bare SQLite: HTTP with a token, checks, commit, projections, and spans to a collector."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import bare
from benchmarks.events import Fleet
from benchmarks.processes import cpu_s, load, received, receiver, rss_mb
from tests.support.process import DATABASE, serving

ROUNDS_BEFORE = 20_000


def token_for(folder: Path, url: str = "") -> str:
    """A new ingest token of the database with this URL, by default of the file in ``folder``."""
    options = ["token", "create", "--scope", "ingest", "--database-url", url or f"sqlite:///{folder / DATABASE}"]
    command = subprocess.run(  # noqa: S603 - this project's own command
        [sys.executable, "-m", "sidecar", *options], check=True, capture_output=True, text=True, cwd=folder
    )
    return command.stdout.strip()


def percentile(values: list[float], share: float) -> float:
    """In milliseconds."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] * 1_000


async def whole_path(
    *, users: int, count: int, rounds: int, held: int, batch: int = 100, connections: int = 16
) -> dict[str, Any]:
    """Medians over the rounds; a ratio is the median of the rounds' own ratios.

    Both bare tables and the server's log hold ``held`` events before the first round.
    """
    fleet, others = Fleet(users), Fleet(users, seed=2)
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="zimwatch-bench-") as name, contextlib.ExitStack() as opened:
        folder = Path(name)
        token = token_for(folder)
        rows = await asyncio.to_thread(bare.prepared, others, count)
        with contextlib.closing(sqlite3.connect(folder / DATABASE, isolation_level=None)) as log:
            bare.hold(log, rows, held)
        kinds = [
            opened.enter_context(contextlib.closing(bare.Table(folder, kind, rows, held))) for kind in bare.INDEXES
        ]
        own = await asyncio.to_thread(bare.Statements, folder, users, count)
        async with receiver() as collector:
            settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector}
            async with serving(folder, settings) as (url, process):
                await load(folder, url, fleet.bodies(max(users * 2, ROUNDS_BEFORE), 500), token=token, connections=16)
                sent = max(users * 2, ROUNDS_BEFORE)
                for number in range(rounds):
                    rows = await asyncio.to_thread(bare.prepared, others, count, after=held + number * count)
                    pk, two = (table.append(rows) for table in kinds)
                    statements = own.measure(folder)
                    bodies = fleet.bodies(count, batch)
                    await until(collector, sent)
                    cpu, began = cpu_s(process.pid), time.perf_counter()
                    result = await load(folder, url, bodies, token=token, connections=connections)
                    if result["accepted"] != count:
                        raise RuntimeError(f"{result['accepted']} of {count} events were accepted")
                    sent += count
                    behind = sent - (await received(collector))["spans"]
                    await until(collector, sent)
                    rate = count / result["seconds"]
                    with_spans = count / (time.perf_counter() - began)
                    for key, value in {
                        "beside raw-pk": rate / pk,
                        "beside raw-2ix": rate / two,
                        "beside its own statements, executed by bare SQLite": rate / statements,
                        "these statements beside raw-pk": statements / pk,
                        "these statements beside raw-2ix": statements / two,
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
    return {key: statistics.median(values) for key, values in found.items()}


async def latency(*, users: int, count: int) -> dict[str, Any]:
    """The latency of answers: one event a request on one connection, and batches of 100 at 40 % of the best load."""
    fleet = Fleet(users)
    with tempfile.TemporaryDirectory(prefix="zimwatch-bench-") as name:
        folder = Path(name)
        token = token_for(folder)
        async with receiver() as collector, serving(folder, {"OTEL_EXPORTER_OTLP_ENDPOINT": collector}) as (url, _):
            await load(folder, url, fleet.bodies(users * 2, 500), token=token, connections=16)
            best = await load(folder, url, fleet.bodies(count, 100), token=token, connections=16)
            rate = 0.4 * (count // 100) / best["seconds"]
            paced = await load(folder, url, fleet.bodies(count // 2, 100), token=token, connections=16, rate=rate)
            single = await load(folder, url, fleet.bodies(2_000, 1), token=token, connections=1)
    return {
        "at 40 % of the best load, batch 100: p50 ms": percentile(paced["latencies"], 0.5),
        "at 40 % of the best load, batch 100: p99 ms": percentile(paced["latencies"], 0.99),
        "one event a request, one connection: p50 ms": percentile(single["latencies"], 0.5),
        "one event a request, one connection: p99 ms": percentile(single["latencies"], 0.99),
    }


async def grid(*, users: int, count: int) -> dict[str, Any]:
    """Every size of batch on every number of connections; fewer events for small batches."""
    fleet = Fleet(users)
    found = {}
    with tempfile.TemporaryDirectory(prefix="zimwatch-bench-") as name:
        folder = Path(name)
        token = token_for(folder)
        async with serving(folder) as (url, process):
            await load(folder, url, fleet.bodies(users * 2, 500), token=token, connections=16)
            for batch in (1, 10, 100, 500):
                for connections in (1, 16, 64):
                    events = min(count, batch * 1_000)
                    cpu = cpu_s(process.pid)
                    done = await load(folder, url, fleet.bodies(events, batch), token=token, connections=connections)
                    found[f"batch {batch} x {connections}"] = (
                        f"{events / done['seconds']:>8,.0f} events/s"
                        f" {percentile(done['latencies'], 0.5):>8.1f} {percentile(done['latencies'], 0.99):>8.1f} ms"
                        f" {(cpu_s(process.pid) - cpu) / events * 1e6:>8.0f} us CPU {rss_mb(process.pid):>6.0f} MB"
                    )
    return found


async def until(collector: str, spans: int) -> None:
    """Waits until the collector has so many spans."""
    while (await received(collector))["spans"] < spans:  # noqa: ASYNC110 - it is another process that is waited for
        await asyncio.sleep(0.05)
