"""``python -m sidecar.telemetry.relay_child DATABASE LOG-SETTINGS USER-IDS``: see :mod:`.relay_parent`."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from sidecar import logs
from sidecar.clock import now_us
from sidecar.domain.user_naming import Mode, UserNaming
from sidecar.errors import ZimwatchError
from sidecar.settings import LogSettings
from sidecar.store.access import pseudonyms
from sidecar.store.log import span_outbox
from sidecar.store.sqlite import connections
from sidecar.store.values import Loss, PendingSpan
from sidecar.telemetry.relay import SpanRelay
from sidecar.telemetry.relay_parent import (
    Committed,
    Done,
    Failed,
    Stop,
    encode,
    to_child,
)


class PipedOutbox:
    """A :class:`sidecar.telemetry.relay.Outbox` that reads the database, and has the parent process write to it."""

    def __init__(self, path: Path) -> None:
        self._engine = connections.connect(path, writes=False)
        self._reader = ThreadPoolExecutor(1, "zimwatch-outbox")
        self._wake: Callable[[], None] = lambda: None
        self._answer: asyncio.Future[None] | None = None

    async def claim(self, after: int, limit: int) -> list[PendingSpan]:
        """Reads the database."""

        def read() -> list[PendingSpan]:
            with self._engine.connect() as connection:
                return span_outbox.claim(connection, after, limit)

        return await asyncio.get_running_loop().run_in_executor(self._reader, read)

    def naming(self, mode: Mode) -> UserNaming:
        """How spans name users."""
        with self._engine.connect() as connection:
            return pseudonyms.naming(connection, mode)

    async def done(self, through: int, spans: int, losses: Sequence[Loss]) -> None:
        """Waits until the parent has committed it; ZimwatchError if the commit failed."""
        self._answer = asyncio.get_running_loop().create_future()
        _send(Done(through, spans, tuple(losses)))
        await self._answer

    def failed(self) -> None:
        """Has the parent count it."""
        _send(Failed())

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Sets the one listener, for the life of the process."""
        self._wake = wake
        return lambda: None

    async def follow(self, lines: asyncio.StreamReader, relay: SpanRelay) -> None:
        """Handles messages of the parent until its end of the pipe is closed."""
        async for line in lines:
            match to_child(line):
                case Committed(problem):
                    if self._answer is not None and not self._answer.done():
                        if problem is None:
                            self._answer.set_result(None)
                        else:
                            self._answer.set_exception(ZimwatchError(problem))
                case Stop():
                    relay.stop()
                case _:
                    self._wake()


def _send(message: Done | Failed) -> None:
    sys.stdout.buffer.write(encode(message) + b"\n")
    sys.stdout.buffer.flush()


async def main(path: Path, user_ids: Mode = "plain") -> None:
    """Relays until :class:`Stop` is received and each pending span was tried, or until the parent has gone."""
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    outbox = PipedOutbox(path)
    relay = SpanRelay.to(os.environ, outbox, now_us, outbox.naming(user_ids))
    work = asyncio.create_task(relay.run())
    following = asyncio.create_task(outbox.follow(lines, relay))
    done, _ = await asyncio.wait([work, following], return_when=asyncio.FIRST_COMPLETED)
    if following in done and following.exception() is None:
        # The parent has gone, and nothing here is worth keeping. An export that does not end when it is cancelled would
        # keep this process for good.
        os._exit(0)
    for task in (work, following):
        task.cancel()
    await asyncio.gather(work, following, return_exceptions=True)
    for task in done:
        task.result()


if __name__ == "__main__":
    _mode = msgspec.convert(sys.argv[3], Mode)
    logs.configure(msgspec.json.decode(sys.argv[2], type=LogSettings), quotes_errors=_mode == "plain")
    asyncio.run(main(Path(sys.argv[1]), _mode))
