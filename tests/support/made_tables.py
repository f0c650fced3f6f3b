"""The tables of a new SQLite database: migrated once a process, and copied into each further file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from sidecar.store.sqlite import connections


@contextmanager
def copied() -> Iterator[None]:
    """Until it ends; each database has a key of its own for what it signs."""
    migrate = connections.migrate

    def copy_or_migrate(engine: sa.Engine, path: Path) -> bool:
        with closing(engine.raw_connection()) as pooled:
            file: Any = pooled.driver_connection
            is_new = not _has_tables(file)
            if is_new and _has_tables(made):
                made.backup(file)
                # The audit log begins with a seal by its key.
                file.execute("UPDATE keys SET value = randomblob(32) WHERE name <> 'audit'")
                return False
        outdated = migrate(engine, path)
        if is_new:
            with closing(engine.raw_connection()) as pooled:
                file = pooled.driver_connection
                file.backup(made)
        return outdated

    with closing(sqlite3.connect(":memory:", check_same_thread=False)) as made, pytest.MonkeyPatch.context() as patched:
        patched.setattr(connections, "migrate", copy_or_migrate)
        yield


def _has_tables(database: sqlite3.Connection) -> bool:
    return database.execute("SELECT 1 FROM sqlite_master").fetchone() is not None
