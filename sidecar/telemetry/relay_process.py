"""The span relay in a process of its own, so that encoding and sending take no time from those who wait for a commit.

The child (:mod:`sidecar.telemetry.relay_child`) reads the database by itself, and never writes: what it has delivered
it says here, in lines of JSON over its stdout, and the writer of this process commits it. It ends when its stdin does,
so with this process, however that ends. What it had claimed is owed still, and is claimed again by the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec
import structlog

from sidecar.errors import ZimwatchError
from sidecar.settings import LogSettings
from sidecar.store.records import Loss
from sidecar.telemetry.store_outbox import StoreOutbox

_FIRST_RETRY_S: Final = 0.5
_LONGEST_RETRY_S: Final = 30.0
# A round of spans of which every single one is named as lost.
_LONGEST_LINE_BYTES: Final = 1 << 24

_log = structlog.stdlib.get_logger(__name__)


class Done(msgspec.Struct, frozen=True, tag=True):
    """From the child: see :meth:`sidecar.telemetry.relay.Outbox.done`. It waits for the answer."""

    through: int
    spans: int
    losses: tuple[Loss, ...]


class Failed(msgspec.Struct, frozen=True, tag=True):
    """From the child: an attempt to export failed."""


class Heard(msgspec.Struct, frozen=True, tag=True):
    """To the child: there may be more to claim."""


class Committed(msgspec.Struct, frozen=True, tag=True):
    """To the child, the answer to :class:`Done`; ``problem`` says why it was not."""

    problem: str | None = None


class Stop(msgspec.Struct, frozen=True, tag=True):
    """To the child: try all that is owed once more, then end."""


encode: Final = msgspec.json.Encoder().encode
from_child: Final = msgspec.json.Decoder(Done | Failed).decode
to_child: Final = msgspec.json.Decoder(Heard | Committed | Stop).decode


class RelayProcess:
    """Run by :meth:`run` until :meth:`stop`. ``environ`` names the collector, and is the child's environment."""

    def __init__(self, outbox: StoreOutbox, path: Path, environ: Mapping[str, str], log: LogSettings) -> None:
        self._outbox = outbox
        self._order = (sys.executable, "-m", "sidecar.telemetry.relay_child", str(path), encode(log).decode())
        self._environ = dict(environ)
        self._child: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Keeps a child until it is stopped and the last one has ended; cancelled, it ends the child at once."""
        pause_s = _FIRST_RETRY_S
        while not self._stopping.is_set():
            begun = asyncio.get_running_loop().time()
            code = await self._one_life()
            if self._stopping.is_set():
                return
            lived_s = asyncio.get_running_loop().time() - begun
            pause_s = _FIRST_RETRY_S if lived_s > _LONGEST_RETRY_S else min(pause_s * 2, _LONGEST_RETRY_S)
            _log.warning("the span relay has ended and is started again; spans wait in the database", exit_code=code)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause_s)

    def stop(self) -> None:
        """Lets :meth:`run` end once what is owed was tried."""
        self._stopping.set()
        self._say(Stop())

    @property
    def pid(self) -> int | None:
        """Of the child; None while there is none."""
        return self._child.pid if self._child else None

    async def _one_life(self) -> int:
        """Starts a child and serves it until it ends; its exit code."""
        child = self._child = await asyncio.create_subprocess_exec(
            *self._order,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=self._environ,
            limit=_LONGEST_LINE_BYTES,
            start_new_session=True,  # an interrupt at the terminal is ours to answer
        )
        unlisten = self._outbox.listen(lambda: self._say(Heard()))
        try:
            if self._stopping.is_set():
                self._say(Stop())
            if child.stdout is not None:
                async for line in child.stdout:
                    await self._take(from_child(line))
            return await child.wait()
        finally:
            unlisten()
            self._child = None
            if child.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    child.kill()
                await child.wait()

    async def _take(self, said: Done | Failed) -> None:
        if isinstance(said, Failed):
            self._outbox.failed()
            return
        try:
            await self._outbox.done(said.through, said.spans, said.losses)
        except ZimwatchError as error:
            self._say(Committed(str(error)))
        else:
            self._say(Committed())

    def _say(self, message: Heard | Committed | Stop) -> None:
        if self._child is not None and self._child.stdin is not None and not self._child.stdin.is_closing():
            self._child.stdin.write(encode(message) + b"\n")
