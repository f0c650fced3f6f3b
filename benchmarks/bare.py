"""The yardstick: ``sqlite3.executemany`` into the same table, in the same run, on the same disk.

raw-pk has no index but the integer key; raw-2ix has two on random keys, as one would add for ids and users. Batches of
1,000, synchronous=FULL.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from pathlib import Path
from typing import Any, Final

from benchmarks.events import Fleet
from sidecar.ingest import wire
from sidecar.store import rows, tables
from sidecar.store.reactions import Effect

BATCH: Final = 1_000
INDEXES: Final = {
    "raw-pk": (),
    "raw-2ix": ("CREATE UNIQUE INDEX by_id ON events (id)", "CREATE INDEX by_user ON events (user_id, seq)"),
}


def prepared(users: int, count: int) -> list[tuple[Any, ...]]:
    """Rows of ``events``, as the store would write them."""
    made: list[tuple[Any, ...]] = []
    effect = Effect(1, 1, False, "CONNECTED", 1_234_567, "online", "offline", False, None)
    for body in Fleet(users, seed=2).bodies(count, BATCH):
        for _, event in wire.decode(body, "json", 1_795_514_400_000_000).events:
            made.append(rows.event_row(len(made) + 1, event, effect))
    return made


def measure(folder: Path, made: list[tuple[Any, ...]], kind: str) -> float:
    """Rows a second."""
    path = folder / "bare.db"
    columns = [
        f"{column.name} {'INTEGER PRIMARY KEY' if column.primary_key else ''}" for column in tables.events.columns
    ]
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute(f"CREATE TABLE events ({', '.join(columns)})")
        for index in INDEXES[kind]:
            database.execute(index)
        insert = rows.insert(tables.events)
        began = time.perf_counter()
        for start in range(0, len(made), BATCH):
            database.execute("BEGIN IMMEDIATE")
            database.executemany(insert, made[start : start + BATCH])
            database.execute("COMMIT")
        took = time.perf_counter() - began
    for file in folder.glob("bare.db*"):
        file.unlink()
    return len(made) / took
