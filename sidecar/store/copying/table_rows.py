"""Reads the rows of a table in the order of its key, on any engine, in bounded memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec
import sqlalchemy as sa

from sidecar.store import copy_marks, schema
from sidecar.store.database import Database
from sidecar.store.rows import Values

CHUNK: Final = 2_000
"""Rows that are read, compared and committed at once."""
# Engines differ in where they sort text with these: see the escapes of PostgreSQL's driver.
_ODD: Final = ("\0", "\x1a")
_encode: Final = msgspec.msgpack.Encoder().encode


class Shape:
    """A table's columns and its key, and the statements over them. Flags are read as 0 and 1 on each engine."""

    def __init__(self, table: sa.Table) -> None:
        self.table = table
        columns = list(table.columns)
        keys = [columns.index(column) for column in table.primary_key.columns]
        self._key_at = keys
        self._flags = {column.name for column in columns if isinstance(column.type, sa.Boolean)}
        self._flag_keys = [columns[at].name in self._flags for at in keys]
        self._text_keys = [place for place, at in enumerate(keys) if isinstance(columns[at].type, sa.Text)]
        names = [columns[at].name for at in keys]
        self._names, marks = ", ".join(names), ", ".join("?" * len(names))
        read = ", ".join(f"CAST({one.name} AS INTEGER)" if one.name in self._flags else one.name for one in columns)
        # The marks of a copy are of one database alone.
        own = f"name NOT IN {copy_marks.NAMES}" if table is schema.keys else "TRUE"
        self.first = f"SELECT {read} FROM {table.name} WHERE {own} ORDER BY {self._names} LIMIT {CHUNK}"
        self.next = (
            f"SELECT {read} FROM {table.name} WHERE ({self._names}) > ({marks}) AND {own}"
            f" ORDER BY {self._names} LIMIT {CHUNK}"
        )
        self.delete = f"DELETE FROM {table.name} WHERE {' AND '.join(f'{name} = ?' for name in names)}"

    def key(self, row: Values) -> Values:
        """The key of a row, which Python compares as the engines do unless it :meth:`is_odd`."""
        return tuple([row[at] for at in self._key_at])

    def bound(self, key: Values) -> Values:
        """A key as a value of a statement."""
        return tuple([bool(one) if flag else one for one, flag in zip(key, self._flag_keys, strict=True)])

    def is_odd(self, row: Values) -> bool:
        """Whether engines differ in where they sort the row."""
        key = self.key(row)
        return any(character in key[at] for at in self._text_keys for character in _ODD)

    def split(self, rows: list[Values]) -> tuple[list[Values], bool]:
        """The rows that are not odd, and whether there are odd ones."""
        if not self._text_keys:
            return rows, False
        plain = [row for row in rows if not self.is_odd(row)]
        return plain, len(plain) < len(rows)

    def chunks(self, database: Database, after: Values | None = None) -> Iterator[list[Values]]:
        """All rows behind a key, each chunk as of another moment."""
        while True:
            sql, values = (self.first, ()) if after is None else (self.next, self.bound(after))
            with database.reading() as connection:
                rows = database.whole_rows(connection, sql, values)
            if rows:
                yield rows
                after = self.key(rows[-1])
            if len(rows) < CHUNK:
                return


class Checksum:
    """The number of rows and a checksum, which is the same on each engine: SHA-256 of the rows as MessagePack."""

    def __init__(self) -> None:
        self.rows = 0
        self._hash = hashlib.sha256()

    def add(self, rows: Sequence[Values]) -> None:
        """The next rows."""
        self.rows += len(rows)
        self._hash.update(b"".join(map(_encode, rows)))

    def __str__(self) -> str:
        return self._hash.hexdigest()


def unordered(rows: Iterable[Values]) -> tuple[int, int]:
    """The number of rows, and a checksum of rows in any order: the sum of their hashes."""
    count = total = 0
    for row in rows:
        count += 1
        total += int.from_bytes(hashlib.sha256(_encode(row)).digest(), "big")
    return count, total


class Cursor:
    """The rows of a table that are not odd, from the least key on.

    ``rows`` are those that were read, and not passed yet. ``passed`` is the key of the last one passed, and
    ``checksum`` is of all of these.
    """

    def __init__(self, database: Database, shape: Shape) -> None:
        self._database = database
        self._shape = shape
        self.passed: Values | None = None
        self.rows: list[Values] = []
        self.checksum = Checksum()
        self.has_odd = False
        self.read_again()

    def read_again(self) -> None:
        """Reads what was not passed as it is now."""
        self._chunks = self._shape.chunks(self._database, self.passed)
        self.rows = []
        self.is_at_end = False

    def fill(self) -> bool:
        """Reads on where nothing is left; whether there is a row."""
        while not self.rows and not self.is_at_end:
            rows = next(self._chunks, None)
            if rows is None:
                self.is_at_end = True
            else:
                self.rows, has_odd = self._shape.split(rows)
                self.has_odd |= has_odd
                self.is_at_end = len(rows) < CHUNK
        return bool(self.rows)

    def pass_by(self, count: int) -> None:
        """Passes the first of :attr:`rows`."""
        passed, self.rows = self.rows[:count], self.rows[count:]
        self.checksum.add(passed)
        self.passed = self._shape.key(passed[-1]) if passed else self.passed


def odd_rows(database: Database, shape: Shape) -> Iterator[list[Values]]:
    """The odd rows, chunk by chunk."""
    for rows in shape.chunks(database):
        if found := [row for row in rows if shape.is_odd(row)]:
            yield found
