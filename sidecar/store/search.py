"""Finds users by any part of their id, also by one or two characters.

An FTS5 index without content holds each id as its runs of three characters, padded at the end, so that every part of an
id is the beginning of some run. A character is six hexadecimal digits, and A to Z are a to z, as in LIKE. What the
index finds is checked against the id itself: it says which users to look at, and not more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa

TABLE: Final = "user_search"
_RUN: Final = 3
_TELLING: Final = 3
_LOWER: Final = {ord(upper): ord(upper.lower()) for upper in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}


def folded(text: str) -> str:
    """With a to z for A to Z, and all else as it is."""
    return text.translate(_LOWER)


def index(connection: sa.Connection, users: Sequence[tuple[int, str]]) -> None:
    """Adds users by key and id."""
    if users:
        sql = f"INSERT INTO {TABLE} (rowid, runs) VALUES (?, ?)"
        connection.exec_driver_sql(sql, [(key, " ".join(_runs(user_id))) for key, user_id in users])


def anew(connection: sa.Connection) -> None:
    """Indexes all users that there are, and nobody else."""
    connection.exec_driver_sql(f"INSERT INTO {TABLE} ({TABLE}) VALUES ('delete-all')")
    found = connection.exec_driver_sql("SELECT user_key, user_id FROM user_status")
    while some := found.fetchmany(1_000):
        index(connection, [(row[0], row[1]) for row in some])


def is_short(q: str) -> bool:
    """Whether the index has no word as short as this, and must put together all that begin with it."""
    return len(q) < _RUN


def candidates(connection: sa.Connection, q: str, limit: int) -> list[int]:
    """Keys of users whose id may have ``q`` in it: ``limit`` at most, and all there are where it is fewer."""
    text = folded(q)
    if is_short(text):
        wanted = f'"{_hex(text)}" *'
    else:
        runs = [text[start : start + _RUN] for start in range(len(text) - _RUN + 1)]
        wanted = " AND ".join(f'"{_hex(run)}"' for run in _telling(runs))
    sql = f"SELECT rowid FROM {TABLE} WHERE {TABLE} MATCH ? LIMIT ?"
    return [row[0] for row in connection.exec_driver_sql(sql, (wanted, limit))]


def _telling(runs: list[str]) -> list[str]:
    """The runs that are likely to be rarest, the first two apart if they can be: with a character in common at most.

    Ids differ in their digits, and towards their end. Each run more takes the index as long again, and each id that it
    names in vain costs a look at a user: two runs name five times as many as have the part, three hardly more than do.
    Wholly apart they would be worse: the second would be more letters, which all ids have, than digits.
    """
    ranked = sorted(range(len(runs)), key=lambda at: (sum(map(str.isdigit, runs[at])), at), reverse=True)
    apart = [at for at in ranked if abs(at - ranked[0]) >= _RUN - 1]
    chosen = dict.fromkeys((ranked[0], *apart[:1], *ranked))
    return [runs[at] for at in list(chosen)[:_TELLING]]


def _runs(user_id: str) -> set[str]:
    padded = folded(user_id) + "\0" * (_RUN - 1)
    return {_hex(padded[start : start + _RUN]) for start in range(len(user_id))}


def _hex(text: str) -> str:
    return "".join(f"{ord(character):06x}" for character in text)
