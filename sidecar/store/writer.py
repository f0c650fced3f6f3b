"""The one thread that writes: it drains everything that waits into one transaction, and answers after its commit.

A caller whose work was answered can rely on it; a caller that got StoreUnavailableError knows that nothing of its
work was kept.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import msgspec
import sqlalchemy as sa
import structlog

from sidecar.domain.lease import Leases
from sidecar.errors import StoreUnavailableError
from sidecar.store import event_log
from sidecar.store.alert_records import Reaction
from sidecar.store.event_log import Batch
from sidecar.store.records import Appended, Commit

# More than this many events waiting means that the disk cannot follow: callers are told to come back.
WAITING_EVENTS = 50_000
# A transaction takes no more than this, so that the first in it does not wait for the last.
COMMIT_EVENTS = 5_000

_log = structlog.get_logger(__name__)

Work = Callable[[sa.Connection], Any]


class Writer:
    """Commits batches and other small works in the order they came; ``published`` gets each commit, in its thread."""

    def __init__(
        self,
        engine: sa.Engine,
        leases: Leases,
        published: Callable[[Commit], None],
        *,
        export_spans: bool,
        reaction: Reaction | None = None,
    ) -> None:
        self._engine = engine
        self._leases = leases
        self._published = published
        self._export_spans = export_spans
        self._reaction = reaction
        self._waiting: deque[tuple[Batch | Work, Future[Any]]] = deque()
        self._waiting_events = 0
        self._changed = threading.Condition()
        self._closing = False
        self.problem: str | None = None
        self._thread = threading.Thread(target=self._run, name="zimwatch-writer", daemon=True)
        self._thread.start()

    async def append(self, batch: Batch) -> Appended:
        """Commits the batch with whatever else waits; see :func:`sidecar.store.event_log.append`."""
        answer: Appended = await asyncio.wrap_future(self._submit(batch, len(batch.events)))
        return answer

    async def do(self, work: Work) -> Any:  # noqa: ANN401 - the result is the work's own
        """Commits what ``work`` does on the connection, and gives its result."""
        return await asyncio.wrap_future(self._submit(work, 0))

    def close(self) -> None:
        """Commits what was taken, then ends the thread. Blocks until then."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _submit(self, work: Batch | Work, events: int) -> Future[Any]:
        future: Future[Any] = Future()
        with self._changed:
            if self._closing:
                raise StoreUnavailableError("Zimwatch is shutting down")
            if events and self._waiting_events + events > WAITING_EVENTS:
                raise StoreUnavailableError("more events are waiting than the disk can take", retry_after_s=2)
            self._waiting.append((work, future))
            self._waiting_events += events
            self._changed.notify()
        return future

    def _run(self) -> None:
        while taken := self._take():
            try:
                self._commit(taken)
            except Exception as error:  # noqa: BLE001 - each caller gets it; the thread lives on
                self._failed(taken, error)

    def _take(self) -> list[tuple[Batch | Work, Future[Any]]]:
        """What goes into the next transaction; empty when closing and nothing waits."""
        taken: list[tuple[Batch | Work, Future[Any]]] = []
        events = 0
        with self._changed:
            while not self._waiting and not self._closing:
                self._changed.wait()
            while self._waiting and events < COMMIT_EVENTS:
                work, future = self._waiting.popleft()
                # A caller that gave up before its work began has not been told that it was kept.
                if not future.set_running_or_notify_cancel():
                    self._waiting_events -= len(work.events) if isinstance(work, Batch) else 0
                    continue
                events += len(work.events) if isinstance(work, Batch) else 0
                taken.append((work, future))
            self._waiting_events -= events
            if not taken and not self._closing:
                return self._take()
        return taken

    def _commit(self, taken: list[tuple[Batch | Work, Future[Any]]]) -> None:
        batches = [work for work, _ in taken if isinstance(work, Batch)]
        with self._engine.begin() as connection:
            answers, commit = event_log.append(
                connection, batches, leases=self._leases, export_spans=self._export_spans, reaction=self._reaction
            )
            left = iter(answers)
            results = [next(left) if isinstance(work, Batch) else work(connection) for work, _ in taken]
        self.problem = None
        alerts = self._reaction.committed() if self._reaction else ()
        for (_, future), result in zip(taken, results, strict=True):
            future.set_result(result)
        if alerts:
            commit = msgspec.structs.replace(commit or Commit(0), alerts=alerts)
        if commit is not None:
            self._published(commit)

    def _failed(self, taken: list[tuple[Batch | Work, Future[Any]]], error: Exception) -> None:
        """Nothing was kept. Works that failed together are tried one by one, so that one cannot hold up the rest."""
        if self._reaction is not None:
            self._reaction.undone()
        if isinstance(error, sa.exc.OperationalError):
            self.problem = f"the database cannot commit: {error.orig}"
            _log.error("commit failed", error=str(error.orig))
            refusal = StoreUnavailableError(self.problem, retry_after_s=5)
            for _, future in taken:
                future.set_exception(refusal)
        elif len(taken) == 1:
            _log.error("work failed", exc_info=error)
            taken[0][1].set_exception(error)
        else:
            for one in taken:
                try:
                    self._commit([one])
                except Exception as own:  # noqa: BLE001 - same
                    self._failed([one], own)
