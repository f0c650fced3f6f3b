"""A PostgreSQL database as a :class:`sidecar.store.database.Database`.

Several processes serve it. Each transaction that writes takes one lock, so that commits have one order, and begins by
following what the others have committed since (:mod:`sidecar.store.postgres.announcements`).
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Final, cast

import msgspec
import psycopg
import sqlalchemy as sa

from sidecar.clock import Clock
from sidecar.domain.events import Event
from sidecar.errors import DatabaseRefusedError, StoreUnavailableError
from sidecar.store import database, mapping, schema, upgrade
from sidecar.store.database import RETRY_AFTER_S, Expressions, Key, Node, Term
from sidecar.store.one_order import OneOrder
from sidecar.store.postgres import announcements, connections, locks, pooler, search, tables
from sidecar.store.postgres.announcements import Followed
from sidecar.store.postgres.care import PostgresCare
from sidecar.store.postgres.driver import DriverConnection, PostgresConnection, copy_rows, stored, walk, whole_rows
from sidecar.store.postgres.notifications import Notifications
from sidecar.store.postgres.partitions import Partitions
from sidecar.store.postgres.postgres_errors import unreadable
from sidecar.store.schema import REVISION
from sidecar.store.values import Applied, Commit, Owner
from sidecar.system.threads import Threads
from sidecar.version import VERSION

LONGEST_ID_BYTES: Final = 2_048
_LONGEST_CHARACTER: Final = 4  # in UTF-8
ELSEWHERE_MOST: Final = 20_000
"""Past so many changed users, what is in memory is dropped as a whole."""


class PostgresDatabase(OneOrder):
    """``serves``: it may append events, and follows what other processes commit."""

    expressions = Expressions(
        id_has="strpos(lower(user_id), ?) > 0",
        # An escaped U+0000 is JSON, but PostgreSQL cannot take it out of there.
        each_client=r"json_array_elements(replace(clients, '\u0000', '\u001a')::json) AS one (value)",
        event_ids="event_ids AS ids",
    )

    def __init__(
        self, url: str, *, serves: bool, steady: Clock, threads: Threads, first_rows: tables.FirstRows
    ) -> None:
        super().__init__(serves=serves)
        self._target = connections.target(url)
        self.name = connections.name(self._target)
        self._first_rows = first_rows
        self.care = PostgresCare(self, steady, serves=serves)
        self.log_partitions = Partitions()
        options = database.option(self)
        self._writes = connections.writer(self._target, options, self._began)
        self._reads = connections.readers(self._target, options)
        self._steady = steady
        self.begun_us: int | None = None  # of the transaction in progress
        self._writer: PostgresConnection | None = None
        self._pid: int | None = None  # of its session
        self._peeking: DriverConnection | None = None
        # The tables are up to date: this process serves them from now on.
        self._is_ready = False
        self._followed = Followed(self._tell)
        # The number of the last transaction; 0: what was committed since is not known.
        self._last = 0
        # Of the last announcement that the writer has read, and whose projections others changed by then.
        self._seen = 0
        self._elsewhere: set[Owner] | None = set()
        self._owners: set[Owner] | None = set()
        self._notifications = Notifications(self._target, self._followed, threads) if serves else None

    @classmethod
    def open(
        cls, url: str, *, attach: bool, steady: Clock, threads: Threads, first_rows: tables.FirstRows
    ) -> PostgresDatabase:
        """The database, which exists; with ``attach`` for a process that does not serve it."""
        found = cls(url, serves=not attach, steady=steady, threads=threads, first_rows=first_rows)
        with contextlib.ExitStack() as opened:
            opened.callback(found.close)
            pooler.refuse_shared_sessions(found._target, found.name)
            opened.pop_all()
            return found

    def migrate(self) -> bool:
        """See :class:`sidecar.store.database.Database`."""
        with self._locked(locks.COMMIT_IN_ORDER) as (connection, _):
            revision = tables.revision(connection)
            if revision is None:
                tables.create(connection, self._first_rows)
            elif revision != REVISION:
                upgrade.refuse_newer(self.name, revision)
                if not self._serves:
                    raise DatabaseRefusedError(
                        f"{self.name} has the tables of an older Zimwatch ({revision}); run `zimwatch db upgrade`"
                    )
                if self.is_shared(connection):
                    raise DatabaseRefusedError(
                        f"{self.name} is served by an older Zimwatch, and its tables must be brought up to date: stop"
                        " all that serve it first"
                    )
                upgrade.upgrade(connection, revision)
                tables.collate(connection)
            outdated = upgrade.is_outdated(connection)
            self._seen = int(connection.exec_driver_sql(announcements.NEWEST).scalar_one())
            self._followed.begin(self._seen)
            if self._serves:
                connection.exec_driver_sql(locks.SERVE)
        self._is_ready = True
        if self._notifications is not None:
            self._notifications.begin()
        return outdated

    def close(self) -> None:
        """See :class:`sidecar.store.database.Database`."""
        if self._notifications is not None:
            self._notifications.close()
        if self._peeking is not None:
            self._peeking.close()
        self.end_writer()
        self._reads.dispose()

    @contextlib.contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        """See :class:`sidecar.store.database.Database`. Others wait for it. The session is kept for the next one."""
        announced: list[Commit] = []
        self._owners = set()
        try:
            with self._locked(announcements.BEGIN) as (connection, turn):
                self._follow(connection, number := int(turn[1]))
                yield connection
                announced = self._announced.pop(connection, announced)
                if announced or self._owners or self._owners is None:
                    announcements.announce(connection, number, Commit.of_all(announced), self._owners)
        except BaseException:
            self._announced.clear()
            self._last = 0
            self.log_partitions.look_again()
            raise
        self._last = self._seen = number
        self._followed.committed(number, announced)

    @contextlib.contextmanager
    def _locked(self, turn: str) -> Iterator[tuple[sa.Connection, Sequence[Any]]]:
        """A transaction of the session that writes, and the row of the statement by which it waits for its turn."""
        connection = self._writer or PostgresConnection(self._writes)
        self._writer = connection
        self.begun_us = self._steady()
        try:
            with connection.begin():
                cast(
                    "DriverConnection", connection.connection.driver_connection
                ).answers_within_s = self.care.answers_within_s
                yield connection, self._wait_for_turn(connection, turn)
        except BaseException:
            if connection.invalidated or connection.closed:
                self.end_writer()
            raise
        finally:
            self.begun_us = None
        self.care.succeeded()

    def _follow(self, connection: sa.Connection, number: int) -> None:
        """Reads what others have committed before the transaction with this number."""
        if self._serves and number - 1 != self._last:
            rows = connection.exec_driver_sql(announcements.AFTER, (self._seen,)).all()
            changed = announcements.changed_by(rows, self._seen)
            if changed is None or self._elsewhere is None or len(self._elsewhere) > ELSEWHERE_MOST:
                self._elsewhere = None
            else:
                self._elsewhere |= changed
            self._seen = rows[-1][0] if rows else self._seen
            self._followed.follow(rows)
        self._last = self._followed.own = number

    def _wait_for_turn(self, connection: sa.Connection, turn: str) -> Sequence[Any]:
        """DatabaseRefusedError, which names it, where another transaction does not end."""
        try:
            return connection.exec_driver_sql(turn).one()
        except sa.exc.OperationalError as error:
            if not isinstance(error.orig, psycopg.errors.LockNotAvailable):
                raise
            with self.reading() as other:
                holding = other.exec_driver_sql(locks.COMMITTING).all()
            names = ", ".join(f"{row[0]} ({row[1]})" for row in holding) or "another"
            raise DatabaseRefusedError(
                f"a transaction holds up all others for more than {connections.LOCK_S} s: the one of process {names}"
            ) from error

    def end_writer(self) -> None:
        """Ends the session that writes; the next transaction begins another."""
        self._terms.clear()
        if self._writer is not None:
            with contextlib.suppress(sa.exc.SQLAlchemyError, psycopg.Error):
                self._writer.close()
            self._writer = None
        self._writes.dispose()

    @contextlib.contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """See :class:`sidecar.store.database.Database`."""
        try:
            with PostgresConnection(self._reads) as connection, connection.begin():
                yield connection
        except (sa.exc.SQLAlchemyError, psycopg.Error) as error:
            if (unavailable := unreadable(error)) is None:
                raise
            raise unavailable from error

    def peek(self, sql: str, *values: Any) -> list[Sequence[Any]]:  # noqa: ANN401 - what the driver takes
        """See :class:`sidecar.store.database.Database`."""
        for is_last in (self._peeking is None, True):
            try:
                if self._peeking is None:
                    if self.care.problem is not None:  # a caller in the event loop is not to wait for the server
                        raise StoreUnavailableError(self.care.problem, retry_after_s=RETRY_AFTER_S)
                    self._peeking = connections.connect(self._target, autocommit=True)
                    self._peeking.answers_within_s = connections.PEEK_S
                return list(self._peeking.execute(sql, values).fetchall())
            except psycopg.Error as error:
                if (unavailable := unreadable(error)) is None:
                    raise
                if self._peeking is not None:
                    self._peeking.close()
                    self._peeking = None
                if is_last:
                    raise unavailable from error
        raise AssertionError

    def walk(
        self, connection: sa.Connection, sql: str, values: Sequence[Any], *, most: int | None = None
    ) -> Iterator[Sequence[Any]]:
        """See :class:`sidecar.store.database.Database`."""
        return walk(connection, sql, values, most)

    def whole_rows(self, connection: sa.Connection, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """See :class:`sidecar.store.database.Database`."""
        return whole_rows(connection, sql, values)

    def unannounced(self) -> int:
        """See :class:`sidecar.store.database.Database`."""
        return 0 if self._notifications is None else self._notifications.missed()

    def changed(self, connection: sa.Connection, owners: Collection[Owner] | None) -> None:  # noqa: ARG002 - one at a time
        """See :class:`sidecar.store.database.Database`."""
        if owners is None:
            self._owners = None
        elif self._owners is not None:
            self._owners.update(owners)

    def changed_elsewhere(self, connection: sa.Connection) -> Collection[Owner] | None:  # noqa: ARG002 - it was read
        """See :class:`sidecar.store.database.Database`."""
        changed, self._elsewhere = self._elsewhere, set()
        return changed

    def is_shared(self, connection: sa.Connection) -> bool:
        """See :class:`sidecar.store.database.Database`."""
        return bool(connection.exec_driver_sql(locks.IS_SHARED).scalar_one())

    def commits_behind(self, connection: sa.Connection) -> int:
        """See :class:`sidecar.store.database.Database`."""
        return int(connection.exec_driver_sql(announcements.BEHIND, (self._followed.number,)).scalar_one())

    def insert_events(
        self,
        connection: sa.Connection,
        applied: Sequence[Applied],
        dropped: Collection[Key] = (),  # noqa: ARG002 - what is not inserted is new
    ) -> None:
        """See :class:`sidecar.store.database.Database`."""
        if applied:
            self.log_partitions.make_room(connection, applied[-1].position)
            rows = (mapping.event_row(one.position, one.event, one.effect) for one in applied)
            copy_rows(connection, schema.events, rows)

    def insert_rows(self, connection: sa.Connection, table: sa.Table, rows: Sequence[tuple[Any, ...]]) -> None:
        """See :class:`sidecar.store.database.Database`."""
        if table is schema.events and rows:
            self.log_partitions.make_room(connection, max(row[0] for row in rows))  # the position
        copy_rows(connection, table, rows)

    def keys_were_given(self, connection: sa.Connection, tables: Iterable[sa.Table]) -> None:
        """See :class:`sidecar.store.database.Database`. Statistics are taken too, which the server would do later."""
        for table in tables:
            if (column := table.autoincrement_column) is not None:
                newest = f"(SELECT COALESCE(MAX({column.name}), 0) + 1 FROM {table.name})"
                connection.exec_driver_sql(
                    f"SELECT setval(pg_get_serial_sequence('{table.name}', '{column.name}'), {newest}, FALSE)"
                )
            connection.exec_driver_sql(f"ANALYZE {table.name}")

    def index_ids(self, connection: sa.Connection, users: Sequence[tuple[int, str]] | None) -> None:
        """See :class:`sidecar.store.database.Database`."""
        if users is None:
            search.rebuild(connection)
        else:
            search.index(connection, users)

    def forget_id(self, connection: sa.Connection, user_key: int, user_id: str) -> None:  # noqa: ARG002 - the key is enough
        """See :class:`sidecar.store.database.Database`."""
        search.forget(connection, user_key)

    def purge_ids(self, connection: sa.Connection, *, is_first: bool) -> bool:  # noqa: ARG002 - the server vacuums
        """Nothing is left to do."""
        return False

    def find(self, connection: sa.Connection, part: str, limit: int) -> list[int]:
        """See :class:`sidecar.store.database.Database`."""
        return search.candidates(connection, part, limit)

    @staticmethod
    def refuses(event: Event) -> str | None:
        """See :class:`sidecar.store.database.Database`. An index of PostgreSQL takes 2,704 bytes."""
        texts = (event.user_id, event.platform, event.sdk_version, event.app_version)
        if sum(len(one) for one in texts if one is not None) * _LONGEST_CHARACTER <= LONGEST_ID_BYTES:
            return None
        if event.user_id is not None and len(stored(event.user_id)) > LONGEST_ID_BYTES:
            return f"user_id has more than {LONGEST_ID_BYTES} bytes, which PostgreSQL cannot index"
        if sum(len(stored(one)) for one in texts[1:] if one is not None) > LONGEST_ID_BYTES:
            return f"platform and versions have more than {LONGEST_ID_BYTES} bytes, which PostgreSQL cannot index"
        return None

    def take_duties(self, connection: sa.Connection, duties: Collection[str]) -> None:
        """See :class:`sidecar.store.database.Database`."""
        if self._serves:
            for row in connection.exec_driver_sql(locks.TAKE_DUTIES, (_json(duties),)):
                self._terms[row[0]] = Term(row[0], is_for_good=False)

    def term(self, duty: str) -> Term | None:
        """See :class:`sidecar.store.database.Database`."""
        return self._terms.get(duty) if self.care.was_heard else None

    def nodes(self, connection: sa.Connection, duties: Collection[str]) -> list[Node]:
        """See :class:`sidecar.store.database.Database`."""
        held: dict[int, list[str]] = {}
        for pid, duty in connection.exec_driver_sql(locks.HOLDING, (_json(duties),)):
            held.setdefault(pid, []).append(duty)
        return [
            Node(name, since_us, seen_us, is_this=pid == self._pid, duties=tuple(held.get(pid, ())))
            for pid, name, since_us, seen_us in connection.exec_driver_sql(locks.SERVING)
        ]

    def _began(self, session: DriverConnection) -> None:
        """A new session of the writer shows that this process serves the database."""
        self._terms.clear()
        if not self._serves:
            return
        # Seen in the server's views, of which it keeps 63 bytes.
        named = f"zimwatch {VERSION} {socket.gethostname()}:{os.getpid()}"
        ((self._pid, _),) = session.execute(
            "SELECT pg_backend_pid(), set_config('application_name', ?, false)", (named,)
        ).fetchall()
        if self._is_ready:
            session.execute(locks.SERVE)


def _json(values: Collection[str]) -> str:
    return msgspec.json.encode(list(values)).decode()
