"""A fleet that is larger than any machine here: what a reconnect storm of all of it takes, from costs measured small.

Three parts: :func:`calibrated` measures what a request, a heartbeat, a row and a connection cost on a small server;
:func:`simulate` follows a storm second by second by these costs; :func:`taken` lets a real server take the storm of a
hundredth of the fleet, to be compared with what the simulation says of it. How long something takes on a machine with
other work says nothing, so CPU and bytes are compared.
"""

from __future__ import annotations

import asyncio
import bisect
import json
import math
import os
import sqlite3
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks.heartbeats import BATCH, SETTLES_S, Devices
from benchmarks.ingest import token_for
from benchmarks.processes import cpu_ns, load, rss_mb
from sidecar.domain.heartbeat_pace import MEAN_WAIT, interval_s
from sidecar.domain.lease import Leases
from tests.support.process import DATABASE, serving

STORM_S: Final = 60
# Requests wait for so long, then senders get 503 and come back: after a pause that doubles, and up to as much again.
WAIT_S: Final = 5
RETRY_S: Final = 5
LONGEST_RETRY_S: Final = 30
GIVEN_UP_S: Final = 600
# What one process can use: 0.73 of its CPU is under Python's lock (docs/performance.md), of which 0.8 is to be used.
USABLE_CORE: Final = 0.8 / 0.73
EVENTS_OF_A_RECONNECT: Final = 2
CONNECTIONS: Final = 32
# Requests a second at which a reconnect is measured, beside heartbeats at their budget: so many, or for so long.
RATES: Final = (50, 150, 450, 1_350)
MEASURED: Final = 400
MEASURED_S: Final = 4
BEATING: Final = 3_000


class Fleet(msgspec.Struct, frozen=True):
    """``online`` devices reconnect within a minute, each with one request of two events."""

    users: int
    online: int

    def hundredth(self) -> Fleet:
        """The fleet that fits here."""
        return Fleet(self.users // 100, self.online // 100)


WHOLE: Final = Fleet(users=100_000_000, online=2_000_000)


class Costs(msgspec.Struct, frozen=True):
    """As measured. ``reconnect_us``: CPU of a request by requests a second, which share commits the more they are.

    It is what the request adds to heartbeats at their budget.
    """

    reconnect_us: Sequence[tuple[float, float]]
    heartbeat_us: float
    bytes_of_an_event: float
    bytes_of_a_user: float
    bytes_of_a_connection: float

    def reconnect_s(self, rate: float) -> float:
        """Seconds of CPU of a request at this rate. What a second costs is in proportion between two measured rates."""
        rates = [one for one, _ in self.reconnect_us]
        at = bisect.bisect_left(rates, rate)
        if at in {0, len(rates)}:
            return self.reconnect_us[min(at, len(rates) - 1)][1] / 1e6
        (low, low_us), (high, high_us) = self.reconnect_us[at - 1 : at + 1]
        of_low, of_high = low * low_us, high * high_us
        return (of_low + (of_high - of_low) * (rate - low) / (high - low)) / rate / 1e6


def mean(one: Costs, other: Costs) -> Costs:
    """Of both, because other work on the machine makes everything dearer for a while."""

    def half(first: float, second: float) -> float:
        return (first + second) / 2

    return Costs(
        reconnect_us=[
            (half(*rates), half(*costs))
            for rates, costs in (
                zip(*both, strict=True) for both in zip(one.reconnect_us, other.reconnect_us, strict=True)
            )
        ],
        heartbeat_us=half(one.heartbeat_us, other.heartbeat_us),
        bytes_of_an_event=half(one.bytes_of_an_event, other.bytes_of_an_event),
        bytes_of_a_user=half(one.bytes_of_a_user, other.bytes_of_a_user),
        bytes_of_a_connection=half(one.bytes_of_a_connection, other.bytes_of_a_connection),
    )


class Outcome(msgspec.Struct, frozen=True):
    """Of one node of several, each with its share of the users. ``reconnected_s``: until all have got through."""

    cpu_s: float
    busiest: float
    refused: int
    reconnected_s: int
    heartbeats_a_second: float
    heartbeat_after_s: int
    stored_bytes: float
    connection_bytes: float


def simulate(fleet: Fleet, costs: Costs, nodes: int = 1) -> Outcome:
    """One of the nodes, second by second: arrivals wait, are served, or are refused and come back."""
    online, leases = fleet.online / nodes, Leases()
    after_s = interval_s(math.ceil(online), leases.heartbeat_after_s, leases)
    beats = online / (after_s * MEAN_WAIT)
    beating_s = beats * costs.heartbeat_us / 1e6
    # By second, and by how often they were refused before.
    arriving = {second: {0: online / STORM_S} for second in range(STORM_S)}
    waiting = refused = cpu_s = busiest = refusing_s = 0.0
    second = 0
    while arriving or waiting >= 1:
        come = arriving.pop(second, {})
        waiting += sum(come.values())
        served = min(waiting, _fitting(costs, max(0.0, USABLE_CORE - beating_s - refusing_s)))
        waiting -= served
        # Who comes last finds the queue full.
        over = max(0.0, min(sum(come.values()), waiting - WAIT_S * served))
        for times, count in come.items() if over else ():
            pause = min(LONGEST_RETRY_S, RETRY_S * 2**times)
            for back in range(second + pause, second + 2 * pause):
                again = arriving.setdefault(back, {})
                again[min(times + 1, 3)] = again.get(min(times + 1, 3), 0.0) + over * count / sum(come.values()) / pause
        waiting -= over
        refused += over
        # A request is read and checked before it is refused.
        refusing_s = over * costs.heartbeat_us / 1e6
        work_s = served * costs.reconnect_s(served) + refusing_s
        cpu_s += work_s + (beating_s if second < STORM_S else 0)
        busiest = max(busiest, work_s + beating_s)
        second += 1
        if second > GIVEN_UP_S:
            break
    return Outcome(
        cpu_s=cpu_s,
        busiest=busiest,
        refused=round(refused),
        reconnected_s=second,
        heartbeats_a_second=beats,
        heartbeat_after_s=after_s,
        stored_bytes=online * EVENTS_OF_A_RECONNECT * costs.bytes_of_an_event,
        connection_bytes=online * costs.bytes_of_a_connection,
    )


def _fitting(costs: Costs, room_s: float) -> float:
    """The requests that so much CPU serves in a second."""
    low, high = 0.0, 1e6
    while high - low > 1:
        middle = (low + high) / 2
        low, high = (middle, high) if middle * costs.reconnect_s(middle) <= room_s else (low, middle)
    return low


def fewest_nodes(fleet: Fleet, costs: Costs) -> int:
    """So many that none is refused, and heartbeats keep to their budget."""

    def enough(nodes: int) -> bool:
        found = simulate(fleet, costs, nodes)
        return not found.refused and found.heartbeats_a_second <= Leases().heartbeats_per_second

    nodes = 1
    while not enough(nodes):
        nodes *= 2
    return next(found for found in range(nodes // 2 + 1, nodes + 1) if enough(found)) if nodes > 1 else 1


class Storm:
    """Devices that are online, and then reconnect in their order; heartbeats of those half a storm away."""

    def __init__(self, online: int) -> None:
        self.devices = Devices(online)
        self.online = online

    def reconnects(self, first: int, count: int) -> list[bytes]:
        """A body for each: it was reconnecting, and is connected again."""
        return [
            json.dumps(
                [
                    self.devices.event(number, "connection_state_changed", seq=2, state=3, event=3),
                    self.devices.event(number, "connection_state_changed", seq=3, state=2, event=0),
                ]
            ).encode()
            for number in range(first, first + count)
        ]

    def heartbeats(self, count: int) -> list[bytes]:
        """So many over the storm, each a request."""
        bodies = []
        for number in range(count):
            device = (number * self.online // count + self.online // 2) % self.online
            seq = 2 if device >= self.online // 2 else 4
            bodies.append(json.dumps([self.devices.event(device, "heartbeat", seq=seq)]).encode())
        return bodies


def size_bytes(folder: Path) -> int:
    """The pages of the database in use, while it is not served."""
    with closing(sqlite3.connect(folder / DATABASE)) as connection:
        pages, free, page = (
            connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
    return int((pages - free) * page)


async def _begin(folder: Path, url: str, token: str, devices: Devices) -> None:
    """All are online, and known to send heartbeats."""
    for bodies in (devices.logins(), devices.heartbeats(BATCH), devices.heartbeats(BATCH)):
        await load(folder, url, bodies, token=token, connections=4)
        await asyncio.sleep(SETTLES_S)


async def calibrated() -> Costs:
    """On a small server: heartbeats at their budget, reconnects at some rates beside them, bytes and memory."""
    counts = [max(MEASURED, rate * MEASURED_S) for rate in RATES]
    online = sum(counts) + BEATING
    with tempfile.TemporaryDirectory(prefix="zimwatch-bench-") as name:
        folder = Path(name)
        token = token_for(folder)
        empty = size_bytes(folder)
        storm = Storm(online)
        async with serving(folder) as (url, _process):
            await _begin(folder, url, token, storm.devices)
        known = size_bytes(folder)
        async with serving(folder) as (url, process):
            await load(folder, url, storm.devices.heartbeats(BATCH), token=token, connections=4)
            await asyncio.sleep(SETTLES_S)
            budget = Leases().heartbeats_per_second
            beats = storm.devices.heartbeats(1, online - BEATING, BEATING)
            cpu = cpu_ns(process.pid)
            await load(folder, url, beats, token=token, connections=CONNECTIONS, rate=budget)
            heartbeat_us = (cpu_ns(process.pid) - cpu) / BEATING / 1e3
            reconnect_us: list[tuple[float, float]] = []
            first = 0
            for rate, count in zip(RATES, counts, strict=True):
                bodies = storm.reconnects(first, count)
                first += count
                beats = storm.devices.heartbeats(1, online - BEATING, min(BEATING, count * budget // rate))
                cpu = cpu_ns(process.pid)
                seconds = await _both(folder, url, token, (bodies, rate), (beats, budget))
                used_us = (cpu_ns(process.pid) - cpu) / 1e3 - len(beats) * heartbeat_us
                reconnect_us.append((count / seconds, used_us / count))
            bytes_of_a_connection = await _connection_bytes(url, process.pid)
        stored = size_bytes(folder)
    of_event = (stored - known) / (first * EVENTS_OF_A_RECONNECT)
    return Costs(
        reconnect_us=reconnect_us,
        heartbeat_us=heartbeat_us,
        bytes_of_an_event=of_event,
        bytes_of_a_user=(known - empty) / online - of_event,
        bytes_of_a_connection=bytes_of_a_connection,
    )


async def _both(
    folder: Path, url: str, token: str, reconnects: tuple[list[bytes], float], heartbeats: tuple[list[bytes], float]
) -> float:
    """Sends both at once, each at its rate; the seconds that the reconnects took."""
    other = folder / "heartbeats"
    other.mkdir(exist_ok=True)
    async with asyncio.TaskGroup() as group:
        sent, _ = [
            group.create_task(load(where, url, bodies, token=token, connections=CONNECTIONS, rate=rate))
            for where, (bodies, rate) in ((folder, reconnects), (other, heartbeats))
        ]
    return float(sent.result()["seconds"])


async def _connection_bytes(url: str, pid: int, count: int = 1_000) -> float:
    """The server's memory for each idle connection."""
    host, port = url.removeprefix("http://").split(":")
    before = rss_mb(pid)
    opened = []
    for _ in range(count):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"GET /livez HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        opened.append(writer)
    grown = (rss_mb(pid) - before) * 1e6 / count
    for writer in opened:
        writer.close()
    return max(0.0, grown)


async def taken(fleet: Fleet) -> tuple[float, float]:
    """CPU seconds and stored bytes of a real server in a storm of this fleet, heartbeats included."""
    online, leases = fleet.online, Leases()
    with tempfile.TemporaryDirectory(prefix="zimwatch-bench-") as name:
        folder = Path(name)
        token = token_for(folder)
        storm = Storm(online)
        async with serving(folder) as (url, _process):
            await _begin(folder, url, token, storm.devices)
        await asyncio.to_thread(_others, folder, fleet.users - online)
        before = size_bytes(folder)
        beats = online / (interval_s(online, leases.heartbeat_after_s, leases) * MEAN_WAIT)
        bodies, heartbeats = storm.reconnects(0, online), storm.heartbeats(round(beats * STORM_S))
        async with serving(folder, {"ZIMWATCH_SERVER__MAX_CONNECTIONS": "4000"}) as (url, process):
            await load(folder, url, storm.devices.heartbeats(BATCH), token=token, connections=4)
            await asyncio.sleep(SETTLES_S)
            cpu = cpu_ns(process.pid)
            await _both(folder, url, token, (bodies, online / STORM_S), (heartbeats, beats))
            used_s = (cpu_ns(process.pid) - cpu) / 1e9
        return used_s, size_bytes(folder) - before


# They are not logged in, so that no lease of theirs ends.
_OF_OTHERS: Final = {
    "user_id": "'other-' || n",
    "last_position": "last_position + n",
    "status": "'not_logged_in'",
    "lease_until_us": "NULL",
    "lease_check_us": "NULL",
    "clients": "'[]'",
}


def _others(folder: Path, count: int) -> None:
    """So many further users, each a copy of the rows of one, so that the tables are as large as they would be."""
    with closing(sqlite3.connect(folder / DATABASE)) as connection, connection:
        for table, key, changed in (
            ("events", "position", {"id": "randomblob(16)", "client_id": "randomblob(16)"}),
            ("user_status", "user_key", _OF_OTHERS),
        ):
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            newest = connection.execute(f"SELECT MAX({key}) FROM {table}").fetchone()[0]
            values = changed | {key: f"{newest} + n"}
            chosen = ", ".join(values.get(name, name) for name in columns)
            connection.execute(
                "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?)"
                f" INSERT INTO {table} ({', '.join(columns)}) SELECT {chosen} FROM numbers, {table} WHERE {key} = ?",
                (count, newest),
            )
        connection.execute("UPDATE followers SET position = (SELECT MAX(position) FROM events)")


async def measure() -> dict[str, Any]:
    """The costs, the check at a hundredth, and the whole fleet."""
    small = WHOLE.hundredth()
    before = await calibrated()
    cpu_s, stored = await taken(small)
    costs = mean(before, await calibrated())
    said = simulate(small, costs)
    nodes = fewest_nodes(WHOLE, costs)
    found: dict[str, Any] = {
        "CPU of the measured storm beside the simulated one": cpu_s / said.cpu_s,
        "bytes of the measured storm beside the simulated one": stored / said.stored_bytes,
        "costs": {
            "measured": {
                **{f"us at {rate:,.0f}/s": us for rate, us in costs.reconnect_us},
                "us a heartbeat": costs.heartbeat_us,
                "B an event": costs.bytes_of_an_event,
                "B a user": costs.bytes_of_a_user,
                "B a connection": costs.bytes_of_a_connection,
            }
        },
        "a hundredth": {
            "simulated": {"CPU s": said.cpu_s, "MB": said.stored_bytes / 1e6},
            "measured": {"CPU s": cpu_s, "MB": stored / 1e6},
        },
        "the whole fleet, each node": {
            f"{count} nodes": _row(simulate(WHOLE, costs, count))
            for count in sorted({1, 4, 10, 20, max(1, nodes // 2), nodes})
        },
        "nodes that refuse nobody": nodes,
        "GB of all users": WHOLE.users * costs.bytes_of_a_user / 1e9,
        "GB of the storm": WHOLE.online * EVENTS_OF_A_RECONNECT * costs.bytes_of_an_event / 1e9,
        "cores here": os.cpu_count(),
    }
    return found


def _row(one: Outcome) -> dict[str, float]:
    return {
        "CPU s": one.cpu_s,
        "busiest second": one.busiest,
        "refused": one.refused,
        "reconnected s": one.reconnected_s,
        "heartbeats/s": one.heartbeats_a_second,
        "interval s": one.heartbeat_after_s,
        "connections GB": one.connection_bytes / 1e9,
    }
