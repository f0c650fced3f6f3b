"""A SQLite file as a :class:`sidecar.store.database.Database`.

One process serves the file, and SQLite lets one connection write at a time: so commits have one order, and
every duty is this process's.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import structlog

from sidecar import private_file
from sidecar.clock import Clock, steady_us
from sidecar.errors import DatabaseRefusedError
from sidecar.store import database, mapping, upgrade
from sidecar.store.database import Expressions, Key
from sidecar.store.log_partitions import NoPartitions
from sidecar.store.one_order import OneOrder
from sidecar.store.schema import REVISION
from sidecar.store.sqlite import connections, database_file, integrity, search, stale_bytes, tuning
from sidecar.store.sqlite.care import SqliteCare
from sidecar.store.sqlite.database_file import Place
from sidecar.store.sqlite.direct import DirectConnection
from sidecar.store.sqlite.sqlite_errors import is_of_the_file, unreadable
from sidecar.store.sqlite.write_lock import WriteLock
from sidecar.store.values import Applied
from sidecar.system.files import FILES, Files

_log = structlog.get_logger(__name__)


class SqliteDatabase(OneOrder):
    """A file that exists. ``held`` is the right to serve it, which :meth:`close` releases after the last connection."""

    expressions = Expressions(
        id_has="instr(lower(user_id), ?) > 0",
        each_client="json_each(clients)",
        event_ids="(SELECT app_id, id, position FROM events) AS ids",
    )
    log_partitions = NoPartitions()

    def __init__(
        self,
        path: Path,
        *,
        steady: Clock = steady_us,
        files: Files = FILES,
        place: Place | None = None,
        held: contextlib.ExitStack | None = None,
    ) -> None:
        super().__init__(serves=held is not None)
        self.path = path
        self.name = str(path)
        self.files = files
        self.lock = WriteLock(files)
        self._place = place
        self._held = held
        in_place = place.check if place is not None else lambda: None
        self.writes, self.reads = (
            connections.connect(
                path, writes=one, lock=self.lock, files=files, in_place=in_place, options=database.option(self)
            )
            for one in (True, False)
        )
        self.care = SqliteCare(self, steady)
        self._spare: deque[sa.Connection] = deque()
        self._spare_reads: deque[sa.Connection] = deque()
        self._peeking: Any = None
        # For wipe(). Closed last: see database_file.py.
        self._raw: int | None = None

    @classmethod
    def open(
        cls, path: Path, *, attach: bool = False, steady: Clock = steady_us, files: Files = FILES
    ) -> SqliteDatabase:
        """The file at ``path``, created where there is none. With ``attach`` another process may serve it.

        DatabaseRefusedError where the file is not ours, newer, broken or in use.
        """
        path = database_file.claim(path)
        with contextlib.ExitStack() as opened:
            held = None if attach else opened.enter_context(database_file.hold(path, files))
            _refuse_unusable(path, in_use=attach and database_file.is_served(path))
            found = cls(path, steady=steady, files=files, place=Place(path, files), held=held)
            opened.pop_all()  # it is closed with the database from here on
            return found

    def migrate(self) -> bool:
        """Brings the tables up to date; whether the projections must be rebuilt then."""
        outdated = connections.migrate(self.writes, self.path)
        # The driver's own connection: SQLAlchemy's would keep a transaction open, and see no later commit. It is kept
        # open, because SQLite deletes the log when the last connection is closed, as a failure may do.
        self._peeking = self.reads.raw_connection()
        if self._place is not None:
            self._place.remember()
        if self._held is not None:
            for why in private_file.exposed(self.path):
                _log.warning("others can read or replace the database", why=why)
        return outdated

    def close(self) -> None:
        """See :class:`sidecar.store.database.Database`."""
        if self._peeking is not None:
            self._peeking.close()
        self.close_spare()
        while self._spare_reads:
            self._spare_reads.pop().close()
        self.reads.dispose()
        self.writes.dispose()
        if self._raw is not None:
            os.close(self._raw)
            self._raw = None
        if self._held is not None:
            self._held.close()

    @contextlib.contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        """See :class:`sidecar.store.database.Database`. A connection is kept for the next transaction."""
        connection = self._connection()
        try:
            with connection.begin():
                driver: Any = connection.connection.driver_connection
                changes = driver.total_changes
                yield connection
                has_written = driver.total_changes > changes
        except BaseException:
            self._announced.pop(connection, None)
            connection.close()
            raise
        announced = self._announced.pop(connection, ())
        self._keep(connection)
        if has_written:
            self.care.wrote()
        for commit in announced:
            self._tell(commit)

    def checkpoint(self, *, truncate: bool) -> bool:
        """Copies the write-ahead log into the file, as far as readers allow; with ``truncate`` the log is emptied.

        Whether no reader was in the way.
        """
        connection = self._connection()
        try:
            driver: Any = connection.connection.driver_connection
            (busy, *_) = driver.execute(f"PRAGMA wal_checkpoint({'TRUNCATE' if truncate else 'PASSIVE'})").fetchone()
        except BaseException:
            connection.close()
            raise
        self._keep(connection)
        return not busy

    def wipe(self, first_page: int) -> int | None:
        """Overwrites what was deleted in some pages of the file; the next page, None at the end of the file.

        The log must be empty, or its pages would be copied over them later: where it is not, nothing is done.
        """
        if not self.checkpoint(truncate=True):
            return first_page
        # Pages in the memory of connections that write would bring back what is overwritten.
        self.close_spare()
        self.writes.dispose()
        if self._raw is None:
            self._raw = os.open(self.path, os.O_RDWR)
        with DirectConnection(self.writes) as connection, connection.begin():  # nobody else writes meanwhile
            log = Path(f"{self.path}-wal")
            if log.exists() and log.stat().st_size:
                return first_page
            return stale_bytes.overwrite(self._raw, first_page)

    def _connection(self) -> sa.Connection:
        return self._taken(self._spare, self.writes)

    @staticmethod
    def _taken(spare: deque[sa.Connection], engine: sa.Engine) -> sa.Connection:
        try:
            return spare.pop()
        except IndexError:
            return DirectConnection(engine)

    def _keep(self, connection: sa.Connection) -> None:
        if len(self._spare) >= tuning.SPARE_CONNECTIONS:
            connection.close()
        else:
            self._spare.append(connection)

    def close_spare(self) -> None:
        """Closes the kept connection, because a file that failed has to be opened again."""
        while self._spare:
            self._spare.pop().close()

    @contextlib.contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """See :class:`sidecar.store.database.Database`."""
        try:
            connection = self._taken(self._spare_reads, self.reads)
            try:
                with connection.begin():
                    yield connection
            except BaseException:
                connection.close()
                raise
            self._spare_reads.append(connection)  # of readers there are few
        except sa.exc.DatabaseError as error:
            if not is_of_the_file(error):
                raise
            raise unreadable(error) from error

    def peek(self, sql: str, *values: Any) -> list[Sequence[Any]]:  # noqa: ANN401 - what the driver takes
        """See :class:`sidecar.store.database.Database`."""
        # With rows left unread the read would stay open, and keep the log from being checkpointed.
        with contextlib.closing(self._peeking.cursor()) as cursor:
            found: list[Sequence[Any]] = cursor.execute(sql, values).fetchall()
        return found

    def walk(
        self,
        connection: sa.Connection,
        sql: str,
        values: Sequence[Any],
        *,
        most: int | None = None,  # noqa: ARG002 - no row is read before it is consumed
    ) -> Iterator[Sequence[Any]]:
        """See :class:`sidecar.store.database.Database`."""
        driver: Any = connection.connection.driver_connection
        found: Iterator[Sequence[Any]] = driver.execute(sql, values)
        return found

    def whole_rows(self, connection: sa.Connection, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """See :class:`sidecar.store.database.Database`."""
        driver: Any = connection.connection.driver_connection
        rows: list[tuple[Any, ...]] = driver.execute(sql, values).fetchall()
        return rows

    def unannounced(self) -> int:
        """See :class:`sidecar.store.database.Database`. Commits of this process change it too."""
        return int(self.peek("PRAGMA data_version")[0][0])

    def insert_events(
        self, connection: sa.Connection, applied: Sequence[Applied], dropped: Collection[Key] = ()
    ) -> None:
        """See :class:`sidecar.store.database.Database`."""
        super().insert_events(connection, applied, dropped)
        self.care.events_in_log += len(applied)

    def insert_rows(self, connection: sa.Connection, table: sa.Table, rows: Sequence[tuple[Any, ...]]) -> None:
        """See :class:`sidecar.store.database.Database`."""
        connection.exec_driver_sql(mapping.insert(table), list(rows))

    def keys_were_given(self, connection: sa.Connection, tables: Iterable[sa.Table]) -> None:
        """Nothing: the next key follows the largest one."""

    def index_ids(self, connection: sa.Connection, users: Sequence[tuple[int, str]] | None) -> None:
        """See :class:`sidecar.store.database.Database`."""
        if users is None:
            search.rebuild(connection)
        else:
            search.index(connection, users)

    def forget_id(self, connection: sa.Connection, user_key: int, user_id: str) -> None:
        """See :class:`sidecar.store.database.Database`."""
        search.forget(connection, user_key, user_id)

    def purge_ids(self, connection: sa.Connection, *, is_first: bool) -> bool:
        """See :class:`sidecar.store.database.Database`."""
        return search.purge(connection, is_first=is_first)

    def find(self, connection: sa.Connection, part: str, limit: int) -> list[int]:
        """See :class:`sidecar.store.database.Database`."""
        return search.candidates(connection, part, limit)


def _refuse_unusable(path: Path, *, in_use: bool) -> None:
    """Checks the file before anything changes it; one that is in use is checked by its server."""
    if not in_use:
        integrity.refuse_unsound(path)
    found = integrity.revision(path, in_use=in_use)
    upgrade.refuse_newer(str(path), found)
    if in_use and found is None:
        raise DatabaseRefusedError(f"{path} is still being made by the Zimwatch that serves it; try again in a moment")
    if in_use and found != REVISION:
        raise DatabaseRefusedError(f"{path} is served by an older Zimwatch (schema {found}); stop that one first")
