"""The database engine that ``database.url`` names, and what can be done with a database that is not opened as a store.

The one module outside an engine's own package that knows which engines there are. PostgreSQL's driver is imported where
it is needed, because it takes time and 8 MB of memory, which a SQLite file does without.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa

from sidecar import private_file
from sidecar.clock import Clock
from sidecar.errors import DatabaseRefusedError, StoreUnavailableError
from sidecar.settings import is_on_server
from sidecar.store import first_rows
from sidecar.store.database import Database
from sidecar.store.sqlite import (
    backups,
    connections,
    database_file,
    integrity,
    sqlite_errors,
)
from sidecar.store.sqlite.sqlite_database import SqliteDatabase
from sidecar.system.files import THROW_AWAY, Files
from sidecar.system.threads import Threads

T = TypeVar("T")


def open_database(url: str, *, attach: bool, steady: Clock, threads: Threads, files: Files) -> Database:
    """Opens the database, which is created where there is none. With ``attach`` another process may serve it."""
    if is_on_server(url):
        from sidecar.store import postgres

        return postgres.PostgresDatabase.open(
            url, attach=attach, steady=steady, threads=threads, first_rows=first_rows.write
        )
    return SqliteDatabase.open(location(url), attach=attach, steady=steady, files=files)


@contextlib.contextmanager
def refusing(url: str) -> Iterator[None]:
    """DatabaseRefusedError in the place of the engine's own errors while a database is opened."""
    if is_on_server(url):
        from sidecar.store import postgres

        with postgres.refusing(url):
            yield
        return
    path = location(url)
    try:
        yield
    except (sa.exc.DatabaseError, sqlite3.Error, OSError) as error:
        raise DatabaseRefusedError(sqlite_errors.why_not(path, error)) from error


def location(url: str) -> Path:
    """The database's file; DatabaseRefusedError where the URL names none."""
    if is_on_server(url):
        raise DatabaseRefusedError("this is for a SQLite file; a PostgreSQL database has the tools of its server")
    return connections.path_of(url)


def exists(url: str) -> bool:
    """Whether there is a database."""
    if is_on_server(url):
        from sidecar.store import postgres

        return postgres.exists(url)
    return location(url).exists()


def name(url: str) -> str:
    """Where the database is, without a password, for messages."""
    if is_on_server(url):
        from sidecar.store import postgres

        return postgres.name(url)
    return str(location(url))


@contextlib.contextmanager
def reading(url: str) -> Iterator[Callable[[], AbstractContextManager[sa.Connection]]]:
    """Opens connections to a database that is being served, in which nothing is written."""
    if is_on_server(url):
        from sidecar.store import postgres

        with postgres.reading(url) as connect:
            yield connect
        return
    engine = connections.connect(location(url), writes=False)
    try:
        yield engine.connect
    finally:
        engine.dispose()


def warnings(url: str) -> list[str]:
    """Permissions by which others than its owner can read or replace the database; one sentence each."""
    return [] if is_on_server(url) else private_file.exposed(location(url))


def problems(url: str) -> list[str]:
    """What is damaged, also while it is served; empty where nothing is. DatabaseRefusedError where it is not ours."""
    path = database_file.locate(location(url))
    database_file.refuse_foreign(path)
    return integrity.problems(path, in_use=database_file.is_served(path))


def pending_migrations(url: str) -> list[tuple[str, str]]:
    """The migrations that are due, oldest first: name, and what it is about. Changes nothing, also while it is served.

    All of them where there is no database. DatabaseRefusedError where it is not ours, or a newer Zimwatch wrote it.
    """
    if is_on_server(url):
        from sidecar.store import postgres

        return postgres.pending_migrations(url)
    path = database_file.locate(location(url))
    if path.exists() and path.stat().st_size:
        database_file.refuse_foreign(path)
    return connections.pending(path, in_use=database_file.is_served(path))


def is_served(url: str) -> bool:
    """Whether a process serves the database."""
    if is_on_server(url):
        from sidecar.store import postgres

        return postgres.is_served(url)
    return database_file.is_served(location(url))


def may_have_rows(url: str, sql: str) -> bool:
    """Whether a query may have rows; the database is read as it is on disk, and not changed.

    True where that cannot be known, because it is served or cannot be read so.
    """
    return True if is_on_server(url) else integrity.may_have_rows(location(url), sql)


def newest_receipt_us(url: str) -> int | None:
    """When the newest event was received, also while it is served; None where there is none, or it cannot be read."""
    if is_on_server(url):
        from sidecar.store import postgres

        return postgres.newest_receipt_us(url)
    path = location(url)
    return integrity.newest_receipt_us(path, in_use=database_file.is_served(path))


def look(url: str, work: Callable[[sa.Connection], T]) -> T | None:
    """What ``work`` reads, also while it is served; nothing is changed. None where that cannot be read."""
    if is_on_server(url):
        from sidecar.store import postgres

        return postgres.look(url, work)
    path = location(url)
    return integrity.look(path, work, in_use=database_file.is_served(path))


def backup(url: str, target: Path) -> None:
    """Copies the database as of one moment, also while it is served; no file is overwritten."""
    backups.backup(location(url), target)


def checked_backup(url: str, target: Path, stopped: Callable[[], bool]) -> None:
    """A backup that gets its name only when it was restored elsewhere and found good; DatabaseRefusedError else."""
    backups.checked_backup(location(url), target, stopped)


def restore(source: Path, url: str) -> Path | None:
    """Puts a backup in the place of the database; returns where the previous one is now."""
    return backups.restore(source, location(url))


def is_full(url: str) -> bool:
    """Whether the database may be written, but its disk has no room worth speaking of."""
    return not is_on_server(url) and sqlite_errors.is_full(location(url))


@contextlib.contextmanager
def elsewhere(url: str) -> Iterator[str]:
    """The URL of a copy on another disk, which replaces the database when the context ends."""
    with backups.elsewhere(location(url)) as copy:
        yield f"sqlite:///{copy}"


@contextlib.contextmanager
def throw_away(folder: Path) -> Iterator[Database]:
    """An empty database for one run, which survives no crash."""
    path = database_file.claim(folder / "throw-away.db")
    with contextlib.closing(SqliteDatabase(path, files=THROW_AWAY)) as database:
        database.migrate()
        yield database


def unreadable(error: BaseException) -> StoreUnavailableError | None:
    """What to raise for an error by which the database could not be read or written; None for any other."""
    if type(getattr(error, "orig", error)).__module__.startswith("psycopg"):
        from sidecar.store import postgres

        return postgres.unreadable(error)
    return sqlite_errors.unreadable(error) if sqlite_errors.is_of_the_file(error) else None
