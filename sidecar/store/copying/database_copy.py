"""Moves a database to another one: passes while the source is served, and a last one while nothing writes to it.

The target is marked until it is finished, and the source from before the last pass on
(:mod:`sidecar.store.copy_marks`). So at any moment, also after a ``kill -9``, at most one of them is served.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec
import sqlalchemy as sa

from sidecar.clock import steady_us
from sidecar.errors import DatabaseRefusedError
from sidecar.store import copy_marks, engines, schema, upgrade
from sidecar.store.access import audit_log
from sidecar.store.access.audit_values import Entry
from sidecar.store.copying import one_copy
from sidecar.store.copying.one_copy import OneCopy
from sidecar.store.copying.table_copy import Copied, TableCopy
from sidecar.store.database import Database
from sidecar.store.log_positions import newest_position
from sidecar.system.files import FILES
from sidecar.system.threads import THREADS

# What a database has that nobody has used yet.
_OF_A_NEW_ONE: Final = ("keys", "audit_marks", "followers", "lease_stretches")

Progress = Callable[[str, int], None]
"""Called with the name of a table, and how many more of its rows are equal."""


class Pass(msgspec.Struct, frozen=True):
    """One pass over all tables. ``behind``: events that the source has more, because it is served."""

    tables: Sequence[Copied]
    is_finished: bool
    behind: int = 0


def run(source_url: str, target_url: str, entry: Entry, progress: Progress) -> Pass:
    """One pass: the last one if the source is not served. Then the target may be served, with ``entry`` in its log.

    DatabaseRefusedError where the target has data, is served, or is a copy of another database.
    """
    _refuse_old(source_url)
    if not engines.exists(source_url):
        raise DatabaseRefusedError(f"there is no database {engines.name(source_url)}")
    if engines.exists(target_url):
        one_copy.refuse_in_use(target_url)
        _refuse_old(target_url, may_be_empty=True)
    is_served = engines.is_served(source_url)
    with _opened_alone(target_url) as (target, copy), _opened(source_url, attach=is_served) as source:
        _mark(source, target, copy)
        if is_served:
            tables = _pass(source, target, copy, progress, is_served=True)
            return Pass(tables, is_finished=False, behind=_behind(source, target))
        with _moved(source, target):
            tables = _pass(source, target, copy, progress, is_served=False)
            with copy.begin() as connection:
                target.keys_were_given(connection, schema.metadata.sorted_tables)
                copy_marks.remove(connection, copy_marks.UNFINISHED)
                audit_log.record(connection, entry)
        return Pass(tables, is_finished=True)


def reopen(url: str) -> bool:
    """Removes the mark of a database that was moved; whether there was one."""
    with _opened(url) as database, database.begin() as connection:
        if copy_marks.found(connection, copy_marks.UNFINISHED) is not None:
            copy_marks.refuse(connection, database.name)
        was_moved = copy_marks.found(connection, copy_marks.MOVED) is not None
        copy_marks.remove(connection, copy_marks.MOVED)
        return was_moved


def _refuse_old(url: str, *, may_be_empty: bool = False) -> None:
    due = engines.pending_migrations(url) if engines.exists(url) else []
    if may_be_empty and due == upgrade.pending(url, None):  # a copy was ended before it had made the tables
        return
    if due:
        raise DatabaseRefusedError(
            f"{engines.name(url)} has the tables of an older Zimwatch; stop it and run `zimwatch db upgrade` first"
        )


@contextlib.contextmanager
def _opened(url: str, *, attach: bool = False) -> Iterator[Database]:
    with _with_tables(url, attach=attach) as database:
        if not attach:
            _refuse_served(database)
        yield database


@contextlib.contextmanager
def _opened_alone(url: str) -> Iterator[tuple[Database, OneCopy]]:
    """The target, to which no other copy writes, and nobody serves it."""
    with _with_tables(url, attach=False) as database:
        copy = OneCopy(database)
        copy.take()  # first, because another copy looks as if it served the database
        _refuse_served(database)
        yield database, copy


@contextlib.contextmanager
def _with_tables(url: str, *, attach: bool) -> Iterator[Database]:
    with engines.refusing(url):
        database = engines.open_database(url, attach=attach, steady=steady_us, threads=THREADS, files=FILES)
        with contextlib.closing(database):
            database.migrate()
            yield database


def _refuse_served(database: Database) -> None:
    with database.begin() as connection:
        if database.is_shared(connection):
            raise DatabaseRefusedError(f"{database.name} is already served by another Zimwatch; stop all that serve it")


def _mark(source: Database, target: Database, copy: OneCopy) -> None:
    with source.reading() as connection:
        if copy_marks.found(connection, copy_marks.UNFINISHED) is not None:
            copy_marks.refuse(connection, source.name)
        own = copy_marks.identity(connection)
    with copy.begin() as connection:
        mark = copy_marks.found(connection, copy_marks.UNFINISHED)
        if mark is not None and mark != own:
            raise DatabaseRefusedError(f"{target.name} is an unfinished copy of another database than {source.name}")
        if mark is None:
            for table in schema.metadata.sorted_tables:
                rows = f"SELECT 1 FROM {table.name} LIMIT 1"
                if table.name not in _OF_A_NEW_ONE and connection.exec_driver_sql(rows).first() is not None:
                    raise DatabaseRefusedError(
                        f"{target.name} has data already (in {table.name}); a copy is made to a new database alone"
                    )
            copy_marks.put(connection, copy_marks.UNFINISHED, own)


def _pass(source: Database, target: Database, copy: OneCopy, progress: Progress, *, is_served: bool) -> list[Copied]:
    found = []
    for table in schema.metadata.sorted_tables:

        def compared(rows: int, name: str = table.name) -> None:
            for database in (source, target):
                database.care.tend()  # a session that is idle for long is ended, and with it the right to serve
            progress(name, rows)

        try:
            found.append(TableCopy(table, source, target, copy.begin, compared).run())
        except sa.exc.IntegrityError as error:
            if not is_served:
                raise DatabaseRefusedError(f"{target.name} cannot take rows of {table.name}: {error.orig}") from error
    return found


def _behind(source: Database, target: Database) -> int:
    positions = []
    for database in (source, target):
        with database.reading() as connection:
            positions.append(newest_position(connection))
    return max(0, positions[0] - positions[1])


@contextlib.contextmanager
def _moved(source: Database, target: Database) -> Iterator[None]:
    """The source is marked from now on; no longer where the copy was not finished."""
    with source.begin() as connection:
        copy_marks.put(connection, copy_marks.MOVED, target.name.encode())
    try:
        yield
    except BaseException:
        # Where that fails too, neither is served until the command was run again.
        with target.reading() as copy:
            is_finished = copy_marks.found(copy, copy_marks.UNFINISHED) is None
        if not is_finished:
            with source.begin() as connection:
                copy_marks.remove(connection, copy_marks.MOVED)
        raise
