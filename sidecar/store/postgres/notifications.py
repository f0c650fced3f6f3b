"""Announcements of commits between processes, by NOTIFY and LISTEN."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec
import psycopg
import sqlalchemy as sa
import structlog

from sidecar.store.postgres import connections
from sidecar.store.postgres.driver import DriverConnection
from sidecar.store.values import Commit
from sidecar.system.threads import Threads

_CHANNEL: Final = "zimwatch_commits"
# A notification has less than 8,000 bytes.
_MOST_BYTES: Final = 7_900
_AT_ONCE_S: Final = 0.001
_WAIT_S: Final = 0.5
_RETRY_S: Final = 1.0

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Commit).decode

_log = structlog.get_logger(__name__)


class Notifications:
    """Passes each commit that another process announces to ``tell``, in a thread of its own."""

    def __init__(self, target: str, tell: Callable[[Commit], None], threads: Threads) -> None:
        self._target = target
        self._tell = tell
        self._missed = 0
        self._connection: DriverConnection | None = None
        self._worker = threads.worker("zimwatch-notifications", self._step)

    def missed(self) -> int:
        """A number that changes when announcements may have been missed, and each time while none can arrive."""
        if self._connection is None:
            self._missed += 1
        return self._missed

    def close(self) -> None:
        """Ends the thread."""
        self._worker.close()
        self._end()

    def _step(self) -> float:
        try:
            if self._connection is None:
                connection = connections.connect(self._target, autocommit=True)
                connection.execute(f"LISTEN {_CHANNEL}")
                self._missed += 1
                self._connection = connection
            for notification in self._connection.notifies(timeout=_WAIT_S):
                self._tell(_decode(notification.payload))
        except psycopg.Error as error:
            if self._connection is not None:  # one line for each outage
                _log.warning("the announcements of other processes cannot be heard", problem=str(error).strip())
            self._end()
            return _RETRY_S
        return _AT_ONCE_S

    def _end(self) -> None:
        self._missed += 1
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def send(connection: sa.Connection, commit: Commit) -> None:
    """Announces the commit to other processes once its transaction is committed."""
    for part in _parts(commit):
        connection.exec_driver_sql(f"SELECT pg_notify('{_CHANNEL}', ?)", (part.decode(),))


def _parts(commit: Commit) -> Iterator[bytes]:
    encoded = _encode(commit)
    lists = (commit.users, commit.alerts, commit.alerted)
    if len(encoded) <= _MOST_BYTES or not any(len(one) > 1 for one in lists):
        yield encoded
        return
    for half in (0, 1):
        users, alerts, alerted = (_half(one, half) for one in lists)
        yield from _parts(msgspec.structs.replace(commit, users=users, alerts=alerts, alerted=alerted))


def _half(values: tuple[Any, ...], half: int) -> tuple[Any, ...]:
    middle = (len(values) + 1) // 2
    return values[middle:] if half else values[:middle]
