"""Starts the parts of a measurement as processes, and reads their CPU time and memory."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pickle
import resource
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.process import free_port

_PAGE = resource.getpagesize()
_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """Seconds of CPU that a process has used, its system calls included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def cpu_ns(pid: int) -> int:
    """The same of its present threads in nanoseconds, for short measurements: ``cpu_s`` counts in hundredths."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the thread has ended
            total += int((task / "schedstat").read_text().split()[0])
    return total


def rss_mb(pid: int) -> float:
    """Its memory in MB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE / 1e6


@contextlib.asynccontextmanager
async def receiver(port: int | None = None) -> AsyncIterator[str]:
    """The address of a collector."""
    port = port or free_port()
    async with listening(f"http://127.0.0.1:{port}", sys.executable, "-m", "benchmarks.receiver", str(port)) as url:
        yield url


@contextlib.asynccontextmanager
async def listening(url: str, *command: str) -> AsyncIterator[str]:
    """A process that serves the address, from when it does; the address."""
    process = await asyncio.create_subprocess_exec(*command)
    try:
        while True:
            with contextlib.suppress(aiohttp.ClientConnectionError):
                async with aiohttp.ClientSession() as http, http.get(url):
                    break
            await asyncio.sleep(0.05)
        yield url
    finally:
        process.terminate()
        await process.wait()


async def received(url: str) -> dict[str, Any]:
    """The counts of the collector so far."""
    async with aiohttp.ClientSession() as http, http.get(url) as response:
        found: dict[str, Any] = await response.json()
        return found


async def load(
    folder: Path,
    url: str,
    bodies: Sequence[bytes],
    *,
    token: str,
    connections: int,
    rate: float | None = None,
    before: Sequence[str] = (),
    path: str = "/v1/events",
) -> dict[str, Any]:
    """Sends the bodies: ``seconds``, ``accepted`` and each one's ``latencies``.

    ``before`` is a program that becomes the sender. To another ``path`` than that of events it sends GET, no body.
    """
    file = folder / "bodies.pickle"
    file.write_bytes(pickle.dumps(list(bodies)))
    options = ["--token", token, "--connections", str(connections), *(["--rate", str(rate)] if rate else [])]
    options += ["--path", path]
    process = await asyncio.create_subprocess_exec(
        *(*before, sys.executable, "-m", "benchmarks.load", url, str(file), *options),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 26,
    )
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the sender has no pipes")
    await process.stdout.readline()
    process.stdin.write(b"go\n")
    line = await process.stdout.readline()
    if await process.wait() or not line:
        raise RuntimeError("the sender has failed")
    found: dict[str, Any] = json.loads(line)
    return found
