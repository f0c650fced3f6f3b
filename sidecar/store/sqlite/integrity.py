"""Checks of a database file that change nothing: no write, no checkpoint, no new file beside it.

So they also work on a read-only disk, and a file that is refused is left as it was.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeVar

import sqlalchemy as sa

from sidecar.errors import DatabaseRefusedError
from sidecar.store.sqlite import write_ahead_log
from sidecar.store.sqlite.sqlite_errors import RESTORE

# Up to this size a file is checked completely at the start.
CHECKED_BYTES: Final = 67_108_864
# Steps of SQLite's machine, some milliseconds, after which a statement may be stopped.
STEPS_BETWEEN: Final = 1_000_000

T = TypeVar("T")


@contextlib.contextmanager
def reading(path: Path, *, in_use: bool) -> Iterator[sqlite3.Connection]:
    """A connection that reads what was committed, the log included. ``in_use``: others may be writing meanwhile."""
    with contextlib.closing(_connect(path, in_use=in_use)) as connection:
        yield connection


def never() -> bool:
    """For work that is not stopped."""
    return False


def stoppable(connection: sqlite3.Connection, stopped: Callable[[], bool]) -> None:
    """Has statements of the connection fail with ``interrupted`` once ``stopped`` says so."""
    connection.set_progress_handler(stopped, STEPS_BETWEEN)


def problems(path: Path, *, in_use: bool, stopped: Callable[[], bool] = never) -> list[str]:
    """What is damaged in the tables, the indexes or the log; empty where nothing is."""
    lost = damage_of_log(path, in_use=in_use)
    if lost is not None:
        return [lost]
    try:
        with reading(path, in_use=in_use) as connection:
            stoppable(connection, stopped)
            found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check")]
    except sqlite3.Error as error:
        return [str(error)]
    return [] if found == ["ok"] else found


def may_have_rows(path: Path, sql: str) -> bool:
    """See :func:`sidecar.store.engines.may_have_rows`."""
    if not path.exists():
        return False
    log = Path(f"{path}-wal")
    if log.exists() and log.stat().st_size:
        return True
    try:
        with reading(path.absolute(), in_use=False) as connection:
            return connection.execute(sql).fetchone() is not None
    except sqlite3.Error:
        return True


def newest_receipt_us(path: Path, *, in_use: bool) -> int | None:
    """See :func:`sidecar.store.engines.newest_receipt_us`."""
    if not path.exists():
        return None
    try:
        with reading(path.absolute(), in_use=in_use) as connection:
            row = connection.execute("SELECT received_at_us FROM events ORDER BY position DESC LIMIT 1").fetchone()
    except (sqlite3.Error, OSError):
        return None
    return None if row is None else int(row[0])


def look(path: Path, work: Callable[[sa.Connection], T], *, in_use: bool) -> T | None:
    """See :func:`sidecar.store.engines.look`."""
    if not path.exists():
        return None
    try:
        with reading(path.absolute(), in_use=in_use) as raw:
            engine = sa.create_engine("sqlite://", creator=lambda: raw, poolclass=sa.pool.StaticPool)
            with engine.connect() as connection:
                return work(connection)
    except (sa.exc.DatabaseError, sqlite3.Error, OSError):
        return None


def refuse_unsound(path: Path) -> None:
    """Refuses a damaged file that is not in use. Of a large one only the ends are checked: all would take minutes."""
    if path.stat().st_size <= CHECKED_BYTES:
        found = problems(path, in_use=False)
    else:
        lost = damage_of_log(path, in_use=False)
        found = [lost] if lost else _of_the_ends(path)
    if found:
        raise DatabaseRefusedError(f"{path} is damaged ({'; '.join(found[:3])}){RESTORE}")


def revision(path: Path, *, in_use: bool) -> str | None:
    """The migration of the tables; None where there are none."""
    with reading(path, in_use=in_use) as connection:
        return revision_of(connection)


def damage_of_log(path: Path, *, in_use: bool) -> str | None:
    """What of the write-ahead log cannot be read. One that is in use is not checked, because it changes meanwhile."""
    return None if in_use else write_ahead_log.damage(Path(f"{path}-wal"))


def _connect(path: Path, *, in_use: bool) -> sqlite3.Connection:
    if in_use:
        return sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    if not write_ahead_log.holds_commits(Path(f"{path}-wal")):
        # Without opening the log: SQLite deletes one without commits when it closes it.
        return sqlite3.connect(f"{path.as_uri()}?immutable=1", uri=True)
    # No locks are needed, and in exclusive mode SQLite keeps the index of the log in its own memory.
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro&vfs=unix-none", uri=True)
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    return connection


def _of_the_ends(path: Path) -> list[str]:
    try:
        with reading(path, in_use=False) as connection:
            pages, size = (
                int(connection.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "page_size")
            )
            if not Path(f"{path}-wal").exists() and path.stat().st_size < pages * size:
                return ["it is shorter than its header says"]
            if revision_of(connection) is not None:
                for order in ("", "DESC"):
                    connection.execute(f"SELECT * FROM events ORDER BY position {order} LIMIT 1").fetchall()
    except sqlite3.Error as error:
        return [str(error)]
    return []


def revision_of(connection: sqlite3.Connection) -> str | None:
    """The migration of the tables, read on an open connection."""
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone() is None:
        return None
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(row[0]) if row else None


def contents(connection: sqlite3.Connection) -> tuple[str | None, dict[str, int]]:
    """The revision, and the number of rows of each table, as of one moment within a transaction."""
    named = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'")
    tables = [str(name) for (name,) in named]
    rows = {name: int(connection.execute(f'SELECT COUNT(*) FROM "{name}"').fetchone()[0]) for name in tables}
    return revision_of(connection), rows
