"""How fast events are taken in, beside bare SQLite on the same disk in the same run.

Bare: ``sqlite3.executemany``, 1,000 rows a commit, synchronous=FULL, no secondary index. Ours: ``zimwatch serve`` in
a process of its own, 100 events a request on 16 connections: HTTP, checks, commit, status and the answer. The two take
turns, and medians are reported. Machines differ, and one machine varies, so it is the **ratio** that means something.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sqlite3
import statistics
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import aiohttp

from tests.support.process import serving

BARE_BATCH = 1_000
BATCH = 100
CONNECTIONS = 16
USERS = 1_000
STATES = (("CONNECTED", "SUCCESS"), ("RECONNECTING", "LOGIN_INTERRUPTED"))
COLUMNS = "id, type, occurred_at, client_id, seq, session_id, app_id, user_id, platform, state, event, extended_data"

Row = tuple[bytes, str, str, str, int, str, int, str, str, str, str, str]


def rows(count: int) -> Iterator[Row]:
    """What ``USERS`` clients report as their network comes and goes; no two rows share an id."""
    clients = [(str(uuid.uuid4()), str(uuid.uuid4())) for _ in range(USERS)]
    for number in range(count):
        client, session = clients[number % USERS]
        seq = number // USERS + 1
        state, event = STATES[seq % 2]
        at = f"2026-11-24T10:{seq // 60 % 60:02}:{seq % 60:02}Z"
        kind = "connection_state_changed"
        user = f"user-{number % USERS}"
        yield uuid.uuid4().bytes, kind, at, client, seq, session, 1, user, "Web", state, event, "{}"


def bodies(count: int) -> list[bytes]:
    """``count`` events as request bodies of ``BATCH`` each, made before the clock starts."""
    names = COLUMNS.split(", ")
    events = [{**dict(zip(names, row, strict=True)), "id": str(uuid.UUID(bytes=row[0]))} for row in rows(count)]
    return [json.dumps(events[start : start + BATCH]).encode() for start in range(0, count, BATCH)]


def bare(folder: Path, count: int) -> float:
    """Rows a second."""
    prepared = list(rows(count))
    path = folder / "bare.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute(f"CREATE TABLE events (position INTEGER PRIMARY KEY, {COLUMNS})")
        insert = f"INSERT INTO events ({COLUMNS}) VALUES ({', '.join('?' * len(prepared[0]))})"
        began = time.perf_counter()
        for start in range(0, count, BARE_BATCH):
            database.execute("BEGIN IMMEDIATE")
            database.executemany(insert, prepared[start : start + BARE_BATCH])
            database.execute("COMMIT")
        took = time.perf_counter() - began
    for file in folder.glob("bare.db*"):
        file.unlink()
    return count / took


async def ours(address: str, count: int) -> tuple[float, list[float]]:
    """Events a second, and each request's seconds."""
    waiting = iter(bodies(count))
    seconds: list[float] = []

    async def sender(session: aiohttp.ClientSession) -> None:
        for body in waiting:
            began = time.perf_counter()
            async with session.post(
                f"{address}/v1/events", data=body, headers={"Content-Type": "application/json"}
            ) as response:
                answer = await response.json()
            seconds.append(time.perf_counter() - began)
            if response.status != 200 or answer["accepted"] != body.count(b'"seq"'):  # noqa: PLR2004 - HTTP's OK
                raise RuntimeError(f"not all of a request was accepted: {response.status} {answer}")

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONNECTIONS)) as session:
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(CONNECTIONS):
                group.create_task(sender(session))
        took = time.perf_counter() - began
    return count / took, seconds


async def measure(count: int, rounds: int) -> dict[str, float]:
    """Medians over the rounds; the ratio is the median of the rounds' own ratios."""
    bare_rates, our_rates, seconds = [], [], []
    with tempfile.TemporaryDirectory(prefix="zimwatch-bench-") as name:
        folder = Path(name)
        async with serving(folder) as (address, _process):
            await ours(address, 20 * BATCH)  # first requests pay for imports and statement caches
            for _ in range(rounds):
                bare_rates.append(bare(folder, count))
                rate, took = await ours(address, count)
                our_rates.append(rate)
                seconds += took
        with contextlib.closing(sqlite3.connect(folder / "zimwatch.db")) as database:
            stored = database.execute("SELECT count(*) FROM events").fetchone()[0]
    if stored != rounds * count + 20 * BATCH:
        raise RuntimeError(f"{stored} events were stored, not {rounds * count + 20 * BATCH}")
    percentiles = statistics.quantiles(seconds, n=100)
    return {
        "ratio": statistics.median(our / base for our, base in zip(our_rates, bare_rates, strict=True)),
        "events_per_s": statistics.median(our_rates),
        "bare_rows_per_s": statistics.median(bare_rates),
        "request_p50_ms": percentiles[49] * 1_000,
        "request_p99_ms": percentiles[98] * 1_000,
        "events_per_round": count,
        "rounds": rounds,
    }


def main() -> None:
    """Prints the ratio first, and writes all of it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=50_000, help="in each round, a multiple of 1000 (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="(%(default)s)")
    parser.add_argument("--json", type=Path, default=Path(".build/bench.json"), help="where to write it (%(default)s)")
    asked = parser.parse_args()
    found = asyncio.run(measure(asked.events, asked.rounds))
    print(
        f"{found['ratio']:.2f} of bare SQLite: {found['events_per_s']:,.0f} events/s over HTTP,"
        f" {found['bare_rows_per_s']:,.0f} rows/s bare"
    )
    print(
        f"a request of {BATCH} events on {CONNECTIONS} connections:"
        f" p50 {found['request_p50_ms']:.1f} ms, p99 {found['request_p99_ms']:.1f} ms"
    )
    asked.json.parent.mkdir(parents=True, exist_ok=True)
    asked.json.write_text(json.dumps({name: round(value, 3) for name, value in found.items()}, indent=2) + "\n")
    print(f"written to {asked.json}")


if __name__ == "__main__":
    main()
