"""``zimwatch`` commands in a process of their own, from their start to their end."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

NONE: Final[Mapping[str, str]] = MappingProxyType({})


class Ended(NamedTuple):
    """The output of a command, and its exit status."""

    code: int
    out: str
    err: str


async def zimwatch(*arguments: object, folder: Path, **environ: str) -> Ended:
    """Runs it in ``folder``; of this process's own environment nothing that Zimwatch would read is passed on."""
    return await long(*arguments, folder=folder, within_s=60, environ=environ)


async def long(*arguments: object, folder: Path, within_s: float, environ: Mapping[str, str] = NONE) -> Ended:
    """One that may take longer than a minute."""
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
