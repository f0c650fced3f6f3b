"""Runs the span relay in a child process, so that encoding and sending do not delay commits.

The child (:mod:`sidecar.telemetry.relay_child`) only reads the database. It reports outcomes as lines of JSON on its
stdout, and this process commits them. It exits when its stdin closes, and thus with this process, however that ends.
Spans that it claimed but did not report are still pending, and the next child claims them again.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from typing import Final

import msgspec

from sidecar.domain.episodes import Kind, LogKind
from sidecar.domain.user_naming import Mode
from sidecar.errors import ZimwatchError
from sidecar.settings import LogSettings
from sidecar.store.values import Loss
from sidecar.system import processes
from sidecar.system.processes import Child, Start
from sidecar.telemetry.store_outbox import StoreOutbox

# A round in which each span is a loss of its own.
_LONGEST_LINE_BYTES: Final = 1 << 24
# The variable of the child's environment that has the URL of the database.
DATABASE: Final = "ZIMWATCH_RELAY_DATABASE"


SPANS_CURSOR: Final = "episodes"
LOGS_CURSOR: Final = "log_events"


class Episodes(msgspec.Struct, frozen=True):
    """Which episodes the child exports as spans and as logs, and how old their last event may be."""

    spans: tuple[Kind, ...] = ()
    logs: tuple[LogKind, ...] = ()
    max_age_us: int = 0


NO_EPISODES: Final = Episodes()


class Done(msgspec.Struct, frozen=True, tag=True):
    """From the child: :meth:`sidecar.telemetry.relay.Outbox.done`. The child waits for :class:`Committed`."""

    through: int
    spans: int
    losses: tuple[Loss, ...]
    cursor: str | None = None
    """That of settled events; None for the spans of events."""


class Failed(msgspec.Struct, frozen=True, tag=True):
    """From the child: an attempt to export failed."""


class Wake(msgspec.Struct, frozen=True, tag=True):
    """To the child: there may be more to claim."""


class Committed(msgspec.Struct, frozen=True, tag=True):
    """To the child, the answer to :class:`Done`; ``problem`` is why the commit failed."""

    problem: str | None = None


class Stop(msgspec.Struct, frozen=True, tag=True):
    """To the child: try each pending span once more, then exit."""


encode: Final = msgspec.json.Encoder().encode
from_child: Final = msgspec.json.Decoder(Done | Failed).decode
to_child: Final = msgspec.json.Decoder(Wake | Committed | Stop).decode


class RelayParent:
    """Runs one child for each :meth:`run`. ``environ`` names the collector, and is the child's environment."""

    def __init__(
        self,
        outbox: StoreOutbox,
        database_url: str,
        environ: Mapping[str, str],
        log: LogSettings,
        start: Start = processes.start,
        *,
        user_ids: Mode = "plain",
        episodes: Episodes = NO_EPISODES,
    ) -> None:
        self._start = start
        self._outbox = outbox
        self._command = (
            sys.executable,
            "-m",
            "sidecar.telemetry.relay_child",
            encode(log).decode(),
            user_ids,
            encode(episodes).decode(),
        )
        # Not an argument: other users of the machine can read those, and the URL may have a password.
        self._environ = {**environ, DATABASE: database_url}
        self._child: Child | None = None
        self._stopping = False
        self._replacing = False

    async def run(self) -> None:
        """Starts a child and serves it until it exits; ZimwatchError unless :meth:`stop` was called.

        Once the data of a user was erased, another child replaces it, because it may have spans of the user in memory.
        """
        while True:
            self._replacing = False
            code = await self._run_child()
            if not self._replacing or self._stopping:
                break
        if not self._stopping:
            raise ZimwatchError(f"it ended with exit code {code}; spans wait in the database")

    def stop(self) -> None:
        """Lets :meth:`run` return once each pending span has been tried."""
        self._stopping = True
        self._send(Stop())

    @property
    def pid(self) -> int | None:
        """Of the child; None while none runs."""
        return self._child.pid if self._child else None

    async def _run_child(self) -> int:
        """Starts a child and serves it until it exits; returns its exit code."""
        child = self._child = await self._start(self._command, self._environ, longest_line=_LONGEST_LINE_BYTES)
        unlisten = self._outbox.listen(lambda: self._send(Wake()))
        no_longer = self._outbox.when_erased(self._replace)
        try:
            if self._stopping:
                self._send(Stop())
            if child.stdout is not None:
                async for line in child.stdout:
                    await self._handle(from_child(line))
            return await child.wait()
        finally:
            unlisten()
            no_longer()
            self._child = None
            if child.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    child.kill()
                await child.wait()

    def _replace(self) -> None:
        if self._child is not None and self._child.returncode is None:
            self._replacing = True
            with contextlib.suppress(ProcessLookupError):
                self._child.kill()

    async def _handle(self, message: Done | Failed) -> None:
        if isinstance(message, Failed):
            self._outbox.failed()
            return
        try:
            await self._outbox.done(message.through, message.spans, message.losses, message.cursor)
        except ZimwatchError as error:
            self._send(Committed(str(error)))
        else:
            self._send(Committed())

    def _send(self, message: Wake | Committed | Stop) -> None:
        if self._child is not None and self._child.stdin is not None and not self._child.stdin.is_closing():
            self._child.stdin.write(encode(message) + b"\n")
