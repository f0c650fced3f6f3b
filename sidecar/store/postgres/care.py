"""The state of a PostgreSQL database, and what its writer does beside commits: it retries, and shows that it runs.

Room on the disk, checkpoints and backups are the server's.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa
import structlog

from sidecar.clock import Clock
from sidecar.domain.texts import Sentence, Text
from sidecar.domain.units import DAY_US, SECOND_US
from sidecar.errors import DatabaseRefusedError
from sidecar.store.database import CANNOT_COMMIT
from sidecar.store.log_positions import newest_position, position_as_of
from sidecar.store.postgres.connections import IDLE_S, LOCK_S, WRITE_S
from sidecar.store.postgres.postgres_errors import is_of_the_server, reason
from sidecar.store.values import Storage

if TYPE_CHECKING:
    from sidecar.store.postgres.postgres_database import PostgresDatabase

RETRY_EVERY_US: Final = SECOND_US
# Well within the time after which the server ends an idle session.
HEARD_EVERY_US: Final = 2 * SECOND_US

_NO_ANSWER: Final = Sentence("store.no_answer", "the server has not answered yet")

_log = structlog.get_logger(__name__)


class PostgresCare:
    """A :class:`sidecar.store.database.Care`."""

    is_tight = False

    def __init__(self, database: PostgresDatabase, steady: Clock, *, serves: bool) -> None:
        self._database = database
        self._steady = steady
        self._serves = serves
        self.problem: Text | None = None
        self._retry_at_us = 0
        self._tends = False  # before, tables are migrated, and statements may take long
        self._heard_us = steady()

    def succeeded(self) -> None:
        """To be called after a commit."""
        self._heard_us = self._steady()
        if self.problem is not None:
            _log.info("the database can commit again")
            self.problem = None

    @property
    def answers_within_s(self) -> float | None:
        """The longest that a statement of the writer may take."""
        return WRITE_S if self._tends else None

    @property
    def was_heard(self) -> bool:
        """Whether the server answered within the time after which it would have ended an idle session."""
        return self._steady() - self._heard_us < IDLE_S * SECOND_US

    def failed(self, error: Exception) -> Text | None:
        """See :class:`sidecar.store.database.Care`."""
        if not self.is_to_blame(error):
            return None
        self._retry_at_us = self._steady() + RETRY_EVERY_US
        why = reason(error)
        if self.problem is None:
            _log.error("commit failed", error=why)
        self._database.end_writer()
        self.problem = problem = CANNOT_COMMIT(why=why)
        return problem

    def is_to_blame(self, error: Exception) -> bool:
        """See :class:`sidecar.store.database.Care`."""
        return isinstance(error, DatabaseRefusedError) or is_of_the_server(error)

    def patience_s(self) -> float | None:
        """See :class:`sidecar.store.database.Care`."""
        if not self._serves:
            return None
        return max(1, self._due_us - self._steady()) / SECOND_US

    def tend(self) -> None:
        """See :class:`sidecar.store.database.Care`."""
        if not self._serves:
            return
        self._tends = True
        if self._steady() < self._due_us:
            return
        try:
            with self._database.begin() as connection:
                if self.problem is not None:
                    # A real write: a standby, and a server without room, can be read.
                    connection.exec_driver_sql("UPDATE commits SET number = number + 1")
        except Exception as error:
            if self.failed(error) is None:
                raise

    def waits_for(self) -> Text | None:
        """See :class:`sidecar.store.database.Care`. Also while a statement is not answered."""
        begun_us = self._database.begun_us
        if not self._tends or begun_us is None or self._steady() - begun_us < LOCK_S * SECOND_US:
            return None
        return CANNOT_COMMIT(why=_NO_ANSWER())

    def hurry(self) -> None:
        """Nothing: no wait is long."""

    @property
    def to_wipe(self) -> bool:
        """False: what is deleted is gone once the server has vacuumed the table and recycled its log."""
        return False

    @to_wipe.setter
    def to_wipe(self, wanted: bool) -> None:
        pass

    def used_bytes(self, connection: sa.Connection) -> int:  # noqa: ARG002 - it is not looked at
        """Nothing: a table does not get smaller by what is deleted from it, so that nothing is deleted for its size."""
        return 0

    def give_back(self, connection: sa.Connection) -> int:  # noqa: ARG002 - the server vacuums
        """Nothing: the server does it."""
        return 0

    def look_for_room(self) -> None:
        """Nothing: the disk is the server's."""

    def size(self, connection: sa.Connection, now_us: int) -> Storage:
        """See :class:`sidecar.store.database.Care`. What is free on the server's disk is not known."""
        events = newest_position(connection)
        size_bytes = int(connection.exec_driver_sql("SELECT pg_database_size(current_database())").scalar_one())
        last_day = events - position_as_of(connection, now_us - DAY_US)
        return Storage(
            name=self._database.name,
            file_bytes=size_bytes,
            wal_bytes=0,
            free_bytes=None,
            events=events,
            events_last_day=last_day,
            grows_bytes_a_day=round(size_bytes / events * last_day) if events and last_day else None,
            full_in_days=None,
        )

    def problems(self) -> list[str]:
        """None are known: the server checks what it reads."""
        return []

    def backup(self, target: Path) -> None:
        """DatabaseRefusedError: the server has its own tools."""
        raise DatabaseRefusedError(f"{target} was not written: a PostgreSQL database is backed up by pg_dump")

    @property
    def _due_us(self) -> int:
        return self._retry_at_us if self.problem is not None else self._heard_us + HEARD_EVERY_US
