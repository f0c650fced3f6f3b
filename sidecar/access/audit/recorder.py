"""Writes the audit log: looks within a second, many in one transaction; everything else at once.

Looks wait in memory, so that none costs a commit of its own: a process that is killed loses those of its last second.
While they cannot be written they wait, up to ``WAITING_MOST``; past that a request is refused before it is answered.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final

import structlog
from aiohttp import web
from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation

from sidecar.access.audit.refused import Refused
from sidecar.access.audit.trail import TRAIL, Trail
from sidecar.access.refusals import NotSignedInError, TooManyAttemptsError
from sidecar.clock import Clock
from sidecar.domain import rfc3339
from sidecar.domain.texts import Sentence
from sidecar.errors import StoreUnavailableError
from sidecar.settings import ServerSettings
from sidecar.store import Store
from sidecar.store.access import audit_log
from sidecar.store.access.audit_values import AuditAction, Entry, Head

AT_HANGUP: Final = "SIGHUP"
WAITING_MOST: Final = 10_000
WRITE_EVERY_S: Final = 0.5
HEAD_EVERY_S: Final = 600.0
_AT_ONCE: Final = 500
_AGAIN_S: Final = 1.0
_RETRY_AFTER_S: Final = 5
_FULL: Final = Sentence("audit.full", "the audit log cannot be written, so that nothing more is shown")
_FORBIDDEN: Final = 403
_NOT_SIGNED_IN: Final = frozenset({401, 429})

_log = structlog.get_logger(__name__)
_exported: Final[list[Observation]] = []


def _latest(_options: CallbackOptions) -> Sequence[Observation]:
    return _exported


metrics.get_meter("zimwatch").create_observable_gauge(
    "zimwatch.audit.head",
    [_latest],
    description="The newest row of the audit log as of its last mention in the log",
)


class Recorder:
    """Records requests. Its methods are called in one event loop."""

    def __init__(self, store: Store, server: ServerSettings, clock: Clock) -> None:
        self._store = store
        self._server = server
        self._clock = clock
        self._waiting: deque[Entry] = deque()
        self._refused = Refused(self._wait)
        self._awake = asyncio.Event()
        self._stopping = False
        self._writing = asyncio.Lock()
        self._told: Head | None = None

    def begin(self, request: web.Request) -> Trail:
        """Begins what the request adds to the log."""
        trail = request[TRAIL] = Trail(request, self._server, self._clock)
        return trail

    async def settle(self, trail: Trail, status: int, error: Exception | None = None) -> None:
        """Records a request that was answered, unless its handler has recorded it. StoreUnavailableError: refuse it."""
        if trail.is_settled:
            return
        trail.is_settled = True
        if _is_refusal(trail, status, error):
            self._refused.note(trail.entries(status, action=AuditAction.REFUSED))
        elif trail.rule is not None and trail.rule.applies(status):
            entries = trail.entries(status)
            if trail.rule.is_change:
                await self.write(entries)
            else:
                await self.look(entries)

    async def look(self, entries: Sequence[Entry]) -> None:
        """Has them written within a second. StoreUnavailableError where too many wait, and cannot be written now."""
        if len(self._waiting) + len(entries) > WAITING_MOST:
            try:
                await self.flush()
            except StoreUnavailableError:
                raise StoreUnavailableError(_FULL(), retry_after_s=_RETRY_AFTER_S) from None
        self._wait(entries)

    async def write(self, entries: Sequence[Entry]) -> None:
        """Writes them now, after those that wait; where that is not possible they wait with them."""
        await self.look(entries)
        with contextlib.suppress(StoreUnavailableError):
            await self.flush()

    async def reloaded_at_hangup(self, changed: Iterable[str]) -> None:
        """Records a reload by a signal, of which nobody knows who sent it."""
        done, details = AuditAction.SETTINGS_RELOADED, {"changed": " ".join(changed)}
        await self.write([Entry(at_us=self._clock(), actor=AT_HANGUP, action=done, details=details)])

    async def flush(self) -> None:
        """Writes all that waits. StoreUnavailableError: the rest still waits."""
        async with self._writing:
            while self._waiting:
                some = tuple(islice(self._waiting, _AT_ONCE))
                await self._store.write(audit_log.record, *some)
                for _ in some:
                    self._waiting.popleft()

    async def run(self) -> None:
        """Writes what waits, and tells the head now and then, until :meth:`stop`; then writes the rest."""
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        while not self._stopping:
            if loop.time() >= due_s:
                await self._tell_head()
                due_s = loop.time() + HEAD_EVERY_S
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._awake.wait(), max(0.0, due_s - loop.time()))
            self._awake.clear()
            if self._waiting and not self._stopping:
                await asyncio.sleep(WRITE_EVERY_S)
            await self._try_to_flush()
        await self._try_to_flush()
        await self._tell_head()

    def stop(self) -> None:
        """Has :meth:`run` write what waits, and end."""
        self._refused.close()
        self._stopping = True
        self._awake.set()

    async def _try_to_flush(self) -> None:
        try:
            await self.flush()
        except StoreUnavailableError:
            if not self._stopping:
                await asyncio.sleep(_AGAIN_S)
                self._awake.set()

    async def _tell_head(self) -> None:
        """Logs and exports the head, which proves the log up to it where it is kept elsewhere."""
        try:
            head = await self._store.read(audit_log.head)
        except StoreUnavailableError:
            return
        if head.id and head != self._told:
            self._told = head
            _exported[:] = [Observation(head.id, {"hash": head.hash})]
            _log.info("the head of the audit log", head=str(head), at=rfc3339.text(head.at_us))

    def _wait(self, entries: Iterable[Entry]) -> None:
        self._waiting.extend(entries)
        self._awake.set()


def _is_refusal(trail: Trail, status: int, error: Exception | None) -> bool:
    """Whether the request was refused for who made it; of 401 only where it had credentials."""
    if isinstance(error, NotSignedInError):
        return error.was_tried
    signs_in = trail.rule is not None and trail.rule.action == AuditAction.SIGNED_IN
    return status == _FORBIDDEN or isinstance(error, TooManyAttemptsError) or (signs_in and status in _NOT_SIGNED_IN)
