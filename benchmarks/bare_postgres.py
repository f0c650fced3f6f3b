"""The store's own statements for PostgreSQL, executed again by bare psycopg: what is left of the time is Python's."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from typing import Any, Final
from unittest import mock

import psycopg
import sqlalchemy as sa
from psycopg.types.numeric import Int8Dumper
from psycopg.types.string import StrDumperUnknown

from benchmarks import bare
from benchmarks.events import Fleet
from benchmarks.processes import cpu_s
from sidecar.clock import steady_us
from sidecar.domain.lease import Leases
from sidecar.store import engines, mapping
from sidecar.store.log import span_outbox
from sidecar.store.postgres import announcements, postgres_database
from sidecar.store.postgres.driver import copy_rows, numbered
from sidecar.store.rows import Values
from sidecar.store.users.projections import Projections
from sidecar.system.files import FILES
from sidecar.system.threads import THREADS

_BEFORE: Final = "bench_before"
_AGAIN: Final = "bench_again"


class Server:
    """Databases of one server."""

    def __init__(self, url: str) -> None:
        self._admin = url

    def create(self, name: str, *, template: str = "template1") -> str:
        """The URL of a new database, of which there may be one before."""
        self.drop(name)
        self._execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        self._execute("CHECKPOINT")
        return f"{self._admin.rpartition('/')[0]}/{name}"

    def drop(self, name: str) -> None:
        """Drops the database, if it is there."""
        self._execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _execute(self, sql: str) -> None:
        with psycopg.connect(self._admin, autocommit=True) as session:
            session.execute(sql.encode())


class Statements:
    """The store's statements for ``count`` events in commits of 16 batches of 100, after each user had two events."""

    def __init__(self, server: Server, users: int, count: int) -> None:
        self._server = server
        self._count = count
        self._made: list[tuple[str, Any, bool]] = []
        fleet = Fleet(users, seed=3)
        filled = server.create("bench_filled")
        opened = engines.open_database(filled, attach=True, steady=steady_us, threads=THREADS, files=FILES)
        with contextlib.closing(opened):
            opened.migrate()
            with opened.begin() as connection:
                span_outbox.begin(connection, export_spans=True)
                projections = Projections(connection, Leases())
            bare.append(opened.begin, projections, fleet.bodies(users * 2, 500), 3)
            opened.end_writer()  # type: ignore[attr-defined] # no session may use a database that is copied
            server.create(_BEFORE, template="bench_filled")
            sa.event.listen(sa.Engine, "before_cursor_execute", self._note)
            try:
                with mock.patch.object(postgres_database, "copy_rows", self._note_copy):
                    bare.append(opened.begin, projections, fleet.bodies(count, 100), 16)
            finally:
                sa.event.remove(sa.Engine, "before_cursor_execute", self._note)
        server.drop("bench_filled")

    def measure(self) -> tuple[float, float]:
        """Events a second, and seconds of CPU of the server and this process for all of them."""
        with contextlib.closing(psycopg.connect(self._server.create(_AGAIN, template=_BEFORE))) as session:
            session.adapters.register_dumper(int, Int8Dumper)  # as the store: one prepared statement for all sizes
            session.adapters.register_dumper(str, StrDumperUnknown)
            cursor = psycopg.RawCursor(session)
            backend = session.info.backend_pid
            cpu, began = cpu_s(backend) + time.process_time(), time.perf_counter()
            for sql, values, is_copy in self._made:
                if sql == announcements.BEGIN:
                    session.commit()
                if is_copy:
                    with cursor.copy(sql.encode()) as copy:
                        for row in values:
                            copy.write_row(row)
                elif isinstance(values, list):
                    cursor.executemany(sql.encode(), values)
                else:
                    cursor.execute(sql.encode(), values)
                    if cursor.description is not None:
                        cursor.fetchall()
            session.commit()
            took, cpu = time.perf_counter() - began, cpu_s(backend) + time.process_time() - cpu
        self._server.drop(_AGAIN)
        return self._count / took, cpu

    def _note(self, _connection: Any, _cursor: Any, sql: str, values: Any, _context: Any, is_many: bool) -> None:  # noqa: ANN401, FBT001 - SQLAlchemy's own
        self._made.append((numbered(sql), list(values) if is_many else values, False))

    def _note_copy(self, connection: sa.Connection, table: sa.Table, rows: Iterable[Values]) -> None:
        rows = list(rows)
        self._made.append((f"COPY {table.name} ({mapping.columns(table)}) FROM STDIN", rows, True))
        copy_rows(connection, table, rows)
