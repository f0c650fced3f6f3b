"""Finds users by any part of their id, also by one or two characters.

A contentless FTS5 index holds the trigrams of each id (:mod:`sidecar.store.trigrams`). It gives candidates: the caller
checks each against the id itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa

from sidecar.store import trigrams

TABLE: Final = "user_search"
# How many pages of 4 KB a slice merges; and how many changes it then counts at least.
_PAGES: Final = 200
_MERGED: Final = 2


def index(connection: sa.Connection, users: Sequence[tuple[int, str]]) -> None:
    """Adds users by key and id."""
    if users:
        sql = f"INSERT INTO {TABLE} (rowid, runs) VALUES (?, ?)"
        connection.exec_driver_sql(sql, [(key, " ".join(trigrams.of_id(user_id))) for key, user_id in users])


def rebuild(connection: sa.Connection) -> None:
    """Rebuilds the index from all users."""
    connection.exec_driver_sql(f"INSERT INTO {TABLE} ({TABLE}) VALUES ('delete-all')")
    found = connection.exec_driver_sql("SELECT user_key, user_id FROM user_status")
    while some := found.fetchmany(1_000):
        index(connection, [(row[0], row[1]) for row in some])


def forget(connection: sa.Connection, user_key: int, user_id: str) -> None:
    """Removes a user. Its entries stay in the segments until :func:`purge` has merged them."""
    sql = f"INSERT INTO {TABLE} ({TABLE}, rowid, runs) VALUES ('delete', ?, ?)"
    connection.exec_driver_sql(sql, (user_key, " ".join(trigrams.of_id(user_id))))


def purge(connection: sa.Connection, *, is_first: bool) -> bool:
    """Merges some pages of all segments into one, which drops what was removed; whether more are left.

    https://www.sqlite.org/fts5.html#the_merge_command
    """
    driver: Any = connection.connection.driver_connection
    before = driver.total_changes
    pages = -_PAGES if is_first else _PAGES
    connection.exec_driver_sql(f"INSERT INTO {TABLE} ({TABLE}, rank) VALUES ('merge', ?)", (pages,))
    return bool(driver.total_changes - before >= _MERGED)


def candidates(connection: sa.Connection, q: str, limit: int) -> list[int]:
    """Keys of users whose id may contain ``q``, in no order; all of them unless there are more than ``limit``."""
    is_prefix, wanted_runs = trigrams.of_part(q)
    wanted = " AND ".join(f'"{run}"' for run in wanted_runs) + (" *" if is_prefix else "")
    sql = f"SELECT rowid FROM {TABLE} WHERE {TABLE} MATCH ? LIMIT ?"
    return [row[0] for row in connection.exec_driver_sql(sql, (wanted, limit))]
