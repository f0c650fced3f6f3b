"""Nodes on PostgreSQL: the whole path beside its own statements, beside SQLite, and two nodes beside one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import statistics
import tempfile
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import psycopg

from benchmarks.bare_postgres import Server, Statements
from benchmarks.events import Fleet
from benchmarks.ingest import percentile, token_for, until
from benchmarks.processes import cpu_s, load, receiver
from tests.support import databases, postgres
from tests.support.process import DATABASE, serving

_BATCH: Final = 100
_CONNECTIONS: Final = 16
_WARM_EVENTS: Final = 5_000


class _Engine(msgspec.Struct):
    """A database that as many nodes serve as there are fleets, each of which sends to a node of its own."""

    url: str
    folders: Sequence[Path]
    fleets: Sequence[Fleet]
    token: str

    @classmethod
    def of(cls, folder: Path, name: str, url: str, users: int, nodes: int) -> _Engine:
        """All of them have ``users`` together."""
        folders = [folder / f"{name} {number}" for number in range(nodes)]
        for one in folders:
            one.mkdir()
        url = url or f"sqlite:///{folders[0] / DATABASE}"
        fleets = [Fleet(users // nodes, seed=10 + number) for number in range(nodes)]
        return cls(url, folders, fleets, token_for(folders[0], url))


async def measure(*, users: int, count: int, rounds: int) -> dict[str, Any]:
    """Medians over the rounds; a ratio is the median of the rounds' own ratios."""
    found: dict[str, list[float]] = {}
    with (
        tempfile.TemporaryDirectory(prefix="zimwatch-bench-") as name,
        postgres.cluster(durable=True) as (admin, _),
    ):
        folder, server = Path(name), Server(admin.replace("+psycopg", ""))
        own = await asyncio.to_thread(Statements, server, users, count)
        sqlite = _Engine.of(folder, "sqlite", "", users, 1)
        one = _Engine.of(folder, "one", server.create("bench_one"), users, 1)
        two = _Engine.of(folder, "two", server.create("bench_two"), users, 2)
        for engine in (sqlite, one, two):
            await _rate(engine, users * 2)
        for _ in range(rounds):
            statements, statements_s = await asyncio.to_thread(own.measure)
            on_sqlite, on_one, on_two = [await _rate(engine, count) for engine in (sqlite, one, two)]
            for key, value in {
                "one node beside its own statements, executed by bare psycopg": on_one["rate"] / statements,
                "one node beside them, by CPU": statements_s / (on_one["node"] + on_one["server"]),
                "one node beside SQLite": on_one["rate"] / on_sqlite["rate"],
                "two nodes beside one": on_two["rate"] / on_one["rate"],
                "statements, events/s": statements,
                "SQLite, events/s": on_sqlite["rate"],
                "one node, events/s": on_one["rate"],
                "two nodes, events/s": on_two["rate"],
                "answer of one node p50 ms": percentile(on_one["latencies"], 0.5),
                "answer of one node p99 ms": percentile(on_one["latencies"], 0.99),
                "CPU us an event of the node on SQLite": on_sqlite["node"] / count * 1e6,
                "CPU us an event of one node": on_one["node"] / count * 1e6,
                "CPU us an event of the statements and their PostgreSQL": statements_s / count * 1e6,
                "CPU us an event of its PostgreSQL": on_one["server"] / count * 1e6,
                "CPU us an event of two nodes": on_two["node"] / count * 1e6,
                "CPU us an event of their PostgreSQL": on_two["server"] / count * 1e6,
            }.items():
                found.setdefault(key, []).append(value)
    cores = os.cpu_count() or 1
    return {key: statistics.median(values) for key, values in found.items()} | {"cores of this machine": cores}


async def _rate(engine: _Engine, count: int) -> dict[str, Any]:
    """``rate`` in events a second of all nodes together, ``latencies``, and the CPU of ``node`` and ``server`` in s."""
    nodes = len(engine.folders)
    async with receiver() as collector, _served(engine, collector) as serves:
        ports = [url for url, _ in serves]
        await _send(engine, ports, _WARM_EVENTS, 500)
        await until(collector, _WARM_EVENTS)
        cpu, server = sum(cpu_s(process.pid) for _, process in serves), _sessions_cpu_s(engine.url)
        results = await _send(engine, ports, count, _BATCH)
        node_s = sum(cpu_s(process.pid) for _, process in serves) - cpu
        server_s = _sessions_cpu_s(engine.url) - server
        sent = count // nodes // _BATCH * _BATCH * nodes
        if sum(one["accepted"] for one in results) != sent:
            raise RuntimeError(f"not all of {sent} events were accepted")
        await until(collector, _WARM_EVENTS + sent)
    return {
        "rate": sent / max(one["seconds"] for one in results),
        "latencies": [took for one in results for took in one["latencies"]],
        "node": node_s,
        "server": server_s,
    }


async def _send(engine: _Engine, urls: Sequence[str], count: int, batch: int) -> list[dict[str, Any]]:
    """What the senders say, each of which sends its part to a node."""
    nodes = len(urls)
    return await asyncio.gather(
        *(
            load(
                folder,
                url,
                fleet.bodies(count // nodes, batch),
                token=engine.token,
                connections=_CONNECTIONS // nodes,
            )
            for folder, url, fleet in zip(engine.folders, urls, engine.fleets, strict=True)
        )
    )


@contextlib.asynccontextmanager
async def _served(engine: _Engine, collector: str) -> AsyncIterator[list[tuple[str, Process]]]:
    """The addresses and processes of the nodes."""
    async with contextlib.AsyncExitStack() as opened:
        serves = []
        for folder in engine.folders:
            with _database(engine.url, folder):
                node = serving(folder, {"OTEL_EXPORTER_OTLP_ENDPOINT": collector})
                serves.append(await opened.enter_async_context(node))
        yield serves


def _database(url: str, folder: Path) -> contextlib.AbstractContextManager[None]:
    return databases.engine("sqlite") if url.startswith("sqlite") else databases.on(url, folder)


def _sessions_cpu_s(url: str) -> float:
    """Seconds of CPU that the sessions of this database have used so far, 0 for a file."""
    if url.startswith("sqlite"):
        return 0
    with psycopg.connect(url) as session:
        pids = session.execute("SELECT pid FROM pg_stat_activity WHERE datname = current_database()").fetchall()
    used = 0.0
    for (pid,) in pids:
        with contextlib.suppress(FileNotFoundError):  # it has ended
            used += cpu_s(pid)
    return used
