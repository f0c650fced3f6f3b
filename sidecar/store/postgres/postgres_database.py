"""A PostgreSQL database as a :class:`sidecar.store.database.Database`.

One process serves it: its writer's session holds a lock of the server, and without that session it cannot write.
Commands write beside it, and each transaction that writes takes a second lock: so commits have one order.
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
from sidecar.store.postgres import connections, locks, notifications, pooler, search, tables
from sidecar.store.postgres.care import PostgresCare
from sidecar.store.postgres.driver import DriverConnection, PostgresConnection, copy_rows, stored, walk, whole_rows
from sidecar.store.postgres.notifications import Notifications
from sidecar.store.postgres.postgres_errors import unreadable
from sidecar.store.schema import REVISION
from sidecar.store.values import Applied
from sidecar.system.threads import Threads
from sidecar.version import VERSION

LONGEST_ID_BYTES: Final = 2_048


class PostgresDatabase(OneOrder):
    """``serves``: it may append events, and is the only process that does."""

    expressions = Expressions(
        id_has="strpos(lower(user_id), ?) > 0",
        # An escaped U+0000 is JSON, but PostgreSQL cannot take it out of there.
        each_client=r"json_array_elements(replace(clients, '\u0000', '\u001a')::json) AS one (value)",
    )

    def __init__(
        self, url: str, *, serves: bool, steady: Clock, threads: Threads, first_rows: tables.FirstRows
    ) -> None:
        super().__init__(serves=serves)
        self._target = connections.target(url)
        self.name = connections.name(self._target)
        self._first_rows = first_rows
        self.care = PostgresCare(self, steady, serves=serves)
        options = database.option(self)
        self._writes = connections.writer(self._target, options, self._began)
        self._reads = connections.readers(self._target, options)
        self._steady = steady
        self.begun_us: int | None = None  # of the transaction in progress
        self._writer: PostgresConnection | None = None
        self._pid: int | None = None  # of its session
        self._peeking: DriverConnection | None = None
        self._notifications = Notifications(self._target, self._tell, threads) if serves else None

    @classmethod
    def open(
        cls, url: str, *, attach: bool, steady: Clock, threads: Threads, first_rows: tables.FirstRows
    ) -> PostgresDatabase:
        """The database, which exists. DatabaseRefusedError where another process serves it, unless with ``attach``."""
        found = cls(url, serves=not attach, steady=steady, threads=threads, first_rows=first_rows)
        with contextlib.ExitStack() as opened:
            opened.callback(found.close)
            pooler.refuse_shared_sessions(found._target, found.name)
            opened.pop_all()
            return found

    def migrate(self) -> bool:
        """See :class:`sidecar.store.database.Database`."""
        with self.begin() as connection:
            revision = tables.revision(connection)
            if revision is None:
                tables.create(connection, self._first_rows)
            elif revision != REVISION:
                upgrade.refuse_newer(self.name, revision)
                if not self._serves:
                    raise DatabaseRefusedError(
                        f"{self.name} has the tables of an older Zimwatch ({revision}); run `zimwatch db upgrade`"
                    )
                upgrade.upgrade(connection, revision)
                tables.collate(connection)
            return upgrade.is_outdated(connection)

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
        connection = self._writer or PostgresConnection(self._writes)
        self._writer = connection
        self.begun_us = self._steady()
        try:
            with connection.begin():
                cast(
                    "DriverConnection", connection.connection.driver_connection
                ).answers_within_s = self.care.answers_within_s
                self._wait_for_turn(connection)
                yield connection
                for commit in self._announced.get(connection, ()):
                    if not self._serves:  # the one that serves is the only one that listens
                        notifications.send(connection, commit)
        except BaseException:
            self._announced.pop(connection, None)
            if connection.invalidated or connection.closed:
                self.end_writer()
            raise
        finally:
            self.begun_us = None
        self.care.succeeded()
        for commit in self._announced.pop(connection, ()):
            self._tell(commit)

    def _wait_for_turn(self, connection: sa.Connection) -> None:
        """DatabaseRefusedError, which names it, where another transaction does not end."""
        try:
            connection.exec_driver_sql(locks.COMMIT_IN_ORDER)
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

    def walk(self, connection: sa.Connection, sql: str, values: Sequence[Any]) -> Iterator[Sequence[Any]]:
        """See :class:`sidecar.store.database.Database`."""
        return walk(connection, sql, values)

    def whole_rows(self, connection: sa.Connection, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """See :class:`sidecar.store.database.Database`."""
        return whole_rows(connection, sql, values)

    def unannounced(self) -> int:
        """See :class:`sidecar.store.database.Database`."""
        return 0 if self._notifications is None else self._notifications.missed()

    def insert_events(
        self,
        connection: sa.Connection,
        applied: Sequence[Applied],
        dropped: Collection[Key] = (),  # noqa: ARG002 - what is not inserted is new
    ) -> None:
        """See :class:`sidecar.store.database.Database`."""
        if applied:
            rows = (mapping.event_row(one.position, one.event, one.effect) for one in applied)
            copy_rows(connection, schema.events, rows)

    def insert_rows(self, connection: sa.Connection, table: sa.Table, rows: Sequence[tuple[Any, ...]]) -> None:
        """See :class:`sidecar.store.database.Database`."""
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
        if event.user_id is not None and len(stored(event.user_id)) > LONGEST_ID_BYTES:
            return f"user_id has more than {LONGEST_ID_BYTES} bytes, which PostgreSQL cannot index"
        versions = (event.platform, event.sdk_version, event.app_version)
        if sum(len(stored(one)) for one in versions if one is not None) > LONGEST_ID_BYTES:
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
        """Takes the right to serve for a new session of the writer."""
        self._terms.clear()
        if not self._serves:
            return
        # Seen in the server's views, of which it keeps 63 bytes.
        named = f"zimwatch {VERSION} {socket.gethostname()}:{os.getpid()}"
        ((self._pid, _),) = session.execute(
            "SELECT pg_backend_pid(), set_config('application_name', ?, false)", (named,)
        ).fetchall()
        try:
            session.execute(locks.SERVE)
        except psycopg.errors.LockNotAvailable:
            raise DatabaseRefusedError(f"{self.name} is already served by another Zimwatch") from None


def _json(values: Collection[str]) -> str:
    return msgspec.json.encode(list(values)).decode()
