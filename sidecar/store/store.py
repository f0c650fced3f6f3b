"""The store: one open database and its only interface.

Events are appended; everything else is read and written by functions of a connection, given to :meth:`Store.read` and
:meth:`Store.write`, with the time as an argument. Each call returns after its commit.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Concatenate, ParamSpec, TypeVar, overload

import sqlalchemy as sa
import structlog

from sidecar.clock import Clock
from sidecar.domain.events import HEARTBEAT, Event
from sidecar.domain.lease import Leases, LeaseTime, Now
from sidecar.domain.texts import Text
from sidecar.domain.units import DAY_US
from sidecar.errors import DatabaseRefusedError, StoreUnavailableError
from sidecar.store import copy_marks, duties, engines, log_positions
from sidecar.store.access import tokens
from sidecar.store.access.credentials import Credentials
from sidecar.store.care import erasures, pruning_hold
from sidecar.store.care.clock_watch import ClockFollower, ClockWatch
from sidecar.store.care.erasure import Eraser
from sidecar.store.care.holdings import all_holdings
from sidecar.store.care.pruning_hold import Hold
from sidecar.store.care.rebuild import rebuild
from sidecar.store.care.retention import Expiring, Pruner, Retention
from sidecar.store.care.user_data import Holding
from sidecar.store.database import Database
from sidecar.store.duties import ERASING, LEASES, RETENTION, Duties
from sidecar.store.heartbeats import Heartbeats
from sidecar.store.log import span_outbox
from sidecar.store.log.event_log import Batch
from sidecar.store.log.followers import Follower
from sidecar.store.users import user_reads
from sidecar.store.values import Appended, Commit, Publishing, Rejected
from sidecar.store.writer import Limits, Writer
from sidecar.system.files import FILES, Files
from sidecar.system.threads import THREADS, Threads, run_in

_log = structlog.get_logger(__name__)

P = ParamSpec("P")
T = TypeVar("T")
READERS = 3
SWEEP_USERS = 500


class Store:
    """An open database, created by :meth:`open`. Coroutines may be called from one event loop at a time."""

    def __init__(
        self,
        database: Database,
        *,
        attached: bool,
        clock: Clock,
        steady: Clock,
        threads: Threads,
        leases: Leases,
        export_spans: bool | None,
        followers: Sequence[Follower],
        limits: Limits | None,
        retention: Retention | None,
        expiring: Sequence[Expiring],
        holdings: Sequence[Holding],
    ) -> None:
        self.name = database.name
        self._database = database
        self._is_closed = False
        self.holdings = all_holdings(holdings)
        self._eraser = Eraser(self.holdings)
        self._pruner = Pruner(retention or Retention(), steady, expiring)
        self._clock = clock
        self._steady = steady
        self._leases = leases
        self._listeners: list[tuple[asyncio.AbstractEventLoop, Callable[[Commit], None]]] = []
        database.listen(self._publish)
        outdated = copy_marks.migrate_unmarked(database)
        self._writer: Writer | None = None
        self.followers: tuple[str, ...] = ()
        self.heartbeats = beats = Heartbeats(self._append_batch, leases, steady)
        self._clock_watch = ClockWatch(database, clock=clock, steady=steady, heartbeats=None if attached else beats)
        self._lease_time = self._clock_watch.lease_time
        self._swept = self._lease_time()
        self._pruning_hold: Hold | None = None
        if not attached:
            with database.begin() as connection:
                if outdated:
                    _log.warning("after this migration all users are rebuilt from the events; it may take minutes")
                    rebuild(connection, leases, self._lease_time())
                if export_spans is not None:
                    span_outbox.begin(connection, export_spans=export_spans)
        self.duties = Duties(database, self.write)
        self._readers = threads.pool("zimwatch-reader", READERS)
        self.credentials = Credentials(database, clock, steady)
        if not attached:
            self._writer = Writer(
                database,
                leases,
                threads=threads,
                clock=self._clock_watch.settled_us,
                steady=steady,
                lease_time=self._lease_time,
                refused=self._clock_watch.pause,
                heartbeat_after_s=lambda: beats.after_s,
                followers=[*([span_outbox.SpanFollower()] if export_spans else []), *followers],
                limits=limits,
            )
            self.followers = self._writer.followers

    @classmethod
    def open(
        cls,
        database_url: str,
        *,
        clock: Clock,
        steady: Clock | None = None,
        threads: Threads = THREADS,
        files: Files = FILES,
        leases: Leases | None = None,
        export_spans: bool | None = False,
        attach: bool = False,
        followers: Sequence[Follower] = (),
        limits: Limits | None = None,
        retention: Retention | None = None,
        expiring: Sequence[Expiring] = (),
        holdings: Sequence[Holding] = (),
    ) -> Store:
        """Opens or creates the database, brings its tables up to date and starts the writer.

        With ``attach`` another process may serve it: reads and small writes work, appending does not. Spans are
        recorded for export only with ``export_spans``; None leaves that as it is. ``followers`` handle each event in
        the transaction that appends it; ``expiring`` is pruned with the store, and of ``holdings`` users are erased
        with it. Leases and pauses use ``steady``, or
        ``clock`` without one. DatabaseRefusedError where the file is not ours, newer, damaged or in use.
        """
        steady = steady or clock
        with engines.refusing(database_url), contextlib.ExitStack() as opened:
            database = engines.open_database(database_url, attach=attach, steady=steady, threads=threads, files=files)
            opened.callback(database.close)
            store = cls(
                database,
                attached=attach,
                clock=clock,
                steady=steady,
                threads=threads,
                leases=leases or Leases(),
                export_spans=export_spans,
                followers=followers,
                limits=limits,
                retention=retention,
                expiring=expiring,
                holdings=holdings,
            )
            opened.pop_all()  # the store closes it from here on
            return store

    async def close(self) -> None:
        """Commits what was accepted, then closes the database. Idempotent."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._writer is not None:
            await self.record_uses(at_once=True)
            await self.heartbeats.stop()
            with contextlib.suppress(StoreUnavailableError):  # then leases lose only the time since the last mark
                await self.notice_clock(closing=True)
            await run_in(self._readers, self._writer.close)
        self._readers.shutdown()
        self._database.close()

    @property
    def problem(self) -> Text | None:
        """Why the last commit failed; None where it did not."""
        return self._database.care.problem or self._database.care.waits_for()

    def waiting(self) -> tuple[int, int]:
        """The bytes of the events that wait for their commit, and the age of the oldest in microseconds."""
        return (0, 0) if self._writer is None else self._writer.waiting()

    @property
    def heartbeat_after_s(self) -> int:
        """The interval between heartbeats that clients are given now."""
        return self.heartbeats.after_s

    def hurry(self) -> None:
        """To be called when Zimwatch is to stop: from now on no wait for another program is long."""
        self._database.care.hurry()

    async def append(
        self, events: Sequence[Event], rejected: Sequence[Rejected] = (), *, size_bytes: int = 0
    ) -> Appended:
        """Commits the new events; after that they are never lost. StoreUnavailableError: none was stored.

        ``size_bytes`` is their size on the wire, which counts for the limit of waiting bytes. Heartbeats alone may be
        kept in memory for some seconds (:mod:`sidecar.store.heartbeats`).
        """
        if not events and not rejected:
            return Appended(0, 0, heartbeat_after_s=self._leases.heartbeat_after_s)
        if not rejected and all(event.type == HEARTBEAT for event in events):
            return await self.heartbeats.append(events, size_bytes)
        arrived_us = self._steady()
        answer = await self._append_batch(Batch(events, rejected, size_bytes))
        self.heartbeats.learn(answer, arrived_us)
        return answer

    async def _append_batch(self, batch: Batch) -> Appended:
        return await self._writing.append(batch)

    @overload
    async def write(
        self, work: Callable[Concatenate[sa.Connection, P], Publishing[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T: ...

    @overload
    async def write(self, work: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T: ...

    async def write(self, work: Callable[Concatenate[sa.Connection, P], Any], *args: P.args, **kwargs: P.kwargs) -> Any:
        """Runs ``work`` in a transaction of the writer's thread, and returns its result after the commit.

        It may run again where another work of the transaction fails. One that returns a
        :class:`~sidecar.store.values.Publishing` publishes its changes after the commit, which an attached database
        cannot do.
        """

        def run(connection: sa.Connection) -> Any:  # noqa: ANN401 - the result of the work
            return work(connection, *args, **kwargs)

        if self._writer is None:
            return await run_in(self._readers, self._write_alone, run)
        return await self._writer.do(run)

    async def read(self, query: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs ``query`` on a consistent snapshot, in a reader's thread. StoreUnavailableError if unreadable."""

        def run() -> T:
            with self._database.reading() as connection:
                return query(connection, *args, **kwargs)

        return await run_in(self._readers, run)

    async def rebuild(self) -> int:
        """Rebuilds every projection from the log; returns the number of its events."""
        writer = self._writing

        def work(connection: sa.Connection) -> int:
            writer.forget(connection)
            return rebuild(connection, self._leases, self._lease_time())

        count: int = await writer.do(work)
        return count

    async def tend(self, *, prunes: bool = True) -> bool:
        """Marks users whose leases ran out, publishes those that now differ from ZEGO's server, and prunes.

        To be called every second or so by each node; one of them does this for all. With ``prunes`` it deletes
        what is past its retention; whether there was any. It works in slices, so that
        commits are not delayed. It also notices that the machine's clock was set, and records regularly that Zimwatch
        runs, so that the time in which it did not is not counted as a client's silence.
        """
        await self.record_uses()
        await self.heartbeats.write()
        await self.notice_clock()
        before, now = self._swept, self.now()
        self._swept = now.time
        if (term := await self.duties.hold(LEASES)) is not None:
            with duties.doing(term):
                await self._sweep(before, now)
        if not prunes or (term := await self.duties.hold(RETENTION)) is None:
            return False
        with duties.doing(term):
            return await self.prune() > 0

    async def _sweep(self, before: LeaseTime, now: Now) -> None:
        while await self._writing.sweep(SWEEP_USERS) == SWEEP_USERS:
            pass
        for changes in await self.read(_began_to_disagree, before, now):
            await self._writing.do(partial(_published, changes))

    async def record_uses(self, *, at_once: bool = False) -> None:
        """Records when tokens were used last, with whatever is committed next. What fails is kept for the next time."""
        if uses := self.credentials.unwritten_uses(at_once=at_once):
            try:
                await self.write(tokens.mark_used, uses)
            except StoreUnavailableError:
                self.credentials.keep_unwritten(uses)

    async def prune(self, *, despite_jump: bool = False) -> int:
        """Deletes what is past its retention; returns the number of rows.

        After the clock jumped only by size, unless the clock was confirmed (``despite_jump``): see
        :mod:`sidecar.store.care.pruning_hold`.
        """
        removed = 0
        while (some := await self._writing.do(lambda c: self._prune_slice(c, despite_jump=despite_jump))) is not None:
            removed += some
        return removed

    async def make_room(self, *, despite_jump: bool = False) -> int:
        """Like :meth:`prune`, but on a nearly full disk in small slices, after each of which the log is truncated."""

        def work(connection: sa.Connection) -> int | None:
            return self._prune_slice(connection, despite_jump=despite_jump)

        removed = 0
        while True:
            self._database.care.look_for_room()
            some: int | None = await self._writing.do(work)
            if some is None:
                return removed
            removed += some

    def _prune_slice(self, connection: sa.Connection, *, despite_jump: bool) -> int | None:
        if despite_jump:
            pruning_hold.release(connection)
        before, self._pruning_hold = self._pruning_hold, pruning_hold.current(connection, self.now())
        hold = self._pruning_hold
        if hold is not None and (before is None or before.by_us != hold.by_us):
            _log.warning(
                "the clock differs by days from when Zimwatch ran last: nothing is deleted for its age for 24 h, or"
                " until `zimwatch db prune --now`",
                days=round(hold.by_us / DAY_US, 1),
            )
        # The earlier of both: a clock that was just set counts only once that was noticed, and pruning is on hold.
        now_us = min(self._clock(), self._lease_time().machine_us)
        return self._pruner.slice(connection, now_us, by_age=hold is None)

    async def erase(self) -> None:
        """Erases the users of all pending erasures, in slices (:mod:`sidecar.store.care.erasure`).

        To be called every second or so; where another node has this duty, nothing is done. It returns once they are
        finished, which takes as long as a reader keeps an old state of the file.
        """
        if (term := await self.duties.hold(ERASING)) is not None and await self.read(erasures.any_pending):
            with duties.doing(term):
                await self._eraser.run(self._writing, self._database.care, self._clock)

    async def notice_clock(self, *, closing: bool = False) -> None:
        """See :meth:`ClockWatch.notice`; to be called before acting on a moment."""
        await self._clock_watch.notice(self._writing, lambda: self.problem is not None, closing=closing)

    def settled_us(self) -> int:
        """See :meth:`ClockWatch.settled_us`."""
        return self._clock_watch.settled_us()

    def when_clock_is_set(self, follow: ClockFollower) -> None:
        """Calls ``follow`` in the writer's thread whenever the clock was set."""
        self._clock_watch.followers.append(follow)

    def subscribe(self, callback: Callable[[Commit], None]) -> Callable[[], None]:
        """Calls ``callback`` in this event loop after each commit of users or alerts. Returns a function to stop it."""
        listener = (asyncio.get_running_loop(), callback)
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def now(self) -> Now:
        """The present, for queries that evaluate leases."""
        return Now(self._lease_time(), self._leases)

    @property
    def _writing(self) -> Writer:
        if self._writer is None:
            raise self._only_attached()
        return self._writer

    def _only_attached(self) -> DatabaseRefusedError:
        return DatabaseRefusedError(f"{self.name} is only attached; another process may be serving it")

    def _write_alone(self, work: Callable[[sa.Connection], T]) -> T:
        with self._database.begin() as connection:
            result = work(connection)
            if isinstance(result, Publishing):  # its subscribers are in another process
                raise self._only_attached()
            return result

    def _publish(self, commit: Commit) -> None:
        if commit == tokens.CHANGED:  # nothing that is shown
            return
        for loop, callback in tuple(self._listeners):
            if not loop.is_closed():
                loop.call_soon_threadsafe(callback, commit)


def _began_to_disagree(connection: sa.Connection, before: LeaseTime, now: Now) -> list[Commit]:
    """Users that began to differ from ZEGO's server since ``before``, for which there is no event."""
    found = list(user_reads.users_that_began_to_disagree(connection, before, now))
    position = log_positions.newest_position(connection) if found else 0
    return [Commit(position, tuple(some)) for some in found]


def _published(changes: Commit, _connection: sa.Connection) -> Publishing[None]:
    return Publishing(None, changes)
