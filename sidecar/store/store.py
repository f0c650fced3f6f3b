"""The store as the rest of Zimwatch sees it: what it was given is committed before it answers."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa

from sidecar.clock import Clock
from sidecar.domain.events import Event
from sidecar.domain.lease import Leases
from sidecar.errors import DatabaseRefusedError
from sidecar.store import engine, event_log, outbox, queries
from sidecar.store.alert_records import Reaction
from sidecar.store.event_log import Batch
from sidecar.store.rebuild import rebuild
from sidecar.store.records import (
    Appended,
    Backlog,
    Commit,
    PendingSpan,
    Rejected,
    StoredEvent,
    Summary,
    Token,
    UserDetail,
    UserFilter,
    UserPage,
    UserRow,
)
from sidecar.store.tokens import Tokens
from sidecar.store.writer import Writer

P = ParamSpec("P")
T = TypeVar("T")
READERS = 3


class Store:
    """One database file, open. Made by :meth:`open`; every coroutine may be called from one event loop at a time."""

    def __init__(
        self,
        path: Path,
        lock: IO[str] | None,
        *,
        clock: Clock,
        leases: Leases,
        export_spans: bool,
        reaction: Reaction | None,
    ) -> None:
        self.path = path
        self._lock = lock
        self._clock = clock
        self._leases = leases
        self._listeners: list[tuple[asyncio.AbstractEventLoop, Callable[[Commit], None]]] = []
        self._write_engine = engine.connect(path, writes=True)
        engine.migrate(self._write_engine, path)
        self._read_engine = engine.connect(path, writes=False)
        self._readers = ThreadPoolExecutor(READERS, "zimwatch-reader")
        self._tokens = Tokens(self._read_engine, self._write_engine, clock)
        self._writer: Writer | None = None
        if lock is not None:
            self._writer = Writer(
                self._write_engine, leases, self._publish, export_spans=export_spans, reaction=reaction
            )

    @classmethod
    def open(
        cls,
        database_url: str,
        *,
        clock: Clock,
        leases: Leases | None = None,
        export_spans: bool = False,
        reaction: Reaction | None = None,
        attach: bool = False,
    ) -> Store:
        """Opens or makes the file, brings its tables up to date and starts the writer.

        With ``attach`` the file may be served by another process: tokens and reads work, appending does not. Spans
        are owed only with ``export_spans``; ``reaction`` takes part in each transaction that appends events.
        DatabaseRefusedError where the file is not ours, newer, broken or in use.
        """
        path = engine.path_of(database_url)
        lock = None
        try:
            engine.claim(path)
            lock = None if attach else engine.lock(path)
            return cls(path, lock, clock=clock, leases=leases or Leases(), export_spans=export_spans, reaction=reaction)
        except (sa.exc.DatabaseError, OSError) as error:
            if lock is not None:
                lock.close()
            reason = getattr(error, "orig", error)
            raise DatabaseRefusedError(f"{path} cannot be opened as a database: {reason}") from error
        except DatabaseRefusedError:
            if lock is not None:
                lock.close()
            raise

    async def close(self) -> None:
        """Commits what was accepted, then lets go of the file."""
        if self._writer is not None:
            await asyncio.to_thread(self._writer.close)
        self._tokens.close()
        self._readers.shutdown()
        self._read_engine.dispose()
        self._write_engine.dispose()
        if self._lock is not None:
            self._lock.close()

    @property
    def problem(self) -> str | None:
        """Why the last commit failed; None where it did not."""
        return self._writer.problem if self._writer else None

    async def append(self, events: Sequence[Event], rejected: Sequence[Rejected] = ()) -> Appended:
        """Commits the events that are new; after that they are never lost. StoreUnavailableError: none was kept."""
        if not events and not rejected:
            return Appended(0, 0)
        return await self._writing.append(Batch(events, rejected))

    async def write(self, work: Callable[[sa.Connection], T]) -> T:
        """Commits what ``work`` does in the writer's thread, and gives its result; it may run again if others fail."""
        result: T = await self._writing.do(work)
        return result

    async def read(self, query: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What a query of :mod:`sidecar.store` gives."""
        return await self._read(query, *args, **kwargs)

    async def rebuild(self) -> int:
        """Builds every projection anew from the log; how many events it holds."""
        count: int = await self._writing.do(lambda connection: rebuild(connection, self._leases))
        return count

    def subscribe(self, callback: Callable[[Commit], None]) -> Callable[[], None]:
        """Calls ``callback`` in this event loop after each commit that touched users or alerts; gives its undoing."""
        listener = (asyncio.get_running_loop(), callback)
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def known(self, ids: Sequence[bytes]) -> set[bytes]:
        """Those of ``ids`` that are in the log already."""
        return await self._read(event_log.known_ids, ids)

    async def users(self, wanted: UserFilter) -> UserPage:
        """A page of users, newest change first."""
        return await self._read(queries.users, wanted, self._clock())

    async def users_changed_since(self, position: int, limit: int) -> list[UserRow]:
        """Users whose row changed after ``position``, oldest change first."""
        return await self._read(queries.users_changed_since, position, limit, self._clock())

    async def user(self, app_id: int, user_id: str) -> UserDetail | None:
        """One user and its clients; None where nobody has heard of it."""
        return await self._read(queries.user, app_id, user_id, self._clock(), self._leases)

    async def timeline(self, app_id: int, user_id: str, *, before: int | None, limit: int) -> list[StoredEvent]:
        """A user's events, newest first, older than the one at position ``before``."""
        return await self._read(queries.timeline, app_id, user_id, before=before, limit=limit)

    async def summary(self, app_id: int | None = None) -> Summary:
        """Users as counts, of one app or of all."""
        return await self._read(queries.summary, self._clock(), app_id)

    async def position(self) -> int:
        """The position of the newest event; 0 where there is none."""
        return await self._read(event_log.next_position) - 1

    async def rejected(self, limit: int) -> list[Rejected]:
        """What was refused, newest first."""
        return await self._read(queries.rejected, limit)

    async def claim_spans(self, limit: int) -> list[PendingSpan]:
        """The oldest spans that are owed and due."""
        return await self._read(outbox.claim, limit, self._clock())

    async def spans_delivered(self, positions: Sequence[int]) -> None:
        """The collector has taken the spans of these events."""
        if positions:
            await self._writing.do(lambda connection: outbox.delivered(connection, positions))

    async def spans_failed(self, positions: Sequence[int], *, retry_at_us: int) -> None:
        """The collector has not taken them: they are due again at ``retry_at_us``."""
        if positions:
            await self._writing.do(lambda connection: outbox.failed(connection, positions, retry_at_us))

    async def span_backlog(self) -> Backlog:
        """How much is owed to the collector."""
        return await self._read(outbox.backlog)

    async def create_token(self, scope: str, app_id: int | None, expires_at_us: int | None) -> tuple[Token, str]:
        """A new token and its secret, which cannot be had again."""
        return await asyncio.to_thread(self._tokens.create, scope, app_id, expires_at_us)

    async def tokens(self) -> list[Token]:
        """Every token ever made, oldest first."""
        return await asyncio.to_thread(self._tokens.all)

    async def revoke_token(self, token_id: int) -> bool:
        """Whether there was such a token that was not revoked before."""
        return await asyncio.to_thread(self._tokens.revoke, token_id)

    async def token_of(self, secret: str) -> Token | None:
        """The token with this secret; None where it is unknown, revoked or expired."""
        return self._tokens.of(secret)

    @property
    def has_tokens(self) -> bool:
        """Whether any token is neither revoked nor expired."""
        return self._tokens.any_valid()

    async def check(self) -> list[str]:
        """What SQLite's own check finds broken; empty where nothing is."""
        return await asyncio.to_thread(engine.quick_check, self._read_engine)

    async def backup(self, target: Path) -> None:
        """Copies the database, as it is at one moment, to a file that does not exist yet; writing goes on."""
        await asyncio.to_thread(_backup, self.path, target)

    @property
    def _writing(self) -> Writer:
        if self._writer is None:
            raise DatabaseRefusedError(f"{self.path} is only attached; another process may be serving it")
        return self._writer

    async def _read(self, query: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        def run() -> T:
            with self._read_engine.connect() as connection:
                return query(connection, *args, **kwargs)

        return await asyncio.get_running_loop().run_in_executor(self._readers, run)

    def _publish(self, commit: Commit) -> None:
        for loop, callback in tuple(self._listeners):
            if not loop.is_closed():
                loop.call_soon_threadsafe(callback, commit)


def _backup(source: Path, target: Path) -> None:
    if target.exists():
        raise DatabaseRefusedError(f"{target} exists already; a backup never overwrites a file")
    origin: Any = sqlite3.connect(f"file:{source}?mode=ro", uri=True)
    copy = sqlite3.connect(target)
    try:
        origin.backup(copy)
    finally:
        copy.close()
        origin.close()
