"""Child processes with pipes, each in a session of its own.

A child that reads its stdin sees the end of this process, however that ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol


class Child(Protocol):
    """A child process, as asyncio has it."""

    stdin: asyncio.StreamWriter | None
    stdout: asyncio.StreamReader | None

    @property
    def pid(self) -> int:
        """Of the process, and of its group."""

    @property
    def returncode(self) -> int | None:
        """None while it runs."""

    async def wait(self) -> int:
        """Its exit code, once it has ended."""

    def kill(self) -> None:
        """Ends it at once; ProcessLookupError where it has ended."""


class Start(Protocol):
    """Starts a child."""

    async def __call__(self, order: Sequence[str], environ: Mapping[str, str], *, longest_line: int) -> Child:
        """Its stdin and stdout are pipes; its stderr is ours. OSError where it cannot be started."""


async def start(
    order: Sequence[str],
    environ: Mapping[str, str],
    *,
    cwd: Path | None = None,
    longest_line: int = 1 << 16,
    pipe_errors: bool = False,
) -> asyncio.subprocess.Process:
    """See :class:`Start`. ``longest_line``: of its output, in bytes.

    An interrupt at the terminal reaches this process only.
    """
    return await asyncio.create_subprocess_exec(
        *order,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE if pipe_errors else None,
        env=dict(environ),
        cwd=cwd,
        limit=longest_line,
        start_new_session=True,
    )
