"""A SQLite file as a :class:`sidecar.store.database.Database`.

One process serves the file, and SQLite lets one connection write at a time: so there are no users to lock, the next
position follows the newest event, and every duty is this process's.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
import structlog

from sidecar import private_file
from sidecar.clock import Clock, steady_us
from sidecar.domain.events import Event
from sidecar.errors import DatabaseRefusedError
from sidecar.store import database, mapping, schema
from sidecar.store.database import Expressions, Key, Minute
from sidecar.store.log_positions import newest_position
from sidecar.store.schema import REVISION
from sidecar.store.sqlite import connections, counts, database_file, integrity, search, stale_bytes, tuning
from sidecar.store.sqlite.care import SqliteCare
from sidecar.store.sqlite.database_file import Place
from sidecar.store.sqlite.direct import DirectConnection
from sidecar.store.sqlite.sqlite_errors import is_of_the_file, unreadable
from sidecar.store.sqlite.write_lock import WriteLock
from sidecar.store.values import Applied, Commit
from sidecar.system.files import FILES, Files

_INSERT: Final = mapping.insert(schema.events)
_BEHIND: Final = (
    f"SELECT {mapping.columns(schema.events, of='e')}, {mapping.STATUS_BEFORE} FROM events e WHERE e.position > ?"
    " ORDER BY e.position LIMIT ?"
)
_KNOWN: Final = (
    "WITH wanted (app_id, id) AS (VALUES {}) SELECT events.app_id, events.id FROM wanted CROSS JOIN events"
    " WHERE events.id = wanted.id AND events.app_id = wanted.app_id"
)

_log = structlog.get_logger(__name__)


class SqliteDatabase:
    """A file that exists. ``held`` is the right to serve it, which :meth:`close` releases after the last connection."""

    expressions = Expressions(id_has="instr(lower(user_id), ?) > 0", each_client="json_each(clients)")

    def __init__(
        self,
        path: Path,
        *,
        steady: Clock = steady_us,
        files: Files = FILES,
        place: Place | None = None,
        held: contextlib.ExitStack | None = None,
    ) -> None:
        self.path = path
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
        self._peeking: Any = None
        # For wipe(). Closed last: see database_file.py.
        self._raw: int | None = None
        self._announced: dict[sa.Connection, list[Commit]] = {}
        self._listeners: list[Callable[[Commit], None]] = []
        self._duties: set[str] = set()

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
            for callback in tuple(self._listeners):
                callback(commit)

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
        try:
            return self._spare.pop()
        except IndexError:
            return DirectConnection(self.writes)

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
            with DirectConnection(self.reads) as connection, connection.begin():
                yield connection
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

    def unannounced(self) -> int:
        """See :class:`sidecar.store.database.Database`. Commits of this process change it too."""
        return int(self.peek("PRAGMA data_version")[0][0])

    def new_ids(self, connection: sa.Connection, keys: Collection[Key], *, claim: bool = True) -> set[Key]:  # noqa: ARG002 - there is no other writer
        """See :class:`sidecar.store.database.Database`."""
        new = set(keys)
        for some in mapping.chunks(tuple(new)):  # a copy, as known ids are removed from the set
            sql = _KNOWN.format(", ".join(["(?, ?)"] * len(some)))
            flat = tuple(part for key in some for part in key)
            new.difference_update((row[0], row[1]) for row in connection.exec_driver_sql(sql, flat))
        return new

    def lock_users(self, connection: sa.Connection, events: Collection[Event]) -> None:
        """Nothing: the transaction is the only one that writes."""

    def new_positions(self, connection: sa.Connection, count: int) -> int:  # noqa: ARG002 - all later ones are free
        """See :class:`sidecar.store.database.Database`."""
        return newest_position(connection) + 1

    def insert_events(
        self,
        connection: sa.Connection,
        applied: Sequence[Applied],
        dropped: Collection[Key] = (),  # noqa: ARG002 - what is not inserted is new
    ) -> None:
        """See :class:`sidecar.store.database.Database`."""
        if applied:
            rows = [mapping.event_row(one.position, one.event, one.effect) for one in applied]
            connection.exec_driver_sql(_INSERT, rows)
            self.care.events_in_log += len(rows)

    def count(
        self, connection: sa.Connection, *, groups: Sequence[tuple[int, int]] = (), minutes: Sequence[Minute] = ()
    ) -> None:
        """See :class:`sidecar.store.database.Database`. The rows are the sums: there is only one writer."""
        counts.add(connection, groups, minutes)

    def log_behind(self, connection: sa.Connection, cursor: int, limit: int) -> list[Applied]:
        """See :class:`sidecar.store.database.Database`."""
        return [mapping.applied(row) for row in connection.exec_driver_sql(_BEHIND, (cursor, limit))]

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

    def announce(self, connection: sa.Connection, commit: Commit) -> None:
        """See :class:`sidecar.store.database.Database`."""
        self._announced.setdefault(connection, []).append(commit)

    def listen(self, callback: Callable[[Commit], None]) -> Callable[[], None]:
        """See :class:`sidecar.store.database.Database`."""
        self._listeners.append(callback)
        return lambda: self._listeners.remove(callback)

    def hold_duty(self, name: str) -> _Duty | None:
        """See :class:`sidecar.store.database.Database`. The process that serves the file has every duty."""
        if self._held is None or name in self._duties:
            return None
        self._duties.add(name)
        return _Duty(self._duties, name)


class _Duty:
    def __init__(self, held: set[str], name: str) -> None:
        self._held = held
        self._name = name

    def release(self) -> None:
        """See :class:`sidecar.store.database.Duty`."""
        self._held.discard(self._name)


def _refuse_unusable(path: Path, *, in_use: bool) -> None:
    """Checks the file before anything changes it; one that is in use is checked by its server."""
    if not in_use:
        integrity.refuse_unsound(path)
    found = integrity.revision(path, in_use=in_use)
    connections.refuse_newer(path, found)
    if in_use and found != REVISION:
        raise DatabaseRefusedError(f"{path} is served by an older Zimwatch (schema {found}); stop that one first")
