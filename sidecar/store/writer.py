"""The writer: one thread that commits all waiting works in one transaction, and answers their callers after it.

StoreUnavailableError means that nothing of a caller's work was stored. The queue is bounded by bytes and by age. The
thread survives any error of the disk: the callers get the error of a failed commit, and without callers the database
itself retries (:class:`sidecar.store.database.Care`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from itertools import chain
from threading import Lock
from typing import Any, Final

import msgspec
import sqlalchemy as sa
import structlog

from sidecar import durations
from sidecar.clock import Clock
from sidecar.domain.events import Event
from sidecar.domain.lease import Leases, LeaseTime
from sidecar.domain.texts import Sentence
from sidecar.domain.units import SECOND_US
from sidecar.errors import DutyLostError, StoreUnavailableError, ZimwatchError
from sidecar.settings import Settings, duration_us
from sidecar.store import duties
from sidecar.store.database import RETRY_AFTER_S, Database, Term
from sidecar.store.log import event_log
from sidecar.store.log.event_log import Batch
from sidecar.store.log.followers import (
    SLICE,
    Follower,
    FollowerFailedError,
    Followers,
)
from sidecar.store.users.per_minute import Minutes
from sidecar.store.users.projections import Projections
from sidecar.store.values import Appended, Commit, Publishing
from sidecar.system.threads import Threads

# No transaction takes more, so that its first caller does not wait long for its last.
COMMIT_EVENTS: Final = 5_000
_LOST: Final = Sentence("store.duty_lost", "this node has lost the duty “%(duty)s”, and another one may have it")

_log = structlog.get_logger(__name__)

Work = Callable[[sa.Connection], Any]


class Limits(msgspec.Struct, frozen=True):
    """How much may wait for its commit, and how long its oldest, before further batches are refused."""

    waiting_bytes: int = 67_108_864
    waiting_us: int = 5_000_000

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """From the settings."""
        return cls(settings.ingest.max_waiting_bytes, duration_us(settings.ingest.max_waiting))


class _Waiting(msgspec.Struct):
    """A work in the queue, and its caller's future."""

    work: Batch | Work
    answer: Future[Any]
    since_us: int
    # The duty for which the work is done.
    term: Term | None = None
    # Called after the commit, before anything else is written, of a work that has a transaction of its own.
    committed: Callable[[], None] | None = None
    # For a batch committed in parts: the result of the committed part, and the places of the other events in it.
    before: Appended | None = None
    places: list[int] | None = None

    @property
    def size_bytes(self) -> int:
        return self.work.size_bytes if isinstance(self.work, Batch) else 0

    @property
    def events(self) -> int:
        return len(self.work.events) if isinstance(self.work, Batch) else 0


class Writer:
    """Commits batches and other small works in their order.

    ``clock`` is that of deadlines (:meth:`ClockWatch.settled_us`). ``refused`` is called, in any thread, for each
    refusal and failed commit. ``heartbeat_after_s``: see :func:`event_log.append`.
    """

    def __init__(
        self,
        database: Database,
        leases: Leases,
        *,
        threads: Threads,
        clock: Clock,
        steady: Clock,
        lease_time: Callable[[], LeaseTime],
        refused: Callable[[], None] = lambda: None,
        heartbeat_after_s: Callable[[], int] = lambda: 0,
        followers: Sequence[Follower] = (),
        limits: Limits | None = None,
    ) -> None:
        self._database = database
        self._leases = leases
        self._clock = clock
        self._steady = steady
        self._lease_time = lease_time
        self._on_refused = refused
        self._heartbeat_after_s = heartbeat_after_s
        minutes = Minutes(lambda connection: self._projected(connection).counts)
        self._followers = Followers(minutes, *followers)
        with database.begin() as connection:
            self._followers.begin(connection)
        self._limits = limits or Limits()
        self._projections: Projections | None = None
        self._waiting: deque[_Waiting] = deque()
        self._waiting_bytes = 0
        self._in_progress: list[_Waiting] = []
        self._lock = Lock()  # of the queue
        self._closing = False
        self._refused = False  # see has_taken_all
        self._worker = threads.worker("zimwatch-writer", self._step)

    async def append(self, batch: Batch) -> Appended:
        """Commits the batch with whatever else waits; see :func:`sidecar.store.log.event_log.append`."""
        answer: Appended = await asyncio.wrap_future(self._submit(batch))
        return answer

    async def do(self, work: Work) -> Any:  # noqa: ANN401 - the result is the work's own
        """Commits ``work``, publishes what it returns to be published, and returns its result.

        It may run again after a failure.
        """
        return await asyncio.wrap_future(self._submit(work))

    async def do_alone(self, work: Work, committed: Callable[[], None]) -> None:
        """Commits ``work`` in a transaction of its own, and then calls ``committed``, in the writer's thread.

        What was written before has come before ``work``, and what is written later comes after ``committed``.
        """
        await asyncio.wrap_future(self._submit(work, committed))

    def forget(self, connection: sa.Connection) -> None:
        """To be called by a work that changes projections itself: the cached ones are dropped, of all processes."""
        self._projections = None
        self._database.changed(connection, None)

    async def sweep(self, limit: int) -> int:
        """Marks and publishes up to ``limit`` users whose lease may have run out; returns their number."""

        def work(connection: sa.Connection) -> Publishing[int]:
            projections = self._projected(connection)
            users = projections.sweep(connection, self._lease_time(), limit)
            changes = Commit(projections.next_position - 1, tuple(users)) if users else None
            return Publishing(len(users), changes)

        count: int = await self.do(work)
        return count

    def _projected(self, connection: sa.Connection) -> Projections:
        changed = self._database.changed_elsewhere(connection)
        if changed is None:
            self._projections = None
        elif self._projections is not None:
            self._projections.forget(connection, changed)
        if self._projections is None:
            self._projections = Projections(connection, self._leases)
        return self._projections

    def close(self) -> None:
        """Commits what was accepted, then ends the thread. Blocks until then."""
        with self._lock:
            self._closing = True
        self._worker.close()

    def waiting(self) -> tuple[int, int]:
        """The bytes in the queue, and the age of the oldest in microseconds."""
        with self._lock:
            return self._waiting_bytes, self._age_us()

    @property
    def followers(self) -> tuple[str, ...]:
        """The names of the log's followers."""
        return self._followers.names

    def has_taken_all(self) -> bool:
        """Whether all that came since the last call was taken; False from a failed commit on until one succeeds."""
        with self._lock:
            refused = self._refused
            self._refused = refused and self._database.care.problem is not None
        return not refused

    def _age_us(self) -> int:
        waiting = chain(self._in_progress, self._waiting)
        oldest = next((one for one in waiting if isinstance(one.work, Batch)), None)
        return 0 if oldest is None else self._steady() - oldest.since_us

    def _submit(self, work: Batch | Work, committed: Callable[[], None] | None = None) -> Future[Any]:
        waiting = _Waiting(work, Future(), self._steady(), duties.current(), committed)
        with self._lock:
            if self._closing:
                raise StoreUnavailableError("Zimwatch is shutting down")
            if isinstance(work, Batch):
                self._refuse_more(waiting.size_bytes)
            self._waiting.append(waiting)
            self._waiting_bytes += waiting.size_bytes
        self._worker.wake()
        return waiting.answer

    def _refuse(self) -> None:
        self._refused = True
        self._on_refused()

    def _refuse_more(self, size_bytes: int) -> None:
        if self._waiting_bytes and self._waiting_bytes + size_bytes > self._limits.waiting_bytes:
            self._refuse()
            raise StoreUnavailableError("more events are waiting than the disk can take", retry_after_s=2)
        if self._age_us() > self._limits.waiting_us:
            self._refuse()
            raise StoreUnavailableError("events wait too long for the disk", retry_after_s=RETRY_AFTER_S)

    def _step(self) -> float | None:
        """One transaction, and what is due beside it; returns the seconds until something is due again."""
        works: list[_Waiting] = []
        try:
            works = self._take()
            if works:
                self._commit(works)
            if self._has_to_catch_up:
                self._catch_up(works)
            self._database.care.tend()
        except Exception as error:  # noqa: BLE001 - the top of a thread that must not end
            self._unexpected(works, error)
        return 0 if self._waiting or self._has_to_catch_up else self._database.care.patience_s()

    @property
    def _has_to_catch_up(self) -> bool:
        return self._followers.is_behind and self._database.care.problem is None and not self._closing

    def _catch_up(self, works: Sequence[_Waiting]) -> None:
        """Gives followers that are behind at least as many events as were just committed."""
        for _ in range(1 + sum(one.events for one in works) // SLICE):
            self._followers.catch_up(self._database, self._clock())

    def _unexpected(self, works: list[_Waiting], error: Exception) -> None:
        """These callers do not know whether their work was stored; events sent again are stored once."""
        self._in_progress = []
        self._projections = None
        for waiting in works:
            if not waiting.answer.done():
                waiting.answer.set_exception(StoreUnavailableError(f"the writer failed: {error}"))
        _log.error("the writer failed", exc_info=error)

    def _take(self) -> list[_Waiting]:
        """The works of the next transaction; empty where none waits."""
        works: list[_Waiting] = []
        events = 0
        with self._lock:
            while self._waiting and events < COMMIT_EVENTS and not (works and self._is_alone(works[0])):
                if works and self._is_alone(self._waiting[0]):
                    break
                waiting = self._waiting.popleft()
                self._waiting_bytes -= waiting.size_bytes
                # The work of a caller that gave up is dropped, unless a part of it is committed.
                if waiting.before is not None or waiting.answer.set_running_or_notify_cancel():
                    events += waiting.events
                    works.append(waiting)
        return works

    @staticmethod
    def _is_alone(waiting: _Waiting) -> bool:
        return waiting.committed is not None

    def _commit(self, works: list[_Waiting]) -> None:
        self._in_progress = works
        begun_us = self._steady()
        try:
            results, left = self._transaction(works)
        except FollowerFailedError:
            self._projections = None
            self._commit(works)  # without the followers, which are behind then
            return
        except Exception as error:  # noqa: BLE001 - each caller gets it; the thread must not end
            self._in_progress = []  # before the callers are answered: what they send next has not waited
            self._projections = None
            self._failed(works, error)
            return
        durations.COMMITS.observe((self._steady() - begun_us) / SECOND_US)
        self._in_progress = []
        for waiting, result in zip(works, results, strict=True):
            self._answer(waiting, result, left)

    def _answer(self, waiting: _Waiting, result: Any, left: Collection[int]) -> None:  # noqa: ANN401 - the result of the work
        """Answers the caller, or queues the part of its batch that is ``left`` again, behind the others."""
        batch = waiting.work
        if not isinstance(batch, Batch):
            if waiting.committed is not None:
                waiting.committed()
            waiting.answer.set_result(result)
            return
        places = waiting.places or range(len(batch.events))
        refused = tuple((places[at], why) for at, why in result.refused)
        done = waiting.before or Appended(0, 0, heartbeat_after_s=result.heartbeat_after_s)
        rest = [at for at, event in enumerate(batch.events) if id(event) in left] if left else []
        accepted = done.accepted + result.accepted - len(rest)
        total = Appended(
            accepted,
            done.duplicates + result.duplicates,
            done.refused + refused,
            min(done.heartbeat_after_s, result.heartbeat_after_s),  # no lease may be shorter than the answer allows
            done.renewed + result.renewed,
        )
        if not rest:
            waiting.answer.set_result(total)
            return
        part = Batch([batch.events[at] for at in rest], (), batch.size_bytes)
        again = _Waiting(part, waiting.answer, self._steady(), waiting.term, None, total, [places[at] for at in rest])
        with self._lock:
            self._waiting.append(again)
            self._waiting_bytes += again.size_bytes

    def _transaction(self, works: list[_Waiting]) -> tuple[list[Any], set[int]]:
        """The results of the works, and the ids (in memory) of events left for the next transaction."""
        batches = [one.work for one in works if isinstance(one.work, Batch)]
        with self._database.begin() as connection:
            for term in (one.term for one in works):
                if term is not None and not self._database.is_held(term):
                    raise DutyLostError(_LOST(duty=term.duty))
            answers: list[Appended] = []
            commit = None
            left_events: list[Event] = []
            if batches:
                answers, commit, left_events = event_log.append(
                    connection,
                    batches,
                    self._projected(connection),
                    time=self._lease_time(),
                    now_us=self._clock(),
                    followers=self._followers,
                    work_most=event_log.WORK_MOST,
                    heartbeat_after_s=self._heartbeat_after_s(),
                )
            left = iter(answers)
            results: list[Any] = []
            changes = [commit]
            for one in works:
                result = next(left) if isinstance(one.work, Batch) else one.work(connection)
                if isinstance(result, Publishing):
                    changes.append(result.changes)
                    result = result.result
                results.append(result)
            if (changed := Commit.of_all(changes)) is not None:
                self._database.announce(connection, changed)
        return results, {id(event) for event in left_events}

    def _failed(self, works: list[_Waiting], error: Exception) -> None:
        """Nothing was stored. Works that failed together are retried one by one, so that one cannot block the rest."""
        if (problem := self._database.care.failed(error)) is not None:
            refusal = StoreUnavailableError(problem, retry_after_s=RETRY_AFTER_S)
            # Also without events among them: a load balancer that follows /readyz sends none that could be refused.
            self._refuse()
            for waiting in works:
                waiting.answer.set_exception(refusal)
        elif len(works) == 1:
            # What a work refuses, such as a wrong code, is an answer and no failure.
            if not isinstance(error, ZimwatchError):
                _log.error("work failed", exc_info=error)
            works[0].answer.set_exception(error)
        else:
            for one in works:
                self._commit([one])
