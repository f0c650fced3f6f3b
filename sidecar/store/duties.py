"""Duties: the jobs that one node does for all that serve a database.

A duty belongs to the session that writes: a node that has lost its session cannot write for the duty any more, and
each transaction of a job first checks that (:class:`sidecar.store.writer.Writer`). With SQLite the one process has
every duty.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextvars import ContextVar
from typing import Final

import sqlalchemy as sa
import structlog
from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation

from sidecar.errors import StoreUnavailableError
from sidecar.store.database import Database, Term

LEASES: Final = "leases"
RETENTION: Final = "retention"
ERASING: Final = "erasing"
RULES: Final = "rules"
SPANS: Final = "spans"
ZEGO: Final = "zego"
CANARY: Final = "canary"
_SENDING: Final = "sending to "

TRY_EVERY_S: Final = 1.0
LOOK_EVERY_S: Final = 0.25
"""How soon a job ends after its node lost the duty."""

_log = structlog.stdlib.get_logger(__name__)
_current: ContextVar[Term | None] = ContextVar("duty", default=None)


def sending(receiver: str) -> str:
    """The duty of sending alerts to this receiver."""
    return f"{_SENDING}{receiver}"


def receiver_of(duty: str) -> str | None:
    """The receiver of a duty of :func:`sending`; None for any other."""
    return duty.removeprefix(_SENDING) if duty.startswith(_SENDING) else None


def current() -> Term | None:
    """The term of the job that runs here, also in the tasks that it started; None outside of jobs."""
    return _current.get()


@contextlib.contextmanager
def doing(term: Term) -> Iterator[None]:
    """What is written until the context ends is written for the duty."""
    before = _current.set(term)
    try:
        yield
    finally:
        _current.reset(before)


class Duties:
    """The duties that this node wants, of which it holds those that no other node had before."""

    def __init__(self, database: Database, write: Callable[[Callable[[sa.Connection], None]], Awaitable[None]]) -> None:
        self._database = database
        self._write = write
        self._wanted: dict[str, float] = {}

    @property
    def wanted(self) -> Collection[str]:
        """Those that were asked for, whether this node holds them or not."""
        return tuple(self._wanted)

    def term(self, duty: str) -> Term | None:
        """See :meth:`Database.term`."""
        return self._database.term(duty)

    async def hold(self, duty: str) -> Term | None:
        """Tries to take the duty if this node does not have it, about once a second; None if another node has it."""
        if (term := self._database.term(duty)) is not None:
            self._want(duty)
            return term
        now_s = asyncio.get_running_loop().time()
        if duty in self._wanted and now_s - self._wanted[duty] < TRY_EVERY_S:
            return None
        self._want(duty)
        missing = [one for one in self._wanted if self._database.term(one) is None]
        self._wanted.update(dict.fromkeys(missing, now_s))
        with contextlib.suppress(StoreUnavailableError):
            await self._write(lambda connection: self._database.take_duties(connection, missing))
        return self._database.term(duty)

    def job(self, duty: str, run: Callable[[], Awaitable[object]], stop: Callable[[], None] | None = None) -> OnDuty:
        """A job that one node does for all."""
        return OnDuty(self, duty, run, stop)

    def _want(self, duty: str) -> None:
        if duty not in self._wanted:
            self._wanted[duty] = 0.0
            _observed[:] = [self]


class OnDuty:
    """A job for the background: it runs while this node holds the duty, and is cancelled when the node loses it.

    ``run`` is called for each term; after ``stop``, where there is one, it ends by itself.
    """

    def __init__(
        self, duties: Duties, duty: str, run: Callable[[], Awaitable[object]], stop: Callable[[], None] | None = None
    ) -> None:
        self._duties = duties
        self._duty = duty
        self._run = run
        self._stop = stop
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Runs until :meth:`stop`, or until the job ends by itself; its error is raised."""
        while not self._stopping.is_set():
            term = await self._duties.hold(self._duty)
            if term is None:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), TRY_EVERY_S)
            elif await self._has_ended(term):
                return

    def stop(self) -> None:
        """Has the job end."""
        self._stopping.set()
        if self._stop is not None:
            self._stop()

    async def _has_ended(self, term: Term) -> bool:
        """Does the job; whether it ended by itself, rather than because the duty was lost."""
        with doing(term):
            job = asyncio.ensure_future(self._run())
        try:
            while not job.done():
                await asyncio.wait({job}, timeout=None if term.is_for_good else LOOK_EVERY_S)
                if self._duties.term(self._duty) is not term:
                    _log.warning("a duty was lost, and its job is ended", duty=self._duty)
                    return False
            await job
            return True
        finally:
            job.cancel()
            await asyncio.gather(job, return_exceptions=True)


_observed: Final[list[Duties]] = []


def _held(_options: CallbackOptions) -> list[Observation]:
    return [Observation(int(one.term(duty) is not None), {"duty": duty}) for one in _observed for duty in one.wanted]


metrics.get_meter("zimwatch").create_observable_gauge(
    "zimwatch.duty.held", [_held], description="1 while this node has the duty, 0 while another one has it"
)
