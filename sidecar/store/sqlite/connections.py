"""Connections to a SQLite file, and its migrations."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import make_url

from sidecar.errors import DatabaseRefusedError
from sidecar.store import upgrade
from sidecar.store.schema import REVISION
from sidecar.store.sqlite import integrity, tuning, write_lock
from sidecar.store.sqlite.write_lock import WriteLock
from sidecar.system.files import FILES, Files


def path_of(database_url: str) -> Path:
    """The file that a ``sqlite:///`` URL names; DatabaseRefusedError for anything else."""
    try:
        url = make_url(database_url)
    except sa.exc.ArgumentError:
        raise DatabaseRefusedError(f"database.url is not a URL: {database_url!r}") from None
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        raise DatabaseRefusedError("database.url must name a SQLite file, such as sqlite:///zimwatch.db")
    return Path(url.database)


def connect(
    path: Path,
    *,
    writes: bool,
    lock: WriteLock | None = None,
    files: Files = FILES,
    in_place: Callable[[], None] = lambda: None,
    options: Mapping[str, Any] | None = None,
) -> sa.Engine:
    """SQLAlchemy's engine for the file. With ``writes`` transactions are BEGIN IMMEDIATE, else they cannot write.

    The file must exist: none is created. ``in_place`` is called before each new connection and each commit, and raises
    where another file has taken the place of this one. ``options`` are the execution options of the connections.
    """
    lock = lock or WriteLock()

    def _open() -> sqlite3.Connection:
        in_place()
        uri = f"{path.absolute().as_uri()}?mode=rw"
        return files.connect(uri, timeout_s=write_lock.BUSY_TIMEOUT_S)

    engine = sa.create_engine(
        f"sqlite:///{path}",
        creator=_open,
        poolclass=sa.pool.QueuePool,
        pool_size=4,
        max_overflow=0,
        execution_options=options or {},
        hide_parameters=True,  # an error's text is logged, and they have ids of users
    )

    @sa.event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _record: object) -> None:
        try:
            _set(connection)
        except sqlite3.Error:
            connection.close()  # it is not in the pool yet
            raise

    def _set(connection: sqlite3.Connection) -> None:
        connection.isolation_level = None  # the driver's own BEGIN is deferred; ours is below
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {'FULL' if files.survive_crashes else 'OFF'}")
        connection.execute("PRAGMA temp_store = MEMORY")
        # What is deleted is overwritten; the rest of that is in stale_bytes.py.
        connection.execute("PRAGMA secure_delete = ON")
        # Only the writer checkpoints: see care.py.
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute(f"PRAGMA journal_size_limit = {tuning.LOG_BYTES}")
        if writes:
            connection.execute(f"PRAGMA cache_size = -{tuning.WRITER_CACHE_KIB}")
            connection.execute(f"PRAGMA busy_timeout = {round(write_lock.SLICE_S * 1_000)}")
        else:
            connection.execute("PRAGMA query_only = ON")
            connection.execute(f"PRAGMA cache_size = -{tuning.READER_CACHE_KIB}")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        if writes:
            lock.take(lambda: connection.exec_driver_sql("BEGIN IMMEDIATE"))
        else:
            connection.exec_driver_sql("BEGIN")

    @sa.event.listens_for(engine, "commit")
    def _commit(_connection: sa.Connection) -> None:
        if writes:
            in_place()

    return engine


def pending(path: Path, *, in_use: bool) -> list[tuple[str, str]]:
    """See :func:`upgrade.pending`. ``path`` is of a file of ours, or of none."""
    found = integrity.revision(path, in_use=in_use) if path.exists() and path.stat().st_size else None
    return upgrade.pending(str(path), found)


def migrate(engine: sa.Engine, path: Path) -> bool:
    """Brings the tables up to date, in one transaction; refuses a file that a newer Zimwatch has written.

    Returns whether the projections must be rebuilt.
    """
    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        found = integrity.revision_of(driver)
        if found == REVISION:
            return upgrade.is_outdated(connection)
    upgrade.refuse_newer(str(path), found)
    with engine.begin() as connection:
        upgrade.upgrade(connection, found)
        return upgrade.is_outdated(connection)
