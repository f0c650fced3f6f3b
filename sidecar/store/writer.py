"""The one thread that writes: it drains everything that waits into one transaction, and answers after its commit.

A caller whose work was answered can rely on it; a caller that got StoreUnavailableError knows that nothing of its
work was kept. What waits is bounded by bytes and by age. The thread outlives whatever the disk does: a commit that
fails is told to its callers and in :attr:`Writer.problem`, and while nobody sends, it tries by itself whether there is
room again.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from itertools import chain
from typing import Any, Final

import msgspec
import sqlalchemy as sa
import structlog

from sidecar.clock import Clock
from sidecar.domain.lease import Leases
from sidecar.domain.lease_time import LeaseTime
from sidecar.domain.sentences import Sentence
from sidecar.errors import StoreUnavailableError
from sidecar.settings import Settings, duration_us
from sidecar.store import event_log
from sidecar.store.event_log import Batch
from sidecar.store.projections import Projections
from sidecar.store.reactions import Reaction
from sidecar.store.records import Appended, Commit

# A transaction takes no more than this, so that the first in it does not wait for the last.
COMMIT_EVENTS: Final = 5_000
# The write-ahead log goes back into the file after the callers were answered: when so many events are in it, so that no
# caller waits for the pages of many, but not more often than this; and where few come, after a while.
CHECKPOINT_EVENTS: Final = 1_000
CHECKPOINT_SOONEST_US: Final = 125_000
CHECKPOINT_LATEST_US: Final = 1_000_000
# How often a disk that failed is tried while nobody sends.
RETRY_EVERY_US: Final = 1_000_000
_RETRY_AFTER_S: Final = 5
CANNOT_COMMIT: Final = Sentence("the database cannot commit: %(why)s")

_log = structlog.get_logger(__name__)

Work = Callable[[sa.Connection], Any]


class Limits(msgspec.Struct, frozen=True):
    """How much may wait for its commit, and for how long the oldest of it, before callers are told to come back."""

    waiting_bytes: int = 67_108_864
    waiting_us: int = 5_000_000

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """As the settings have it."""
        return cls(settings.ingest.max_waiting_bytes, duration_us(settings.ingest.max_waiting))


class _Waiting(msgspec.Struct):
    """What one caller waits for."""

    work: Batch | Work
    answer: Future[Any]
    since_us: int

    @property
    def size_bytes(self) -> int:
        return self.work.size_bytes if isinstance(self.work, Batch) else 0

    @property
    def events(self) -> int:
        return len(self.work.events) if isinstance(self.work, Batch) else 0


class Writer:
    """Commits batches and other small works in the order they came; ``published`` gets each commit, in its thread."""

    def __init__(
        self,
        engine: sa.Engine,
        leases: Leases,
        published: Callable[[Commit], None],
        *,
        steady: Clock,
        lease_time: Callable[[], LeaseTime],
        export_spans: bool = False,
        reactions: Sequence[Reaction] = (),
        limits: Limits | None = None,
    ) -> None:
        self._engine = engine
        self._connection: sa.Connection | None = None
        self._leases = leases
        self._published = published
        self._steady = steady
        self._lease_time = lease_time
        self._export_spans = export_spans
        self._reactions = reactions
        self._limits = limits or Limits()
        self._projections: Projections | None = None
        self._waiting: deque[_Waiting] = deque()
        self._waiting_bytes = 0
        self._in_hand: list[_Waiting] = []
        self._changed = threading.Condition()
        self._closing = False
        self._checkpointed_us = steady()
        self._to_checkpoint = False
        self._events_in_log = 0
        self.problem: str | None = None
        self._thread = threading.Thread(target=self._run, name="zimwatch-writer", daemon=True)
        self._thread.start()

    async def append(self, batch: Batch) -> Appended:
        """Commits the batch with whatever else waits; see :func:`sidecar.store.event_log.append`."""
        answer: Appended = await asyncio.wrap_future(self._submit(batch))
        return answer

    async def do(self, work: Work) -> Any:  # noqa: ANN401 - the result is the work's own
        """Commits what ``work`` does on the connection, and gives its result. It may be run again after a failure."""
        return await asyncio.wrap_future(self._submit(work))

    def forget(self) -> None:
        """For a work that has changed projections behind the writer's back: they are read anew."""
        self._projections = None

    async def sweep(self, limit: int) -> int:
        """Looks at up to ``limit`` users whose lease may have run out, and publishes them; how many that were."""

        def work(connection: sa.Connection) -> Commit:
            if self._projections is None:
                self._projections = Projections(connection, self._leases)
            users = self._projections.sweep(connection, self._lease_time(), limit)
            return Commit(self._projections.next_position - 1, tuple(users))

        swept: Commit = await self.do(work)
        return len(swept.users)

    def close(self) -> None:
        """Commits what was taken, then ends the thread. Blocks until then."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def waiting(self) -> tuple[int, int]:
        """Bytes that wait for their commit, and for how many microseconds the oldest of them has waited."""
        with self._changed:
            return self._waiting_bytes, self._age_us()

    def _age_us(self) -> int:
        waiting = chain(self._in_hand, self._waiting)
        oldest = next((one for one in waiting if isinstance(one.work, Batch)), None)
        return 0 if oldest is None else self._steady() - oldest.since_us

    def _submit(self, work: Batch | Work) -> Future[Any]:
        waiting = _Waiting(work, Future(), self._steady())
        with self._changed:
            if self._closing:
                raise StoreUnavailableError("Zimwatch is shutting down")
            if isinstance(work, Batch):
                self._refuse_more(waiting.size_bytes)
            self._waiting.append(waiting)
            self._waiting_bytes += waiting.size_bytes
            self._changed.notify()
        return waiting.answer

    def _refuse_more(self, size_bytes: int) -> None:
        if self._waiting_bytes and self._waiting_bytes + size_bytes > self._limits.waiting_bytes:
            raise StoreUnavailableError("more events are waiting than the disk can take", retry_after_s=2)
        if self._age_us() > self._limits.waiting_us:
            raise StoreUnavailableError("events wait too long for the disk", retry_after_s=_RETRY_AFTER_S)

    def _run(self) -> None:
        while True:
            taken = self._take()
            if taken:
                self._commit(taken)
            elif self._closing:
                self._let_go()
                return
            elif self.problem is not None:
                self._try_again()
            if self._to_checkpoint and self._steady() - self._checkpointed_us >= self._checkpoint_after_us:
                self._checkpoint()

    def _take(self) -> list[_Waiting]:
        """What goes into the next transaction; empty when there is something else to do than to wait."""
        taken: list[_Waiting] = []
        events = 0
        with self._changed:
            if not self._waiting and not self._closing:
                self._changed.wait(self._patience_s())
            while self._waiting and events < COMMIT_EVENTS:
                waiting = self._waiting.popleft()
                self._waiting_bytes -= waiting.size_bytes
                # A caller that gave up before its work began has not been told that it was kept.
                if waiting.answer.set_running_or_notify_cancel():
                    events += waiting.events
                    taken.append(waiting)
        return taken

    def _patience_s(self) -> float | None:
        if self.problem is not None:
            return RETRY_EVERY_US / 1_000_000
        return self._checkpoint_after_us / 1_000_000 if self._to_checkpoint else None

    @property
    def _checkpoint_after_us(self) -> int:
        return CHECKPOINT_SOONEST_US if self._events_in_log >= CHECKPOINT_EVENTS else CHECKPOINT_LATEST_US

    def _commit(self, taken: list[_Waiting]) -> None:
        self._in_hand = taken
        try:
            results, commit = self._transaction(taken)
        except Exception as error:  # noqa: BLE001 - each caller gets it; the thread lives on
            self._let_go()
            self._in_hand = []  # before the callers know: what they send next has not waited
            self._projections = None
            self._failed(taken, error)
            return
        self._in_hand = []
        reacted = [done for reaction in self._reactions if (done := reaction.committed()) is not None]
        for waiting, result in zip(taken, results, strict=True):
            waiting.answer.set_result(result)
        for swept in results:
            # Told before the callers go on: what they do next, such as an alert about it, is told after it.
            if isinstance(swept, Commit) and swept.users:
                users = dict.fromkeys((*commit.users, *swept.users) if commit else swept.users)
                commit = msgspec.structs.replace(commit or swept, users=tuple(users))
        for done in reacted:
            commit = msgspec.structs.replace(commit or Commit(0), **msgspec.structs.asdict(done))
        if commit is not None:
            self._published(commit)

    def _transaction(self, taken: list[_Waiting]) -> tuple[list[Any], Commit | None]:
        batches = [one.work for one in taken if isinstance(one.work, Batch)]
        connection = self._connected()
        with connection.begin():
            driver: Any = connection.connection.driver_connection
            changes = driver.total_changes
            answers: list[Appended] = []
            commit = None
            if batches:
                if self._projections is None:
                    self._projections = Projections(connection, self._leases)
                answers, commit = event_log.append(
                    connection,
                    batches,
                    self._projections,
                    time=self._lease_time(),
                    reactions=self._reactions,
                    export_spans=self._export_spans,
                )
            left = iter(answers)
            results = [next(left) if isinstance(one.work, Batch) else one.work(connection) for one in taken]
            has_written = driver.total_changes > changes
        if has_written:
            self._events_in_log += sum(len(one.events) for one in batches)
            self._can_commit()
        return results, commit

    def _connected(self) -> sa.Connection:
        """The one connection, kept from one transaction to the next: having it made is a fifth of a small one."""
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._connection

    def _let_go(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _can_commit(self) -> None:
        """A transaction that wrote something is committed. One that did not says nothing of the disk."""
        if self.problem is not None:
            _log.info("the database can commit again")
        self.problem = None
        self._to_checkpoint = True

    def _failed(self, taken: list[_Waiting], error: Exception) -> None:
        """Nothing was kept. Works that failed together are tried one by one, so that one cannot hold up the rest."""
        for reaction in self._reactions:
            reaction.undone()
        if _is_of_the_disk(error):
            self._blame(error)
            refusal = StoreUnavailableError(str(self.problem), retry_after_s=_RETRY_AFTER_S)
            for waiting in taken:
                waiting.answer.set_exception(refusal)
        elif len(taken) == 1:
            _log.error("work failed", exc_info=error)
            taken[0].answer.set_exception(error)
        else:
            for one in taken:
                self._commit([one])

    def _blame(self, error: Exception) -> None:
        reason = str(getattr(error, "orig", error))
        if self.problem is None:
            _log.error("commit failed", error=reason)
        self.problem = CANNOT_COMMIT(why=reason)
        self._let_go()
        self._engine.dispose()  # a connection that met an error of the disk may hold on to it

    def _try_again(self) -> None:
        try:
            connection = self._connected()
            with connection.begin():
                # A real write, of what is there already: reading would also work where there is no room.
                version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
                connection.exec_driver_sql(f"PRAGMA user_version = {(int(version) + 1) % 1_000_000}")
        except Exception as error:  # noqa: BLE001 - it is tried again
            self._blame(error)
        else:
            self._can_commit()

    def _checkpoint(self) -> None:
        self._checkpointed_us = self._steady()
        self._to_checkpoint = False
        self._events_in_log = 0
        try:
            driver: Any = self._connected().connection.driver_connection
            driver.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except Exception as error:  # noqa: BLE001 - what was committed is in the log still; it is tried again
            self._blame(error)


def _is_of_the_disk(error: Exception) -> bool:
    """Whether the file could not be written or read, rather than the work being wrong."""
    return isinstance(error, sa.exc.OperationalError) or type(error) is sa.exc.DatabaseError
