"""``zimwatch`` commands in a process of their own, from their start to their end."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import NamedTuple


class Ended(NamedTuple):
    """The output of a command, and its exit status."""

    code: int
    out: str
    err: str


async def zimwatch(*arguments: object, folder: Path, within_s: float = 60, **environ: str) -> Ended:
    """Runs it in ``folder``; of this process's own environment nothing that Zimwatch would read is passed on."""
    plain = {key: value for key, value in os.environ.items() if not key.startswith(("ZIMWATCH_", "OTEL_"))}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "sidecar", *map(str, arguments)),
        cwd=folder,
        env={**plain, **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), within_s)
    except BaseException:
        process.kill()
        await process.wait()
        raise
    return Ended(process.returncode or 0, out.decode(), err.decode())
