"""The store as the rest of Zimwatch sees it: what it was given is committed before it answers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa
import structlog

from sidecar.clock import Clock, steady_us
from sidecar.domain.events import Event
from sidecar.domain.lease import Leases
from sidecar.domain.lease_time import LeaseClock, LeaseTime, Stretch
from sidecar.errors import DatabaseRefusedError, StoreUnavailableError
from sidecar.store import (
    backups,
    engine,
    event_log,
    hand_off,
    lease_time,
    lookup,
    outbox,
    past,
    queries,
    rollups,
    storage,
)
from sidecar.store.event_log import Batch
from sidecar.store.hand_off import HandOff
from sidecar.store.lookup import Found, Search
from sidecar.store.past import Then
from sidecar.store.reactions import Reaction
from sidecar.store.rebuild import rebuild
from sidecar.store.records import (
    Appended,
    Backlog,
    Commit,
    Loss,
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
from sidecar.store.retention import Pruner, Retention
from sidecar.store.rollups import Bucket
from sidecar.store.storage import Storage
from sidecar.store.tokens import Tokens
from sidecar.store.writer import Limits, Writer

_log = structlog.get_logger(__name__)

P = ParamSpec("P")
T = TypeVar("T")
READERS = 3
# The most of a crash that clients are blamed for, and one small commit.
ALIVE_EVERY_US = 5_000_000
SWEEP_USERS = 500


class Store:
    """One database file, open. Made by :meth:`open`; every coroutine may be called from one event loop at a time."""

    def __init__(
        self,
        path: Path,
        lock: IO[str] | None,
        *,
        writes: sa.Engine,
        reads: sa.Engine,
        clock: Clock,
        steady: Clock,
        leases: Leases,
        export_spans: bool | None,
        reactions: Sequence[Reaction],
        limits: Limits | None,
        retention: Retention | None,
    ) -> None:
        self.path = path
        self._pruner = Pruner(retention or Retention(), steady_us)
        self._lock = lock
        self._clock = clock
        self._steady = steady
        self._leases = leases
        self._listeners: list[tuple[asyncio.AbstractEventLoop, Callable[[Commit], None]]] = []
        self._write_engine = writes
        self._read_engine = reads
        engine.refuse_damaged(writes, path)
        outdated = engine.migrate(writes, path)
        self._readers = ThreadPoolExecutor(READERS, "zimwatch-reader")
        self._tokens = Tokens(self._read_engine, self._write_engine, clock)
        self._writer: Writer | None = None
        self._lease_clock = self._begin_lease_time(attached=lock is None)
        self._swept = self._lease_clock.at(steady())
        self._alive_us = clock()
        self._unsaved: list[Stretch] = []
        if lock is not None:
            with self._write_engine.begin() as connection:
                if outdated:
                    _log.warning("after this migration all users are made anew from the events; it may take minutes")
                    rebuild(connection, leases, self._lease_time())
                if export_spans is not None:
                    outbox.begin(connection, export_spans=export_spans)
            self._writer = Writer(
                self._write_engine,
                leases,
                self._publish,
                steady=steady_us,
                lease_time=self._lease_time,
                export_spans=bool(export_spans),
                reactions=reactions,
                limits=limits,
            )

    @classmethod
    def open(
        cls,
        database_url: str,
        *,
        clock: Clock,
        steady: Clock | None = None,
        leases: Leases | None = None,
        export_spans: bool | None = False,
        attach: bool = False,
        reactions: Sequence[Reaction] = (),
        limits: Limits | None = None,
        retention: Retention | None = None,
    ) -> Store:
        """Opens or makes the file, brings its tables up to date and starts the writer.

        With ``attach`` the file may be served by another process: tokens and reads work, appending does not. Spans
        are owed only with ``export_spans``; None leaves that as it is. ``reactions`` are called in the transaction of
        the events. Leases run by ``steady``, or by ``clock`` where there is no other. DatabaseRefusedError where the
        file is not ours, newer, broken or in use.
        """
        path = engine.path_of(database_url)
        with contextlib.ExitStack() as opened:
            try:
                engine.claim(path)
                lock = None if attach else opened.enter_context(engine.lock(path))
                writes, reads = engine.connect(path, writes=True), engine.connect(path, writes=False)
                opened.callback(writes.dispose)
                opened.callback(reads.dispose)
                store = cls(
                    path,
                    lock,
                    writes=writes,
                    reads=reads,
                    clock=clock,
                    steady=steady or clock,
                    leases=leases or Leases(),
                    export_spans=export_spans,
                    reactions=reactions,
                    limits=limits,
                    retention=retention,
                )
            except (sa.exc.DatabaseError, OSError) as error:
                reason = getattr(error, "orig", error)
                sentence = f"{path} cannot be opened as a database: {reason}{engine.WHAT_TO_DO}"
                raise DatabaseRefusedError(sentence) from error
            opened.pop_all()  # the store closes them from here on
            return store

    async def close(self) -> None:
        """Commits what was accepted, then lets go of the file."""
        if self._writer is not None:
            with contextlib.suppress(StoreUnavailableError):  # then leases lose no more than since the last mark
                await self._look_at_clocks(closing=True)
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

    async def append(
        self, events: Sequence[Event], rejected: Sequence[Rejected] = (), *, size_bytes: int = 0
    ) -> Appended:
        """Commits the events that are new; after that they are never lost. StoreUnavailableError: none was kept.

        ``size_bytes`` is what they took on the wire, by which it is measured how much waits.
        """
        if not events and not rejected:
            return Appended(0, 0)
        return await self._writing.append(Batch(events, rejected, size_bytes))

    async def write(self, work: Callable[[sa.Connection], T]) -> T:
        """Commits what ``work`` does in the writer's thread, and gives its result; it may run again if others fail."""
        result: T = await self._writing.do(work)
        return result

    async def read(self, query: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What a query of :mod:`sidecar.store` gives."""
        return await self._read(query, *args, **kwargs)

    async def rebuild(self) -> int:
        """Builds every projection anew from the log; how many events it holds."""
        writer = self._writing

        def work(connection: sa.Connection) -> int:
            writer.forget()
            return rebuild(connection, self._leases, self._lease_time())

        count: int = await writer.do(work)
        return count

    async def tend(self) -> None:
        """Marks who became unconfirmed, publishes who began to disagree with ZEGO's server, and prunes.

        To be called every second or so; it goes in slices, between which commits go on. Notices that the machine's
        clock was set, and records from time to time that Zimwatch runs, so that a client is not blamed for silence that
        nobody listened to.
        """
        await self._look_at_clocks()
        while await self._writing.sweep(SWEEP_USERS) == SWEEP_USERS:
            pass
        before, self._swept = self._swept, self._lease_time()
        await self._read(self._tell_apart, before, self._swept)
        await self.prune()

    async def prune(self) -> int:
        """Removes all that retention no longer keeps; how many rows."""
        removed = 0
        while (some := await self._writing.do(lambda c: self._pruner.slice(c, self._clock()))) is not None:
            removed += some
        return removed

    def subscribe(self, callback: Callable[[Commit], None]) -> Callable[[], None]:
        """Calls ``callback`` in this event loop after each commit that touched users or alerts; gives its undoing."""
        listener = (asyncio.get_running_loop(), callback)
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def would_append(self, events: Sequence[Event]) -> Appended:
        """What :meth:`append` would answer for these events; nothing is kept."""
        return await self._read(event_log.would_append, events)

    async def users(self, wanted: UserFilter) -> UserPage:
        """A page of users, newest change first."""
        return await self._read(lookup.users, wanted, self._lease_time(), self._leases)

    async def users_changed_since(self, position: int, limit: int) -> list[UserRow]:
        """Users whose row changed after ``position``, oldest change first."""
        return await self._read(queries.users_changed_since, position, limit, self._lease_time(), self._leases)

    async def users_named(self, names: Sequence[tuple[int, str]]) -> list[UserRow]:
        """Those of the users, by app and id, that are known; in no order."""
        return await self._read(queries.users_named, names, self._lease_time(), self._leases) if names else []

    async def user(self, app_id: int, user_id: str) -> UserDetail | None:
        """One user and its clients; None where nobody has heard of it."""
        return await self._read(queries.user, app_id, user_id, self._lease_time(), self._leases)

    async def event(self, event_id: bytes) -> StoredEvent | None:
        """The event with this id; None where it is not in the log."""
        return await self._read(queries.event, event_id)

    async def timeline(self, app_id: int, user_id: str, *, before: int | None, limit: int) -> list[StoredEvent]:
        """A user's events, newest first, older than the one at position ``before``."""
        return await self._read(queries.timeline, app_id, user_id, before=before, limit=limit)

    async def summary(self, app_id: int | None = None) -> Summary:
        """Users as counts, of one app or of all."""
        return await self._read(queries.summary, app_id)

    async def search(self, wanted: Search) -> Found:
        """A page of users for people; see :mod:`sidecar.store.lookup`."""
        return await self._read(lookup.search_users, wanted, self._lease_time(), self._leases)

    async def app_ids(self) -> list[int]:
        """Every app that has users."""
        return await self._read(lookup.app_ids)

    async def day(self, app_id: int | None, *, begin_us: int, end_us: int, step_minutes: int) -> list[Bucket]:
        """Users by status and what happened, in buckets of some minutes; see :func:`sidecar.store.rollups.read`."""
        return await self._read(rollups.read, app_id, begin_us=begin_us, end_us=end_us, step_minutes=step_minutes)

    async def user_as_of(self, app_id: int, user_id: str, as_of_us: int, *, limit: int) -> Then:
        """One user as of a past moment, with its newest events by then."""
        return await self._read(past.user_as_of, app_id, user_id, as_of_us, limit=limit, leases=self._leases)

    async def sign_hand_off(self, given: HandOff) -> str | None:
        """The text of a link that shows this; None where nobody has heard of the user."""
        return await self._read(hand_off.sign, given)

    async def hand_off(self, text: str) -> HandOff | None:
        """What such a link says; None where it is not ours, was changed, or has ended."""
        return await self._read(hand_off.read, text, self._clock())

    async def storage(self) -> Storage:
        """How big the database is, how fast it grows and how much room is left."""
        return await self._read(storage.measure, self.path, self._clock())

    async def users_as_of(self, wanted: Search, as_of_us: int) -> Found:
        """A page of users as of a past moment; see :func:`sidecar.store.past.users_as_of`."""
        return await self._read(past.users_as_of, wanted, as_of_us, time=self._lease_time())

    async def newest(self) -> StoredEvent | None:
        """The newest event of the log."""
        return await self._read(queries.newest)

    async def position(self) -> int:
        """The position of the newest event; 0 where there is none."""
        return await self._read(event_log.next_position) - 1

    async def rejected(self, limit: int) -> list[Rejected]:
        """What was refused, newest first."""
        return await self._read(queries.rejected, limit)

    async def claim_spans(self, after: int, limit: int) -> list[PendingSpan]:
        """The oldest spans that are owed, behind the position ``after``."""
        return await self._read(outbox.claim, after, limit)

    async def spans_done(self, through: int, spans: int, losses: Sequence[Loss] = ()) -> None:
        """The ``spans`` owed spans at and before ``through`` are with the collector, but for ``losses``."""

        def work(connection: sa.Connection) -> None:
            outbox.delivered(connection, through, spans)
            outbox.lose(connection, losses)

        await self._writing.do(work)

    async def span_losses(self, limit: int) -> list[Loss]:
        """Spans that the collector will not have, newest first."""
        return await self._read(outbox.losses, limit)

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
        await asyncio.to_thread(backups.backup, self.path, target)

    @property
    def _writing(self) -> Writer:
        if self._writer is None:
            raise DatabaseRefusedError(f"{self.path} is only attached; another process may be serving it")
        return self._writer

    def _begin_lease_time(self, *, attached: bool) -> LeaseClock:
        now_us, steady_us = self._clock(), self._steady()
        if attached:
            return LeaseClock((), None, machine_us=now_us, steady_us=steady_us)
        with self._write_engine.begin() as connection:
            return lease_time.begin(connection, machine_us=now_us, steady_us=steady_us)

    def _lease_time(self) -> LeaseTime:
        return self._lease_clock.at(self._steady())

    async def _look_at_clocks(self, *, closing: bool = False) -> None:
        """Records a clock that was set, and from time to time that Zimwatch runs; what fails is recorded later."""
        now_us = self._clock()
        begun = self._lease_clock.look(machine_us=now_us, steady_us=self._steady())
        if begun is not None:
            self._unsaved.append(begun)
        if not (self._unsaved or closing or now_us - self._alive_us >= ALIVE_EVERY_US):
            return
        unsaved = tuple(self._unsaved)
        await self._writing.do(lambda connection: lease_time.alive(connection, now_us, begun=unsaved))
        del self._unsaved[: len(unsaved)]
        self._alive_us = now_us

    def _tell_apart(self, connection: sa.Connection, before: LeaseTime, time: LeaseTime) -> None:
        position = event_log.next_position(connection) - 1
        for some in queries.users_that_came_apart(connection, before, time, self._leases):
            self._publish(Commit(position, tuple(some)))

    async def _read(self, query: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        def run() -> T:
            with self._read_engine.connect() as connection:
                return query(connection, *args, **kwargs)

        return await asyncio.get_running_loop().run_in_executor(self._readers, run)

    def _publish(self, commit: Commit) -> None:
        for loop, callback in tuple(self._listeners):
            if not loop.is_closed():
                loop.call_soon_threadsafe(callback, commit)
