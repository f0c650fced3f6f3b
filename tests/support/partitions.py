"""Small partitions of the event log, on the tests' PostgreSQL."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from sidecar.store.postgres import partitions
from tests.support import databases
from tests.support.databases import url_of


def use_small_partitions(folder: Path, patch: pytest.MonkeyPatch, events: int) -> None:
    """The partitions of the folder's database, which is empty, have room for so many events at least."""
    patch.setattr(partitions, "LEAST_EVENTS", events)
    first = f"events_0_{events + 1}"
    with psycopg.connect(url_of(folder), autocommit=True) as server:
        for sql in (
            f"DROP TABLE {names(folder)[0]}",
            f"CREATE TABLE {first} (LIKE events INCLUDING ALL)",
            f"ALTER TABLE events ATTACH PARTITION {first} FOR VALUES FROM (MINVALUE) TO ({events + 1})",
        ):
            server.execute(sql.encode())


def names(folder: Path) -> list[str]:
    """The partitions, in the order of their events."""
    sql = (
        "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid WHERE inhparent = 'events'::regclass"
    )
    with databases.reading(folder) as connection:
        found = [row[0] for row in connection.exec_driver_sql(sql)]
    return sorted(found, key=lambda name: int(name.split("_")[1]))


def rows_by_partition(folder: Path) -> dict[str, int]:
    """How many events each has."""
    sql = "SELECT tableoid::regclass::text, COUNT(*) FROM events GROUP BY 1"
    with databases.reading(folder) as connection:
        return {row[0]: row[1] for row in connection.exec_driver_sql(sql)}
