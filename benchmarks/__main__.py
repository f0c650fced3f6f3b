"""``python -m benchmarks``: measures one thing or all, prints ratios first, and writes JSON.

Machines differ, and one machine varies: only ratios that were taken in one run mean anything.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import sqlite3
from pathlib import Path
from typing import Any

from benchmarks import (
    devices,
    findings,
    fleet,
    front,
    heartbeats,
    ingest,
    late,
    live,
    memory,
    nodes,
    reads,
    spans,
    start,
    sweeps,
    visits,
)
from tests.support import databases

PARTS = (
    "start",
    "ingest",
    "nodes",
    "late",
    "devices",
    "heartbeats",
    "sweeps",
    "fleet",
    "front",
    "latency",
    "grid",
    "memory",
    "spans",
    "reads",
    "findings",
    "streams",
    "pages",
    "visits",
)


async def run(options: argparse.Namespace) -> dict[str, Any]:  # noqa: C901, PLR0912, PLR0915 - one part after the other
    """Runs the chosen parts; returns their results by name."""
    parts = options.parts or PARTS
    found: dict[str, Any] = {"machine": {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version}}
    if "start" in parts:
        found["start"] = {"zimwatch": start.measure()}
        show("The start of a command beside that of a bare Python", found["start"])
    if "ingest" in parts:
        found["ingest"] = await whole_path(options)
    if "nodes" in parts:
        found["nodes"] = await nodes.measure(users=options.fleet, count=options.events, rounds=options.rounds)
        show("Nodes on PostgreSQL, batches of 100 on 16 connections", found["nodes"])
    if "late" in parts:
        found["late"] = await late.measure(history=100_000, clients=10_000, rounds=options.rounds)
        show("Late events and many clients, the store alone", found["late"])
    if "devices" in parts:
        found["devices"] = {"beside one device": await devices.measure()}
        show("An event by the devices of its user, the store alone", found["devices"])
    if "heartbeats" in parts:
        found["heartbeats"] = await heartbeats.measure()
        show("Heartbeats, the server's process", found["heartbeats"])
    if "sweeps" in parts:
        found["sweeps"] = await sweeps.measure(100_000)
        show("100,000 leases that run out at once", found["sweeps"])
    if "fleet" in parts:
        found["fleet"] = await fleet.measure()
        show("100 million users, 2 million online, all reconnect within a minute", found["fleet"])
    if "front" in parts:
        found["front"] = await front.measure(events=options.events)
        show("Requests beside the least that they could cost", found["front"])
    if "latency" in parts:
        found["latency"] = await ingest.latency(users=options.fleet, count=options.events)
        show("Answers", found["latency"])
    if "grid" in parts:
        found["grid"] = await ingest.grid(users=options.fleet, count=options.events // 4)
        show("Batch x connections: events/s, p50 ms, p99 ms", found["grid"])
    if "memory" in parts:
        found["memory"] = {}
        for users in (10_000, options.known):
            found["memory"] |= await memory.measure(users, options.minutes)
        show("Memory at full speed", found["memory"])
    if "spans" in parts:
        found["spans"] = await spans.measure(options.events // 2, options.rounds)
        show("Spans", found["spans"])
    if "reads" in parts:
        with databases.engine(options.engine), reads.folder_of(options.folder) as folder:
            found["reads"] = await reads.measure(folder, options.users, options.log, options.times)
        databases.stop()
        show("Reads", found["reads"])
    if "findings" in parts:
        found["findings"] = {"CPU of one read": await findings.measure()}
        show("The findings of a user, the store alone", found["findings"])
    if "streams" in parts:
        found["streams"] = await live.streams(10)
        show("Streams of changes", found["streams"])
    if "pages" in parts:
        found["pages"] = await live.pages(30)
        show("Open pages", found["pages"])
    if "visits" in parts:
        with reads.folder_of(options.folder) as folder:
            found["visits"] = await visits.measure(folder, options.users, options.log, 7)
        show("Pages in Chromium", found["visits"])
    return found


async def whole_path(options: argparse.Namespace) -> dict[str, Any]:
    """Inserts into empty tables, and into large ones."""
    found = {}
    for held in (0, options.held):
        measured = await ingest.whole_path(users=options.fleet, count=options.events, rounds=options.rounds, held=held)
        show(f"The whole path, batches of 100 on 16 connections, {held:,} events before", measured)
        found[f"{held} events before"] = measured
    return found


def show(title: str, found: dict[str, Any]) -> None:
    """A table, ratios first."""
    print(f"\n{title}")
    for key, value in sorted(found.items(), key=lambda item: "beside" not in item[0]):
        if isinstance(value, dict):
            columns = next(iter(value.values()))
            print(f"\n  {key:<48} " + " ".join(f"{column:>18}" for column in columns))
            for name, row in value.items():
                print(f"  {name:<48} " + " ".join(f"{one:>18,.2f}" for one in row.values()))
        else:
            print(f"  {key:<48} {value:>12,.2f}" if isinstance(value, int | float) else f"  {key:<48} {value}")


def main() -> None:
    """Runs the command; results are printed as they come."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="all of them where none is named")
    parser.add_argument("--fleet", type=int, default=20_000, help="clients that send (%(default)s)")
    parser.add_argument("--events", type=int, default=100_000, help="in each round (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="(%(default)s)")
    parser.add_argument(
        "--held",
        type=int,
        default=1_000_000,
        help="events in all tables before ingest is measured a second time (%(default)s)",
    )
    parser.add_argument("--known", type=int, default=1_000_000, help="most users of the memory's growth (%(default)s)")
    parser.add_argument("--minutes", type=int, default=2, help="of full speed for the memory (%(default)s)")
    parser.add_argument("--users", type=int, default=100_000, help="of the read side (%(default)s)")
    parser.add_argument("--log", type=int, default=1_000_000, help="events of the read side (%(default)s)")
    parser.add_argument("--times", type=int, default=100, help="that each page is read, a call ten times as often")
    parser.add_argument("--engine", choices=databases.ENGINES, default="sqlite", help="of the read side (%(default)s)")
    parser.add_argument("--folder", type=Path, help="where the database of the read side is kept for the next time")
    parser.add_argument("--json", type=Path, default=Path(".build/bench.json"), help="(%(default)s)")
    options = parser.parse_args()
    if options.engine != "sqlite" and options.folder:
        parser.error("a database of PostgreSQL is not kept")
    found = asyncio.run(run(options))
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(found, indent=2, default=float) + "\n")
    print(f"\nwritten to {options.json}")


if __name__ == "__main__":
    main()
