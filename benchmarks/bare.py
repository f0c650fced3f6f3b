"""The baselines: bare SQLite, in the same run, on the same disk, ``synchronous=FULL``.

raw-pk and raw-2ix are ``sqlite3.executemany`` into the table of events, 1,000 rows a commit: raw-pk has no index but
the integer key, raw-2ix two, as one would add for ids and users. raw-text is the same with what one takes without a
thought: the ids are text, that of the event is the key, and those of users and sessions have an index. What an index
costs grows with the table, so that tables may hold rows before. :class:`Statements` are those that the store itself
makes of the same events, executed again with nothing between them: what is left of the time is Python's.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from benchmarks.events import Fleet
from sidecar.alerting import reaction_of
from sidecar.domain.lease import Leases, LeaseTime
from sidecar.ingest import wire
from sidecar.settings import Settings
from sidecar.store import mapping, schema
from sidecar.store.log import event_log, span_outbox
from sidecar.store.log.event_log import Batch
from sidecar.store.log.followers import Followers
from sidecar.store.log.span_outbox import SpanFollower
from sidecar.store.sqlite import database_file, tuning
from sidecar.store.sqlite.sqlite_database import SqliteDatabase
from sidecar.store.users.per_minute import Minutes
from sidecar.store.users.projections import Projections
from sidecar.store.values import Effect

BATCH: Final = 1_000
INDEXES: Final = {
    "raw-pk": (),
    "raw-2ix": ("CREATE UNIQUE INDEX by_id ON events (id)", "CREATE INDEX by_user ON events (user_id, seq)"),
}
_KEY: Final = "position"
TEXT: Final = "raw-text"
_TEXT_INDEXES: Final = ("CREATE INDEX by_user ON events (user_id)", "CREATE INDEX by_session ON events (session_id)")
_IDS: Final = ("id", "session_id", "client_id")
_INSERT: Final = mapping.insert(schema.events)
Begin = Callable[[], AbstractContextManager[sa.Connection]]
"""Begins a transaction that writes."""


def prepared(fleet: Fleet, count: int, *, after: int = 0) -> list[tuple[Any, ...]]:
    """Rows of ``events`` at the positions after ``after``, as the store writes them."""
    rows: list[tuple[Any, ...]] = []
    effect = Effect(1, 1, False, "CONNECTED", 1_234_567, "online", "offline")
    for body in fleet.bodies(count, BATCH):
        for _, event in wire.decode(body, "json", 1_795_514_400_000_000).events:
            rows.append(mapping.event_row(after + len(rows) + 1, event, effect))
    return rows


def as_text(rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The rows with their ids as text, for raw-text."""
    ids = [at for at, column in enumerate(schema.events.columns) if column.name in _IDS]
    return [tuple(_text(value) if at in ids else value for at, value in enumerate(row)) for row in rows]


def _text(value: bytes | None) -> str | None:
    return None if value is None else str(uuid.UUID(bytes=value))


def hold(database: sqlite3.Connection, rows: Sequence[tuple[Any, ...]], held: int) -> None:
    """Fills an empty ``events`` with ``held`` rows like those in ``rows``; their ids are older than any of today."""
    database.execute("BEGIN IMMEDIATE")
    database.executemany(_INSERT, islice(like(rows), held))
    database.execute("COMMIT")
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def like(rows: Sequence[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """Rows like these without end, each with a position and an id of its own."""
    for position, row in enumerate(cycle(rows), 1):
        yield (position, position.to_bytes(8, "big") + os.urandom(8), *row[2:])


class Table:
    """The table of events in a file of its own in ``folder``, with ``held`` rows like those in ``rows``."""

    def __init__(self, folder: Path, kind: str, rows: Sequence[tuple[Any, ...]], held: int) -> None:
        key = {"id": "TEXT PRIMARY KEY"} if kind == TEXT else {_KEY: "INTEGER PRIMARY KEY"}
        columns = [f"{column.name} {key.get(column.name, '')}" for column in schema.events.columns]
        self._database = sqlite3.connect(folder / f"{kind}.db", isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.execute(f"CREATE TABLE events ({', '.join(columns)})")
        hold(self._database, rows, held)
        for index in _TEXT_INDEXES if kind == TEXT else INDEXES.get(kind, ()):
            self._database.execute(index)
        self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def append(self, rows: Sequence[tuple[Any, ...]]) -> float:
        """Rows a second."""
        began = time.perf_counter()
        for start in range(0, len(rows), BATCH):
            self.commit(rows[start : start + BATCH])
        return len(rows) / (time.perf_counter() - began)

    def commit(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Appends the rows in one transaction."""
        self._database.execute("BEGIN IMMEDIATE")
        self._database.executemany(_INSERT, rows)
        self._database.execute("COMMIT")

    def close(self) -> None:
        """Closes the file; its folder is deleted with it."""
        self._database.close()


def append(begin: Begin, projections: Projections, bodies: Sequence[bytes], at_once: int) -> None:
    """Appends the bodies' events as the writer does, ``at_once`` bodies a commit, without HTTP."""
    minutes = Minutes(lambda _connection: projections.counts)
    followers = Followers(minutes, SpanFollower(), reaction_of(Settings()))
    with begin() as connection:
        followers.begin(connection)
    now_us = time.time_ns() // 1_000
    for start in range(0, len(bodies), at_once):
        decoded = [wire.decode(body, "json", now_us) for body in bodies[start : start + at_once]]
        with begin() as connection:
            event_log.append(
                connection,
                [Batch([event for _, event in one.events]) for one in decoded],
                projections,
                time=LeaseTime.without_skips(now_us),
                followers=followers,
            )


class Statements:
    """The store's statements for ``count`` events in commits of 16 batches of 100, after each user had two events."""

    def __init__(self, folder: Path, users: int, count: int) -> None:
        self._before = folder / "before.db"
        self._count = count
        self._made: list[tuple[str, Any]] = []
        fleet = Fleet(users, seed=3)
        file = folder / "filled.db"
        database_file.claim(file)
        opened = SqliteDatabase(file)
        opened.migrate()
        database = opened.writes
        with database.begin() as connection:
            span_outbox.begin(connection, export_spans=True)
            self._projections = Projections(connection, Leases())
        append(database.begin, self._projections, fleet.bodies(users * 2, 500), 3)
        with (
            contextlib.closing(sqlite3.connect(file)) as filled,
            contextlib.closing(sqlite3.connect(self._before)) as to,
        ):
            filled.backup(to)
        sa.event.listen(database, "before_cursor_execute", self._note)
        append(database.begin, self._projections, fleet.bodies(count, 100), 16)
        opened.close()
        for one in folder.glob("filled.db*"):
            one.unlink()

    def _note(self, _connection: Any, _cursor: Any, sql: str, values: Any, _context: Any, is_many: bool) -> None:  # noqa: ANN401, FBT001 - SQLAlchemy's own
        self._made.append((sql, list(values) if is_many else values))

    def measure(self, folder: Path) -> float:
        """Events a second; every other commit is followed by a checkpoint."""
        path = folder / "again.db"
        shutil.copy(self._before, path)
        commits = 0
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
            cache = f"cache_size = -{tuning.WRITER_CACHE_KIB}"
            for pragma in ("journal_mode = WAL", "synchronous = FULL", "wal_autocheckpoint = 0", cache):
                database.execute(f"PRAGMA {pragma}")
            began = time.perf_counter()
            for sql, values in self._made:
                if sql.startswith("BEGIN"):
                    if commits:
                        database.execute("COMMIT")
                    if commits % 2:
                        database.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
                    commits += 1
                    database.execute(sql)
                elif isinstance(values, list):
                    database.executemany(sql, values)
                else:
                    database.execute(sql, values).fetchall()
            database.execute("COMMIT")
            took = time.perf_counter() - began
        for file in folder.glob("again.db*"):
            file.unlink()
        return self._count / took
