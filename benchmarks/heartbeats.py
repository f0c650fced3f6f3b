"""Heartbeats: one alone beside ``GET /livez``, and 100,000 live clients at the budget; CPU of the server's process."""

from __future__ import annotations

import asyncio
import json
import socket
import statistics
import tempfile
import uuid
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.events import APP_ID, uuid7
from benchmarks.ingest import token_for
from benchmarks.processes import cpu_s, load, rss_mb
from sidecar.domain.lease import Leases
from tests.support.process import serving

CONNECTIONS = 32
BATCH = 500
# By then the server has recorded what it may lose of heartbeats in memory.
SETTLES_S = 4


class Devices:
    """Logged-in clients, each of one user. ``seq`` of heartbeats is that of the next event."""

    def __init__(self, count: int) -> None:
        self._ids = [str(uuid.uuid4()) for _ in range(count)]

    def event(self, number: int, kind: str, **fields: object) -> dict[str, object]:
        """An event of a device."""
        now = datetime.now(UTC)
        return {
            "id": uuid7(int(now.timestamp() * 1_000)),
            "type": kind,
            "occurred_at": now.isoformat(timespec="milliseconds"),
            "client_id": self._ids[number],
            "seq": 1 if kind != "heartbeat" else 2,
            "app_id": APP_ID,
            "user_id": f"user-{number:07}",
            "platform": "Web",
            "sdk": {"name": "zego-zim-web", "version": "2.29.0"},
            "reporter": {"name": "zim-tap", "version": "0.1.0"},
            "state": 2,
            **fields,
        }

    def heartbeats(self, size: int, first: int = 0, count: int | None = None) -> list[bytes]:
        """One of each device, or of ``count`` from ``first``, as bodies of so many."""
        found = [self.event(at, "heartbeat") for at in range(first, first + (count or len(self._ids)))]
        return [json.dumps(found[start : start + size]).encode() for start in range(0, len(found), size)]

    def logins(self) -> list[bytes]:
        """Their first events."""
        found = [self.event(at, "connection_state_changed", event=0) for at in range(len(self._ids))]
        return [json.dumps(found[start : start + BATCH]).encode() for start in range(0, len(found), BATCH)]


class Connection:
    """One kept connection, which waits for each answer."""

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        self._socket = socket.create_connection((str(parts.hostname), int(parts.port or 80)))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._common = f" HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        self._post = (
            f"POST /v1/events{self._common}Authorization: Bearer {token}\r\nContent-Type: application/json\r\n"
            "Content-Length: "
        )

    def get(self, path: str) -> bytes:
        """An answer."""
        return self._answer(f"GET {path}{self._common}\r\n".encode())

    def post(self, body: bytes) -> bytes:
        """The answer to a body of events."""
        return self._answer(f"{self._post}{len(body)}\r\n\r\n".encode() + body)

    def _answer(self, request: bytes) -> bytes:
        self._socket.sendall(request)
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._socket.recv(65_536)
        head, _, body = received.partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        while len(body) < length:
            body += self._socket.recv(65_536)
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(received.decode())
        return body


async def alone(*, requests: int, rounds: int) -> dict[str, float]:
    """The CPU of a heartbeat on a kept connection beside that of ``GET /livez``, by turns; medians."""
    devices = Devices(requests)
    found: dict[str, list[float]] = {"livez": [], "heartbeat": []}
    with tempfile.TemporaryDirectory(prefix="zimwatch-bench-") as name:
        folder = Path(name)
        token = token_for(folder)
        async with serving(folder, {"ZIMWATCH_LEASES__HEARTBEAT": "10m"}) as (url, process):
            for bodies in (devices.logins(), devices.heartbeats(BATCH), devices.heartbeats(BATCH)):
                await load(folder, url, bodies, token=token, connections=4)
                await asyncio.sleep(SETTLES_S)
            connection = Connection(url, token)
            for _ in range(rounds):
                bodies = devices.heartbeats(1)
                before = cpu_s(process.pid)
                for _ in range(requests):
                    await asyncio.to_thread(connection.get, "/livez")
                between = cpu_s(process.pid)
                for body in bodies:
                    await asyncio.to_thread(connection.post, body)
                found["livez"].append((between - before) / requests * 1e6)
                found["heartbeat"].append((cpu_s(process.pid) - between) / requests * 1e6)
    ratios = [own / bare for own, bare in zip(found["heartbeat"], found["livez"], strict=True)]
    return {
        "a heartbeat alone beside GET /livez": statistics.median(ratios),
        "CPU of GET /livez, us": statistics.median(found["livez"]),
        "CPU of a heartbeat alone, us": statistics.median(found["heartbeat"]),
    }


async def at_the_budget(*, clients: int, seconds: int) -> dict[str, float]:
    """The share of a core that so many live clients take, each heartbeat a request of its own, and the memory."""
    devices = Devices(clients)
    rate = Leases().heartbeats_per_second
    with tempfile.TemporaryDirectory(prefix="zimwatch-bench-") as name:
        folder = Path(name)
        token = token_for(folder)
        async with serving(folder) as (url, process):
            for bodies in (devices.logins(), devices.heartbeats(BATCH), devices.heartbeats(BATCH)):
                await load(folder, url, bodies, token=token, connections=4)
                await asyncio.sleep(SETTLES_S)
            given_s = json.loads(await asyncio.to_thread(Connection(url, token).post, b"[]"))["heartbeat_after_s"]
            bodies = devices.heartbeats(1, 0, rate * seconds)
            cpu = cpu_s(process.pid)
            result = await load(folder, url, bodies, token=token, connections=CONNECTIONS, rate=rate)
            used = cpu_s(process.pid) - cpu
            return {
                f"share of a core of {clients:,} live clients": used / result["seconds"],
                "the interval that they are given, s": given_s,
                "CPU of a heartbeat at the budget, us": used / result["accepted"] * 1e6,
                "heartbeats a second": result["accepted"] / result["seconds"],
                "RSS MB": rss_mb(process.pid),
            }


async def measure() -> dict[str, float]:
    """Both."""
    return await alone(requests=3_000, rounds=5) | await at_the_budget(clients=100_000, seconds=60)
