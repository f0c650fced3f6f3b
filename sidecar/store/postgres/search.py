"""Finds users by any part of their id, also by one or two characters.

An inverted index holds the trigrams of each id (:mod:`sidecar.store.trigrams`). It gives candidates: the caller checks
each against the id itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa

from sidecar.store import trigrams

TABLE: Final = "user_search"
DDL: Final = (
    f"CREATE TABLE {TABLE} (user_key BIGINT PRIMARY KEY, runs TSVECTOR NOT NULL)",
    f"CREATE INDEX {TABLE}_by_run ON {TABLE} USING gin (runs)",
)


def index(connection: sa.Connection, users: Sequence[tuple[int, str]]) -> None:
    """Adds users by key and id."""
    if users:
        sql = f"INSERT INTO {TABLE} (user_key, runs) VALUES (?, array_to_tsvector(?::text[]))"
        rows = [(key, f"{{{','.join(sorted(trigrams.of_id(user_id)))}}}") for key, user_id in users]
        connection.exec_driver_sql(sql, rows)


def rebuild(connection: sa.Connection) -> None:
    """Rebuilds the index from all users."""
    connection.exec_driver_sql(f"DELETE FROM {TABLE}")
    found = connection.exec_driver_sql("SELECT user_key, user_id FROM user_status")
    while some := found.fetchmany(1_000):
        index(connection, [(row[0], row[1]) for row in some])


def forget(connection: sa.Connection, user_key: int) -> None:
    """Removes a user."""
    connection.exec_driver_sql(f"DELETE FROM {TABLE} WHERE user_key = ?", (user_key,))


def candidates(connection: sa.Connection, part: str, limit: int) -> list[int]:
    """Keys of users whose id may contain ``part``, in no order; all of them unless there are more than ``limit``."""
    is_prefix, runs = trigrams.of_part(part)
    wanted = " & ".join(f"{run}{':*' if is_prefix else ''}" for run in runs)
    sql = f"SELECT user_key FROM {TABLE} WHERE runs @@ ?::tsquery LIMIT ?"
    return [row[0] for row in connection.exec_driver_sql(sql, (wanted, limit))]
