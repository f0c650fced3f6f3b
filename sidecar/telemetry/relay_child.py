"""``python -m sidecar.telemetry.relay_child DATABASE LOG-SETTINGS``: see :mod:`sidecar.telemetry.relay_process`."""

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
from sidecar.errors import ZimwatchError
from sidecar.settings import LogSettings
from sidecar.store import engine, outbox
from sidecar.store.records import Loss, PendingSpan
from sidecar.telemetry.relay import SpanRelay
from sidecar.telemetry.relay_process import Committed, Done, Failed, Stop, encode, to_child


class PipedOutbox:
    """A :class:`sidecar.telemetry.relay.Outbox` that reads the database, and leaves what is to be written to others."""

    def __init__(self, path: Path) -> None:
        self._engine = engine.connect(path, writes=False)
        self._reader = ThreadPoolExecutor(1, "zimwatch-outbox")
        self._heard: Callable[[], None] = lambda: None
        self._answer: asyncio.Future[None] | None = None

    async def claim(self, after: int, limit: int) -> list[PendingSpan]:
        """Reads."""

        def read() -> list[PendingSpan]:
            with self._engine.connect() as connection:
                return outbox.claim(connection, after, limit)

        return await asyncio.get_running_loop().run_in_executor(self._reader, read)

    async def done(self, through: int, spans: int, losses: Sequence[Loss]) -> None:
        """Says so, and waits until it is committed; ZimwatchError where it was not."""
        self._answer = asyncio.get_running_loop().create_future()
        _say(Done(through, spans, tuple(losses)))
        await self._answer

    def failed(self) -> None:
        """Says so."""
        _say(Failed())

    def listen(self, heard: Callable[[], None]) -> Callable[[], None]:
        """There is one listener, for as long as the process runs."""
        self._heard = heard
        return lambda: None

    async def follow(self, lines: asyncio.StreamReader, relay: SpanRelay) -> None:
        """Hands on what is said from the other side, until nobody is there any more."""
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
                    self._heard()


def _say(message: Done | Failed) -> None:
    sys.stdout.buffer.write(encode(message) + b"\n")
    sys.stdout.buffer.flush()


async def main(path: Path) -> None:
    """Relays until it was told to stop and has tried all, or until the process that started it is gone."""
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    owed = PipedOutbox(path)
    relay = SpanRelay.to(os.environ, owed, now_us)
    work = asyncio.create_task(relay.run())
    following = asyncio.create_task(owed.follow(lines, relay))
    await asyncio.wait([work, following], return_when=asyncio.FIRST_COMPLETED)
    for task in (work, following):
        task.cancel()
    await asyncio.gather(work, following, return_exceptions=True)


if __name__ == "__main__":
    logs.configure(msgspec.json.decode(sys.argv[2], type=LogSettings))
    asyncio.run(main(Path(sys.argv[1])))
