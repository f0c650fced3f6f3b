"""Opens the SQLite file: whose it is, its settings, its lock and its migrations.

A file that is not ours, or that another process serves, is refused and never written to.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from importlib import resources
from pathlib import Path
from typing import IO, Any

import sqlalchemy as sa
from sqlalchemy.engine import make_url

from sidecar.errors import DatabaseRefusedError
from sidecar.store.tables import APPLICATION_ID, REVISION

BUSY_TIMEOUT_S = 5.0
LOG_BYTES = 16_777_216
# The writer has SQLite's own 2 MiB: with 4 or 8 it was no quicker. Readers are several.
READER_CACHE_KIB = 1_024
# Up to this size a file is gone through at the start.
CHECKED_BYTES = 67_108_864
WHAT_TO_DO = "; it was left as it is. Restore a backup with `zimwatch db restore FILE`, or name another file"
_HEADER_BYTES = 100
_APPLICATION_ID_OFFSET = 68  # https://www.sqlite.org/fileformat.html, section 1.3


def path_of(database_url: str) -> Path:
    """The file that a ``sqlite:///`` URL names; DatabaseRefusedError for anything else."""
    try:
        url = make_url(database_url)
    except sa.exc.ArgumentError:
        raise DatabaseRefusedError(f"database.url is not a URL: {database_url!r}") from None
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        raise DatabaseRefusedError("database.url must name a SQLite file, such as sqlite:///zimwatch.db")
    return Path(url.database)


def claim(path: Path) -> None:
    """Makes a missing or empty file ours; refuses one that holds something else."""
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER_BYTES)
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise DatabaseRefusedError(f"there is no folder {path.parent} to put the database in") from None
        header = b""
    except OSError as error:
        raise DatabaseRefusedError(f"{path} cannot be read: {error.strerror}") from None
    if not header:
        # Before the file turns to WAL, so that the mark is in its first page and not in the log beside it.
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # can only be chosen while the file is empty
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        return
    ours = APPLICATION_ID.to_bytes(4, "big")
    if header[_APPLICATION_ID_OFFSET : _APPLICATION_ID_OFFSET + 4] != ours:
        raise DatabaseRefusedError(
            f"{path} is not a Zimwatch database, so it was left as it is; name another file with --database-url"
        )


# Python's driver looks for a way to adapt whatever is no int, float or text, for every value of every row, and is slow
# to find that there is none: a third of an insert. These ways change nothing, and are found at once.
sqlite3.register_adapter(bytes, bytes)
sqlite3.register_adapter(bool, int)
_nothing: Any = {}.get
sqlite3.register_adapter(type(None), _nothing)


def lock(path: Path) -> IO[str]:
    """Holds ``<file>.lock`` for as long as the returned file is open: there is one writer to a database file."""
    file = Path(f"{path}.lock").open("a+", encoding="ascii")  # noqa: SIM115 - held open on purpose
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().strip() or "unknown"
        file.close()
        raise DatabaseRefusedError(f"{path} is already served by another Zimwatch (process {holder})") from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def connect(path: Path, *, writes: bool) -> sa.Engine:
    """An engine whose connections begin with BEGIN IMMEDIATE where they write, and cannot write where they don't."""
    engine = sa.create_engine(
        f"sqlite:///{path}",
        poolclass=sa.pool.QueuePool,
        pool_size=4,
        max_overflow=0,
        connect_args={"check_same_thread": False, "timeout": BUSY_TIMEOUT_S},
    )

    @sa.event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _record: object) -> None:
        try:
            _set(connection)
        except sqlite3.Error:
            connection.close()  # the pool does not know of it yet
            raise

    def _set(connection: sqlite3.Connection) -> None:
        connection.isolation_level = None  # the driver's own BEGIN is deferred; ours is below
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA temp_store = MEMORY")
        # Connections that checkpoint at once can corrupt the file in SQLite before 3.51.3: the writer alone does, when
        # it has answered. A log that had to grow is cut again.
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
        if not writes:
            connection.execute("PRAGMA query_only = ON")
            connection.execute(f"PRAGMA cache_size = -{READER_CACHE_KIB}")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def migrate(engine: sa.Engine, path: Path) -> bool:
    """Brings the tables up to date, in one transaction; refuses a file that a newer Zimwatch has written.

    Whether what follows from the events must be made anew, which takes a minute for half a million of them: there
    were older tables, and not each migration that they went through is marked with ``KEEPS_PROJECTIONS``.
    """
    with engine.connect() as connection:
        found = _revision(connection)
    if found == REVISION:
        return False
    # Alembic takes a good part of a start and of the memory, and is needed for a file that is not up to date alone.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(resources.files("sidecar.store") / "migrations"))
    config.set_main_option("path_separator", "os")
    script = ScriptDirectory.from_config(config)
    known = {revision.revision for revision in script.walk_revisions()}
    if found is not None and found not in known:
        raise DatabaseRefusedError(f"{path} was written by a newer Zimwatch (schema {found}); use that version")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    if found is None:
        return False
    passed = script.iterate_revisions("head", found)
    return not all(getattr(one.module, "KEEPS_PROJECTIONS", False) for one in passed)


def refuse_damaged(engine: sa.Engine, path: Path) -> None:
    """Refuses a file that is found broken. A large one takes minutes to go through, so only its ends are looked at."""
    if path.stat().st_size <= CHECKED_BYTES:
        found = quick_check(engine)
    else:
        with engine.connect() as connection:
            pages, size = (
                int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()) for name in ("page_count", "page_size")
            )
            is_cut = not Path(f"{path}-wal").exists() and path.stat().st_size < pages * size
            found = ["it is shorter than it says"] if is_cut else []
            if _revision(connection) is not None:
                for order in ("", "DESC"):
                    connection.exec_driver_sql(f"SELECT * FROM events ORDER BY position {order} LIMIT 1").all()
    if found:
        raise DatabaseRefusedError(f"{path} is damaged ({'; '.join(found[:3])}){WHAT_TO_DO}")


def quick_check(engine: sa.Engine) -> list[str]:
    """What SQLite's own check finds broken; empty where nothing is."""
    with engine.connect() as connection:
        found = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA quick_check")]
    return [] if found == ["ok"] else found


def _revision(connection: sa.Connection) -> str | None:
    table = "SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'"
    if connection.exec_driver_sql(table).first() is None:
        return None
    row: Any = connection.exec_driver_sql("SELECT version_num FROM alembic_version").first()
    return str(row[0]) if row else None
