"""``zimwatch serve`` in a process of its own, for what only a real process shows: being killed, and its speed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import aiohttp

START_TIMEOUT_S = 30
STOP_TIMEOUT_S = 15
POLL_S = 0.05
DATABASE = "zimwatch.db"


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.asynccontextmanager
async def serving(
    folder: Path, settings: Mapping[str, str] | None = None, *, before: Sequence[str] = (), port: int | None = None
) -> AsyncIterator[tuple[str, Process]]:
    """The address and the process of a server on ``folder/zimwatch.db``. At the end it is stopped.

    ``settings`` are environment variables; of this process's own none that Zimwatch would read is passed on. ``before``
    is a program that becomes the one named behind it. It listens on any free port unless it is given one.

    RuntimeError if it does not become ready, or does not exit with 0 when stopped; one that was killed is left alone.
    """
    port = port or free_port()
    address = f"http://127.0.0.1:{port}"
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("ZIMWATCH_", "OTEL_"))}
    from tests.support.databases import url_of  # noqa: PLC0415 - all of Zimwatch, which is not needed to find a port

    options = ["serve", "--port", str(port), "--database-url", url_of(folder, DATABASE)]
    log = folder / "serve.log"
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *(*before, sys.executable, "-m", "sidecar", *options),
            cwd=folder,
            env={**environ, "ZIMWATCH_LOGS__LEVEL": "warning", **(settings or {})},
            stdout=output,
            stderr=output,
        )
    try:
        if not await _ready(address, process):
            raise RuntimeError(f"zimwatch serve did not become ready: {log.read_text()}")
        yield address, process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            code = await asyncio.wait_for(process.wait(), STOP_TIMEOUT_S)
            if code not in {0, -signal.SIGKILL}:
                raise RuntimeError(f"zimwatch serve ended with {code}: {log.read_text()}")


async def _ready(address: str, process: Process) -> bool:
    deadline = time.monotonic() + START_TIMEOUT_S
    async with aiohttp.ClientSession() as session:
        while process.returncode is None and time.monotonic() < deadline:
            with contextlib.suppress(aiohttp.ClientConnectionError):
                async with session.get(f"{address}/readyz") as response:
                    if response.ok:
                        return True
            await asyncio.sleep(POLL_S)
    return False
