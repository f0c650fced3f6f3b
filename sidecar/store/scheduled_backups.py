"""Scheduled backups: makes one when it is due, and removes old ones after that, in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import structlog
from opentelemetry import metrics
from opentelemetry.metrics import Observation

from sidecar.clock import Clock
from sidecar.domain.alerts.rules.backup_overdue import LastBackup
from sidecar.domain.texts import verbatim
from sidecar.domain.units import MINUTE_US, SECOND_US
from sidecar.errors import ZimwatchError
from sidecar.settings import BackupSettings, duration_us
from sidecar.store import engines
from sidecar.store.backup_folder import BackupFolder, Good
from sidecar.system.threads import THREADS, Threads, run_in

LOOK_EVERY_S: Final = 1.0
RETRY_US: Final = 5 * MINUTE_US
OFF: Final = LastBackup(is_on=False)

_log = structlog.stdlib.get_logger(__name__)
_meter = metrics.get_meter("zimwatch")
# Of the newest good backup, for the metrics.
_state: dict[str, float] = {}


def _observed(name: str) -> Iterator[Observation]:
    if name in _state:
        yield Observation(_state[name])


_meter.create_observable_gauge(
    "zimwatch.backup.last", [lambda _: _observed("last")], unit="s", description="When the last good backup was made"
)
_meter.create_observable_gauge(
    "zimwatch.backup.size", [lambda _: _observed("size")], unit="By", description="The size of the last good backup"
)
_failures = _meter.create_counter("zimwatch.backup.failures", description="Attempts at a backup that failed")


class Backups:
    """``settings`` are read at each look, so that a change takes effect at once."""

    def __init__(
        self, url: str, settings: BackupSettings, clock: Clock, steady: Clock, threads: Threads = THREADS
    ) -> None:
        self._url = url
        self._settings = settings
        self._clock = clock
        self._steady = steady
        self._threads = threads
        self._stopping = asyncio.Event()
        self._cleaned: Path | None = None
        self._retry_at_us: int | None = None
        self.last: LastBackup | None = None
        """As of the last look; None before the first."""

    async def run(self) -> None:
        """Looks once a second whether one is due, until :meth:`stop`."""
        _failures.add(0)
        pool = self._threads.pool("backups", 1)
        try:
            while not self._stopping.is_set():
                if self._settings.folder is None:
                    self.last, self._retry_at_us = OFF, None
                else:
                    await run_in(pool, self._look, Path(self._settings.folder))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), LOOK_EVERY_S)
        finally:
            pool.shutdown(wait=False)

    def stop(self) -> None:
        """Gives up a backup that is being made, and ends :meth:`run`."""
        self._stopping.set()

    def _look(self, path: Path) -> None:
        if self._retry_at_us is not None and self._steady() < self._retry_at_us:
            return
        now_us = self._clock()
        folder = BackupFolder(path, self._url)
        try:
            path.mkdir(mode=0o700, exist_ok=True)
            if self._cleaned != path:
                if left := folder.clean():
                    _log.warning("removed what unfinished backups left", files=left)
                self._cleaned = path
            good = folder.good(now_us)
            if not good or now_us - good[0].made_us >= duration_us(self._settings.every):
                engines.checked_backup(self._url, folder.target(now_us), self._stopping.is_set)
                removed = folder.remove_old(self._settings, now_us)
                good = folder.good(now_us)
                _log.info("made a backup", file=str(good[0].path), bytes=good[0].size_bytes, removed=removed)
        except (ZimwatchError, OSError, sqlite3.Error) as error:
            if not self._stopping.is_set():
                self._failed(error, now_us)
        else:
            self._succeeded(good[0])

    def _succeeded(self, newest: Good) -> None:
        self._retry_at_us = None
        due_us = newest.made_us + duration_us(self._settings.every)
        self.last = LastBackup(made_us=newest.made_us, size_bytes=newest.size_bytes, due_us=due_us)
        _state.update(last=newest.made_us / SECOND_US, size=newest.size_bytes)

    def _failed(self, error: Exception, now_us: int) -> None:
        pause_us = min(RETRY_US, duration_us(self._settings.every))
        self._retry_at_us = self._steady() + pause_us
        _failures.add(1)
        _log.error("a backup failed", problem=str(error))
        why = error.text if isinstance(error, ZimwatchError) else verbatim(str(error))
        last = self.last if self.last is not None and self.last.is_on else LastBackup()
        since_us = now_us if last.failing_since_us is None else last.failing_since_us
        self.last = msgspec.structs.replace(last, failing_since_us=since_us, why=why, due_us=now_us + pause_us)
