"""A child process that never outlives this one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final

from sidecar.system.processes import start

ENDS_S: Final = 2.0


@contextlib.asynccontextmanager
async def child(
    command: list[str], environ: Mapping[str, str], cwd: Path | None = None, *, longest_line: int = 1 << 16
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Starts a process in a group of its own, and ends the whole group when the context ends.

    Its stdin is a pipe, which closes with this process however that ends. ``longest_line`` is in bytes.
    """
    process = await start(command, environ, cwd=cwd, longest_line=longest_line, pipe_errors=True)
    try:
        yield process
    finally:
        if process.stdin is not None:
            process.stdin.close()
        await _ended(process)


async def _ended(process: asyncio.subprocess.Process) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), ENDS_S)
