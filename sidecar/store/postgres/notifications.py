"""Follows what other processes commit, from notifications of PostgreSQL."""

from __future__ import annotations

from typing import Final

import psycopg
import structlog

from sidecar.store.postgres import announcements, connections
from sidecar.store.postgres.announcements import Followed
from sidecar.store.postgres.driver import DriverConnection
from sidecar.system.threads import Threads

_AT_ONCE_S: Final = 0.001
_WAIT_S: Final = 0.5
_RETRY_S: Final = 1.0

_log = structlog.get_logger(__name__)


class Notifications:
    """Reads announcements on when it is notified of one, in a thread of its own."""

    def __init__(self, target: str, followed: Followed, threads: Threads) -> None:
        self._target = target
        self._followed = followed
        self._missed = 0
        self._begun = False
        self._connection: DriverConnection | None = None
        self._worker = threads.worker("zimwatch-notifications", self._step)

    def begin(self) -> None:
        """To be called once it is known from where on announcements are to be followed."""
        self._begun = True
        self._worker.wake()

    def missed(self) -> int:
        """A number that changes when announcements may have been missed, and each time while none can arrive."""
        if self._connection is None:
            self._missed += 1
        return self._missed

    def close(self) -> None:
        """Ends the thread."""
        self._worker.close()
        self._end()

    def _step(self) -> float | None:
        if not self._begun:
            return None
        try:
            if self._connection is None:
                connection = connections.listener(self._target, announcements.CHANNEL)
                self._read(connection)
                self._missed += 1
                self._connection = connection
            notified = [int(one.payload) for one in self._connection.notifies(timeout=_WAIT_S, stop_after=1)]
            if any(number > self._followed.number for number in notified):
                self._read(self._connection)
        except psycopg.Error as error:
            if self._connection is not None:  # one line for each outage
                _log.warning("the announcements of other processes cannot be heard", problem=str(error).strip())
            self._end()
            return _RETRY_S
        return _AT_ONCE_S

    def _read(self, connection: DriverConnection) -> None:
        self._followed.follow(connection.execute(announcements.AFTER, (self._followed.number,)).fetchall())

    def _end(self) -> None:
        self._missed += 1
        if self._connection is not None:
            self._connection.close()
            self._connection = None
