"""``python -m sidecar.telemetry.relay_child LOG-SETTINGS USER-IDS EPISODES``: see :mod:`.relay_parent`."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from typing import Final, TypeVar

import msgspec
import sqlalchemy as sa

from sidecar import logs
from sidecar.clock import now_us
from sidecar.domain.user_naming import Mode, UserNaming
from sidecar.errors import ZimwatchError
from sidecar.settings import LogSettings
from sidecar.store import engines
from sidecar.store.access import pseudonyms
from sidecar.store.log import settled_events, span_outbox
from sidecar.store.log.settled_events import Settled
from sidecar.store.values import Loss, PendingSpan
from sidecar.telemetry.otlp.episode_spans import ended_spans, episode_span
from sidecar.telemetry.otlp.log_events import log_events, log_record
from sidecar.telemetry.relay import Exportable, SpanRelay
from sidecar.telemetry.relay_parent import (
    DATABASE,
    LOGS_CURSOR,
    NO_EPISODES,
    SPANS_CURSOR,
    Committed,
    Done,
    Episodes,
    Failed,
    Stop,
    encode,
    to_child,
)

T = TypeVar("T")
Connect = Callable[[], AbstractContextManager[sa.Connection]]
"""Opens a connection in which nothing is written."""
# How many events are read at a time.
SETTLED_EVENTS: Final = 300


class Parent:
    """The parent process: it commits outcomes, and says when there may be more to claim."""

    def __init__(self) -> None:
        self._wakes: list[Callable[[], None]] = []
        self._answers: deque[asyncio.Future[None]] = deque()

    async def commit(self, outcome: Done) -> None:
        """Waits until it is committed; ZimwatchError if the commit failed."""
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._answers.append(answer)  # the parent answers in order
        _send(outcome)
        await answer

    def failed(self) -> None:
        """Has the parent count a failed attempt to export."""
        _send(Failed())

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Calls ``wake`` for the life of the process."""
        self._wakes.append(wake)
        return lambda: None

    async def follow(self, lines: asyncio.StreamReader, relays: Sequence[SpanRelay]) -> None:
        """Handles messages of the parent until its end of the pipe is closed."""
        async for line in lines:
            match to_child(line):
                case Committed(problem):
                    answer = self._answers.popleft()
                    if answer.done():
                        continue  # who waited was cancelled
                    if problem is None:
                        answer.set_result(None)
                    else:
                        answer.set_exception(ZimwatchError(problem))
                case Stop():
                    for relay in relays:
                        relay.stop()
                case _:
                    for wake in self._wakes:
                        wake()


class Reader:
    """Reads the database in a thread of its own."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._thread = ThreadPoolExecutor(1, "zimwatch-outbox")

    async def read(self, query: Callable[[sa.Connection], T]) -> T:
        """The result of ``query``."""

        def run() -> T:
            with self._connect() as connection:
                return query(connection)

        return await asyncio.get_running_loop().run_in_executor(self._thread, run)

    def naming(self, mode: Mode) -> UserNaming:
        """How spans name users."""
        with self._connect() as connection:
            return pseudonyms.naming(connection, mode)


class PipedOutbox:
    """A :class:`sidecar.telemetry.relay.Outbox` that reads the database, and has the parent process write to it."""

    def __init__(self, reader: Reader, parent: Parent) -> None:
        self._reader = reader
        self._parent = parent
        self.failed = parent.failed
        self.listen = parent.listen

    async def claim(self, after: int, limit: int) -> list[PendingSpan]:
        """Reads the database."""
        return await self._reader.read(lambda connection: span_outbox.claim(connection, after, limit))

    async def done(self, through: int, spans: int, losses: Sequence[Loss]) -> None:
        """Waits until the parent has committed it; ZimwatchError if the commit failed."""
        await self._parent.commit(Done(through, spans, tuple(losses)))


class SettledOutbox:
    """An outbox of what ``made`` makes of settled events, behind a cursor of its own."""

    def __init__(
        self,
        cursor: str,
        made: Callable[[Sequence[Settled]], Sequence[Exportable]],
        *,
        reader: Reader,
        parent: Parent,
        max_age_us: int,
    ) -> None:
        self._cursor = cursor
        self._made = made
        self._reader = reader
        self._parent = parent
        self._max_age_us = max_age_us
        # Up to where a claim behind a position found nothing, so that the next one does not read it again.
        self._empty = (-1, 0)
        self.failed = parent.failed
        self.listen = parent.listen

    async def claim(self, after: int, _limit: int) -> Sequence[Exportable]:
        """Reads on until it finds something, or an event that has not settled. All of one event is claimed at once."""
        begin, at = self._empty
        at = at if begin == after else after
        while True:
            settled, through = await self._reader.read(partial(self._settled, after=at))
            found = self._made(settled)
            self._empty = (-1, 0) if found else (after, through)
            if found or not settled:
                return found
            at = through

    async def done(self, through: int, spans: int, losses: Sequence[Loss]) -> None:
        """As :meth:`PipedOutbox.done`."""
        await self._parent.commit(Done(through, spans, tuple(losses), self._cursor))

    def _settled(self, connection: sa.Connection, after: int) -> tuple[Sequence[Settled], int]:
        return settled_events.claim(
            connection, self._cursor, after, SETTLED_EVENTS, now_us=now_us(), max_age_us=self._max_age_us
        )


def _send(message: Done | Failed) -> None:
    sys.stdout.buffer.write(encode(message) + b"\n")
    sys.stdout.buffer.flush()


async def _run(relays: Sequence[SpanRelay]) -> None:
    await asyncio.gather(*(relay.run() for relay in relays))


async def main(connect: Connect, user_ids: Mode = "plain", episodes: Episodes = NO_EPISODES) -> None:
    """Relays until :class:`Stop` is received and each pending span was tried, or until the parent has gone."""
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    parent, reader = Parent(), Reader(connect)
    users = reader.naming(user_ids)
    relays = [SpanRelay.to(os.environ, PipedOutbox(reader, parent), now_us, users)]
    settled = partial(SettledOutbox, reader=reader, parent=parent, max_age_us=episodes.max_age_us)
    if episodes.spans:
        outbox = settled(SPANS_CURSOR, lambda some: list(ended_spans(some, episodes.spans)))
        relays.append(SpanRelay.to(os.environ, outbox, now_us, users, encode=episode_span))
    if episodes.logs:
        outbox = settled(LOGS_CURSOR, lambda some: list(log_events(some, episodes.logs)))
        relays.append(SpanRelay.to(os.environ, outbox, now_us, users, encode=log_record, signal="logs"))
    work = asyncio.create_task(_run(relays))
    following = asyncio.create_task(parent.follow(lines, relays))
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
    _mode = msgspec.convert(sys.argv[2], Mode)
    logs.configure(msgspec.json.decode(sys.argv[1], type=LogSettings), quotes_errors=_mode == "plain")
    with engines.reading(os.environ[DATABASE]) as _connect:
        asyncio.run(main(_connect, _mode, msgspec.json.decode(sys.argv[3], type=Episodes)))
