"""A program that runs beside this one and never outlives it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final

ENDS_S: Final = 2.0


@contextlib.asynccontextmanager
async def child(
    command: list[str], environ: Mapping[str, str], cwd: Path | None = None, *, longest_line: int = 1 << 16
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process in a group of its own, which is gone, with all that it started, when the context ends.

    Its stdin is a pipe, which closes with this process however that ends. ``longest_line`` in bytes.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=dict(environ),
        cwd=cwd,
        start_new_session=True,
        limit=longest_line,
    )
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
