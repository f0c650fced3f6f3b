"""The cost of many streams of changes, and how soon a change is on an open page."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import msgspec

from benchmarks import large
from benchmarks.ingest import percentile
from benchmarks.processes import cpu_s
from sidecar.domain.events import CONNECTION_STATE_CHANGED
from tests.support.process import serving

STREAMS: Final = 1_000
UPDATES_A_SECOND: Final = 50_000
# A share of a core.
STREAMS_CORE: Final = 0.25
FLEET: Final = 20_000

OPEN: Final = {"user": 100, "list": 50, "overview": 50}
EVENTS_A_SECOND: Final = 2_000
REQUESTS_A_SECOND: Final = 40
PAGE_TOLD_MS: Final = 1_000
_SETTLED_S: Final = 3
_JSON: Final = {"Content-Type": "application/json"}


class _Reader(asyncio.Protocol):
    """An open stream that only counts what it gets."""

    def __init__(self, path: str, headers: str) -> None:
        self._request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}\r\n".encode()
        self.received = 0
        self.users = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Sends the request."""
        if isinstance(transport, asyncio.WriteTransport):
            transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Counts what arrives."""
        self.received += len(data)
        self.users += data.count(b"event: user")


async def streams(seconds: float) -> dict[str, Any]:
    """The share of a core that the server takes for streams of every user, and for streams of one user each."""
    found: dict[str, Any] = {"streams": STREAMS, "updates a second": UPDATES_A_SECOND}
    with tempfile.TemporaryDirectory(prefix="zimwatch-bench-") as name:
        await large.fill(Path(name), FLEET + 2, FLEET * 2)
        async with _publishing(Path(name)) as (url, pid):
            alone = await _core(pid, seconds)
            found["core without streams"] = alone
            for title, (path_of, headers) in _SCOPES.items():
                async with _open_streams(url, path_of, headers) as readers:
                    received, users = _sums(readers)
                    core = await _core(pid, seconds)
                    more, sent = _sums(readers)
                    if not all(reader.received for reader in readers):
                        raise RuntimeError("a stream got nothing")
                    found[f"{title}: beside the target"] = (core - alone) / STREAMS_CORE
                    found[f"{title}: core"] = core - alone
                    found[f"{title}: MB/s sent"] = (more - received) / seconds / 1e6
                    if not headers:
                        found[f"{title}: users sent a second and stream"] = (sent - users) / seconds / STREAMS
    return found


def _of_one_user(number: int) -> str:
    return f"/v1/stream?app_id={large.APP_ID}&user_id=user-{number * 17:07}"


_GZIP: Final = "Accept-Encoding: gzip\r\n"
_SCOPES: Final[dict[str, tuple[Callable[[int], str], str]]] = {
    "all of every user": (lambda _: "/v1/stream", ""),
    "all of every user, compressed": (lambda _: "/v1/stream", _GZIP),
    "each of one user": (_of_one_user, ""),
    "each of one user, compressed": (_of_one_user, _GZIP),
}


def _sums(readers: list[_Reader]) -> tuple[int, int]:
    return sum(reader.received for reader in readers), sum(reader.users for reader in readers)


async def _core(pid: int, seconds: float) -> float:
    cpu, begun = cpu_s(pid), time.perf_counter()
    await asyncio.sleep(seconds)
    return (cpu_s(pid) - cpu) / (time.perf_counter() - begun)


@contextlib.asynccontextmanager
async def _open_streams(url: str, path_of: Callable[[int], str], headers: str) -> AsyncIterator[list[_Reader]]:
    loop, address = asyncio.get_running_loop(), urlsplit(url)
    opened: list[tuple[asyncio.Transport, _Reader]] = []
    try:
        for number in range(STREAMS):
            reading = functools.partial(_Reader, path_of(number), headers)
            opened.append(await loop.create_connection(reading, address.hostname or "", address.port or 0))
        await asyncio.sleep(_SETTLED_S)
        yield [reader for _, reader in opened]
    finally:
        for transport, _ in opened:
            transport.close()


@contextlib.asynccontextmanager
async def _publishing(folder: Path) -> AsyncIterator[tuple[str, int]]:
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("ZIMWATCH_", "OTEL_"))}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.publisher", str(folder), str(FLEET), str(UPDATES_A_SECOND)),
        env=environ,
        stdout=asyncio.subprocess.PIPE,
    )
    if process.stdout is None:
        raise RuntimeError("the publisher has no output")
    try:
        yield (await process.stdout.readline()).decode().strip(), process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        await process.wait()


class _Watched:
    """When each marked event was sent, and how long pages took to show it, in seconds."""

    def __init__(self) -> None:
        self.sent: dict[str, float] = {}
        self.took: dict[str, list[float]] = {kind: [] for kind in OPEN if kind != "overview"}
        self.messages = dict.fromkeys(OPEN, 0)


async def pages(seconds: float) -> dict[str, Any]:
    """The time from sending an event to its change on a page, while many pages are open and many events arrive."""
    watched = _Watched()
    options: Any = {"timeout": aiohttp.ClientTimeout(total=None), "read_bufsize": 1 << 22}
    with tempfile.TemporaryDirectory(prefix="zimwatch-bench-") as name:
        async with (
            serving(Path(name)) as (url, process),
            aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=0), **options) as http,
        ):
            looking = [
                asyncio.create_task(_look(http, kind, number, watched))
                for kind, count in OPEN.items()
                for number in range(count)
            ]
            await asyncio.sleep(_SETTLED_S)
            cpu, begun = cpu_s(process.pid), time.perf_counter()
            rate = await _send(http, seconds, watched)
            core = (cpu_s(process.pid) - cpu) / (time.perf_counter() - begun)
            await asyncio.sleep(_SETTLED_S)
            for page in looking:
                page.cancel()
            await asyncio.gather(*looking, return_exceptions=True)
    found: dict[str, Any] = {"pages": sum(OPEN.values()), "events a second": rate, "core": core}
    for kind, took in watched.took.items():
        found[f"{kind}: beside the target"] = percentile(took, 0.95) / PAGE_TOLD_MS
        found[f"{kind}: p50 ms"] = percentile(took, 0.5)
        found[f"{kind}: p95 ms"] = percentile(took, 0.95)
        found[f"{kind}: changes seen"] = len(took)
    return found | {f"{kind}: messages": count for kind, count in watched.messages.items()}


async def _look(http: aiohttp.ClientSession, kind: str, number: int, watched: _Watched) -> None:
    """One open page: a watched user's, a list of ten of them, or the overview."""
    path = {
        "user": f"/users/{large.APP_ID}/watched-{number}",
        "list": f"/users?q=watched-{number % 10}&col=version",
    }.get(kind, "/")
    seen = ""
    async with http.get(f"/live{path}") as response:
        while line := await response.content.readline():
            if line == b"\n":
                watched.messages[kind] += 1
            place = line.find(b"mark-")
            if place < 0 or kind not in watched.took:
                continue
            mark = line[place : place + 13].decode()
            if mark > seen and mark in watched.sent:
                watched.took[kind].append(time.perf_counter() - watched.sent[mark])
                seen = mark


async def _send(http: aiohttp.ClientSession, seconds: float, watched: _Watched) -> float:
    """Sends events of a crowd and of the watched users; returns the actual rate."""
    rng = Random(2)  # noqa: S311 - the same every time
    a_request = EVENTS_A_SECOND // REQUESTS_A_SECOND
    begun, sent, seq = time.perf_counter(), 0, 0
    while (passed := time.perf_counter() - begun) < seconds:
        seq += 1
        mark = f"mark-{seq:08}"
        batch = []
        for place in range(a_request):
            watches = place == 0
            user = f"watched-{rng.randrange(OPEN['user'])}" if watches else f"crowd-{rng.randrange(FLEET)}"
            batch.append(
                {
                    "id": str(uuid.UUID(bytes=rng.randbytes(16), version=4)),
                    "type": CONNECTION_STATE_CHANGED,
                    "occurred_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
                    "client_id": str(uuid.uuid5(uuid.NAMESPACE_OID, user)),
                    "seq": seq,
                    "app_id": large.APP_ID,
                    "user_id": user,
                    "app_version": mark if watches else "4.1.0",
                    "state": rng.choice((2, 3)),
                    "event": 0,
                    "extended_data": mark if watches else "",
                }
            )
        watched.sent[mark] = time.perf_counter()
        async with http.post("/v1/events", data=msgspec.json.encode(batch), headers=_JSON) as answer:
            answer.raise_for_status()
        sent += a_request
        await asyncio.sleep(max(0.0, begun + sent / EVENTS_A_SECOND - time.perf_counter()))
    return sent / passed
