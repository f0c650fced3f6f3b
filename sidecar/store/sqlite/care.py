"""The upkeep of a SQLite file beside its commits: checkpoints, retries after a failure, disk space and backups.

Two connections that checkpoint at the same time can corrupt the file in SQLite before 3.51.3, so only the writer's
thread does, after it has answered its callers.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
import structlog

from sidecar.clock import Clock
from sidecar.domain.texts import Text
from sidecar.domain.units import SECOND_US
from sidecar.store.database import CANNOT_COMMIT
from sidecar.store.sqlite import backups, integrity, size, tuning
from sidecar.store.sqlite.database_file import NotInPlaceError
from sidecar.store.sqlite.sqlite_errors import error_code
from sidecar.store.sqlite.tuning import CHECKPOINT_EVENTS, CHECKPOINT_LATEST_US, CHECKPOINT_SOONEST_US
from sidecar.store.values import Storage

if TYPE_CHECKING:
    from sidecar.store.sqlite.sqlite_database import SqliteDatabase

# How often a database that failed is tried again while nothing is sent.
RETRY_EVERY_US: Final = SECOND_US
# With less free space than this the disk is nearly full.
_TIGHT_BYTES: Final = 67_108_864

_log = structlog.get_logger(__name__)

# A statement that is wrong or too large: the file is not to blame.
_OF_THE_STATEMENT: Final = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_TOOBIG)


class SqliteCare:
    """A :class:`sidecar.store.database.Care`."""

    def __init__(self, database: SqliteDatabase, steady: Clock) -> None:
        self._database = database
        self._steady = steady
        self.problem: Text | None = None
        # On a disk that is nearly full the log is checkpointed and truncated after each commit.
        self.is_tight = False
        self._wiped_to: int | None = None
        self._wipe_at_us = 0
        self.events_in_log = 0
        self._to_checkpoint = False
        self._checkpointed_us = steady()
        self._retry_at_us = 0

    def wrote(self) -> None:
        """To be called after a commit that wrote something; others prove nothing about the disk."""
        if self.problem is not None:
            _log.info("the database can commit again")
        self.problem = None
        self._to_checkpoint = True

    def failed(self, error: Exception) -> Text | None:
        """See :class:`sidecar.store.database.Care`."""
        if not self.is_to_blame(error):
            return None
        self._retry_at_us = self._steady() + RETRY_EVERY_US
        reason = str(getattr(error, "orig", error))
        if self.problem is None:
            _log.error("commit failed", error=reason)
        self._database.close_spare()
        if isinstance(error, NotInPlaceError):
            self.problem = error.text
            return error.text  # the open connections may be all that is left of the file
        self.problem = problem = CANNOT_COMMIT(why=reason)
        self._database.writes.dispose()  # a connection may keep returning an error of the disk
        return problem

    def is_to_blame(self, error: Exception) -> bool:
        """See :class:`sidecar.store.database.Care`."""
        return error_code(error) not in _OF_THE_STATEMENT and _is_of_the_disk(error)

    def patience_s(self) -> float | None:
        """See :class:`sidecar.store.database.Care`."""
        due_us = [self._retry_at_us] if self.problem is not None else []
        if self._to_checkpoint:
            due_us.append(self._checkpoint_at_us)
        if self._wiped_to is not None and self.problem is None:
            due_us.append(self._wipe_at_us)
        return max(1, min(due_us) - self._steady()) / SECOND_US if due_us else None

    def tend(self) -> None:
        """See :class:`sidecar.store.database.Care`."""
        if self.problem is not None and self._steady() >= self._retry_at_us:
            self._try_again()
        if self._to_checkpoint and self._steady() >= self._checkpoint_at_us:
            self._checkpoint()
        if self._wiped_to is not None and self.problem is None and self._steady() >= self._wipe_at_us:
            self._wipe(self._wiped_to)

    @property
    def to_wipe(self) -> bool:
        """See :class:`sidecar.store.database.Care`."""
        return self._wiped_to is not None

    @to_wipe.setter
    def to_wipe(self, wanted: bool) -> None:
        self._wiped_to = 1 if wanted else None
        self._wipe_at_us = self._steady()  # the pause was for the one before

    def used_bytes(self, connection: sa.Connection) -> int:
        """See :class:`sidecar.store.database.Care`."""
        pages, free, page_bytes = (
            int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())
            for name in ("page_count", "freelist_count", "page_size")
        )
        return (pages - free) * page_bytes

    def give_back(self, connection: sa.Connection) -> int:
        """See :class:`sidecar.store.database.Care`. Some free pages are kept for new events."""
        if self.is_tight:
            pages, spare = tuning.TIGHT_VACUUM_PAGES, 0
        else:
            pages, spare = tuning.VACUUM_PAGES, tuning.SPARE_PAGES + tuning.VACUUM_PAGES
        free = _free_pages(connection)
        if free <= spare:
            return 0
        # The pragma returns a row without columns for each page, and Python's driver steps it only once.
        driver: Any = connection.connection.driver_connection
        for _ in range(pages):
            driver.execute("PRAGMA incremental_vacuum(1)").fetchall()
        # 0 where the file was created without auto_vacuum, as from a dump.
        return free - _free_pages(connection)

    def waits_for(self) -> Text | None:
        """See :class:`sidecar.store.database.Care`."""
        return self._database.lock.problem()

    def hurry(self) -> None:
        """See :class:`sidecar.store.database.Care`."""
        self._database.lock.hurry()

    def look_for_room(self) -> None:
        """See :class:`sidecar.store.database.Care`."""
        self.is_tight = self._database.files.free_bytes(self._database.path.parent) < _TIGHT_BYTES

    def size(self, connection: sa.Connection, now_us: int) -> Storage:
        """See :class:`sidecar.store.database.Care`."""
        return size.measure(connection, self._database.path, now_us, self._database.files)

    def problems(self) -> list[str]:
        """See :class:`sidecar.store.database.Care`."""
        return integrity.problems(self._database.path, in_use=True)

    def backup(self, target: Path) -> None:
        """See :class:`sidecar.store.database.Care`."""
        backups.backup(self._database.path, target)

    @property
    def _checkpoint_at_us(self) -> int:
        if self.is_tight:
            return self._checkpointed_us
        many = self.events_in_log >= CHECKPOINT_EVENTS
        return self._checkpointed_us + (CHECKPOINT_SOONEST_US if many else CHECKPOINT_LATEST_US)

    def _try_again(self) -> None:
        try:
            with self._database.begin() as connection:
                # A real write: reading would also succeed on a full disk.
                version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
                connection.exec_driver_sql(f"PRAGMA user_version = {(int(version) + 1) % 1_000_000}")
        except Exception as error:  # noqa: BLE001 - it is tried again
            self._blame(error)
        else:
            self.wrote()  # a pragma counts as no change

    def _checkpoint(self) -> None:
        self._checkpointed_us = self._steady()
        self._to_checkpoint = False
        self.events_in_log = 0
        try:
            self._database.checkpoint(truncate=self.is_tight)
        except Exception as error:  # noqa: BLE001 - the commits are still in the log; it is tried again
            self._blame(error)

    def _wipe(self, first_page: int) -> None:
        try:
            after = self._database.wipe(first_page)
        except Exception as error:  # noqa: BLE001 - it is tried again
            self._wipe_at_us = self._steady() + RETRY_EVERY_US
            self._blame(error)
            return
        self._wipe_at_us = self._steady() + (tuning.WIPE_RETRY_US if after == first_page else tuning.WIPE_PAUSE_US)
        self._wiped_to = after

    def _blame(self, error: Exception) -> None:
        if self.failed(error) is None:
            raise error


def _is_of_the_disk(error: Exception) -> bool:
    """Whether SQLite could not write or read the file, rather than the work being wrong."""
    if isinstance(error, sa.exc.OperationalError | sqlite3.OperationalError | NotInPlaceError):
        return True
    return type(error) in (sa.exc.DatabaseError, sqlite3.DatabaseError)


def _free_pages(connection: sa.Connection) -> int:
    return int(connection.exec_driver_sql("PRAGMA freelist_count").scalar_one())
