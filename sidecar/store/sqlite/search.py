"""Finds users by any part of their id, also by one or two characters.

A contentless FTS5 index holds each id as its trigrams, padded at the end, so that every part of an id is a prefix of
some trigram. A character is six hexadecimal digits, and A to Z are a to z, as in LIKE. The index gives candidates: the
caller checks each against the id itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa

from sidecar.store.database import SHORT_PART, folded

TABLE: Final = "user_search"
_RUN: Final = SHORT_PART
_MOST_RUNS: Final = 3
# How many pages of 4 KB a slice merges; and how many changes it then counts at least.
_PAGES: Final = 200
_MERGED: Final = 2


def index(connection: sa.Connection, users: Sequence[tuple[int, str]]) -> None:
    """Adds users by key and id."""
    if users:
        sql = f"INSERT INTO {TABLE} (rowid, runs) VALUES (?, ?)"
        connection.exec_driver_sql(sql, [(key, " ".join(_runs(user_id))) for key, user_id in users])


def rebuild(connection: sa.Connection) -> None:
    """Rebuilds the index from all users."""
    connection.exec_driver_sql(f"INSERT INTO {TABLE} ({TABLE}) VALUES ('delete-all')")
    found = connection.exec_driver_sql("SELECT user_key, user_id FROM user_status")
    while some := found.fetchmany(1_000):
        index(connection, [(row[0], row[1]) for row in some])


def forget(connection: sa.Connection, user_key: int, user_id: str) -> None:
    """Removes a user. Its entries stay in the segments until :func:`purge` has merged them."""
    sql = f"INSERT INTO {TABLE} ({TABLE}, rowid, runs) VALUES ('delete', ?, ?)"
    connection.exec_driver_sql(sql, (user_key, " ".join(_runs(user_id))))


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
    text = folded(q)
    if len(text) < _RUN:
        wanted = f'"{_hex(text)}" *'
    else:
        runs = [text[start : start + _RUN] for start in range(len(text) - _RUN + 1)]
        wanted = " AND ".join(f'"{_hex(run)}"' for run in _rarest(runs))
    sql = f"SELECT rowid FROM {TABLE} WHERE {TABLE} MATCH ? LIMIT ?"
    return [row[0] for row in connection.exec_driver_sql(sql, (wanted, limit))]


def _rarest(runs: list[str]) -> list[str]:
    """The trigrams that are likely to be rarest; the first two share at most one character, if possible.

    Ids differ in their digits, and towards their end. Each trigram costs one more pass over the index, and each false
    candidate a read of a user: with two trigrams there are five times as many candidates as matches, with three hardly
    more than matches. Two that share no character were worse: the second had more letters, which all ids have.
    """
    ranked = sorted(range(len(runs)), key=lambda at: (sum(map(str.isdigit, runs[at])), at), reverse=True)
    apart = [at for at in ranked if abs(at - ranked[0]) >= _RUN - 1]
    chosen = dict.fromkeys((ranked[0], *apart[:1], *ranked))
    return [runs[at] for at in list(chosen)[:_MOST_RUNS]]


def _runs(user_id: str) -> set[str]:
    padded = folded(user_id) + "\0" * (_RUN - 1)
    return {_hex(padded[start : start + _RUN]) for start in range(len(user_id))}


def _hex(text: str) -> str:
    return "".join(f"{ord(character):06x}" for character in text)
