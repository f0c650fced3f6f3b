"""Makes one table equal to that of another database, by ranges of its key.

Both are read in the order of the key, and a range that differs is written again, in one transaction. So every run is a
catch-up, and continues what a ``kill -9`` cut off: there is no state besides the rows. What was written is read again
and compared before the next range.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Final

import msgspec
import sqlalchemy as sa

from sidecar.errors import DatabaseRefusedError
from sidecar.store import schema
from sidecar.store.copying.table_rows import Cursor, Shape, odd_rows, unordered
from sidecar.store.database import Database
from sidecar.store.rows import Values

# Of one range: it is written, and once more after rows with the same unique values have left the rest of the table.
_MOST_WRITES: Final = 3


class Copied(msgspec.Struct, frozen=True):
    """A table that is equal in both databases now, unless the source has changed meanwhile.

    ``checksum`` is of its rows, and the same on each engine; ``written`` is how many had to be written or deleted.
    """

    table: str
    rows: int
    checksum: str
    written: int


class TableCopy:
    """Copies one table.

    ``begin`` gives the transactions that write to the target. ``compared`` is called with each number of rows that are
    equal.
    """

    def __init__(
        self,
        table: sa.Table,
        source: Database,
        target: Database,
        begin: Callable[[], AbstractContextManager[sa.Connection]],
        compared: Callable[[int], None],
    ) -> None:
        self._table = table
        self._shape = Shape(table)
        self._source = source
        self._target = target
        self._begin = begin
        self._compared = compared
        self._written = 0

    def run(self) -> Copied:
        """DatabaseRefusedError where the target cannot take a row, or does not keep it as it was given.

        IntegrityError where the rows that were read contradict one another, as those of two moments may.
        """
        given, kept = Cursor(self._source, self._shape), Cursor(self._target, self._shape)
        writes = 0
        while given.fill() | kept.fill():
            wanted, there = self._next_range(given, kept)
            if wanted == there:
                given.pass_by(len(wanted))
                kept.pass_by(len(there))
                self._compared(len(wanted))
                writes = 0
                continue
            writes += 1
            if writes > _MOST_WRITES:
                raise self._not_kept()
            try:
                self._write(wanted, there)
            except sa.exc.IntegrityError:
                if writes == _MOST_WRITES:
                    raise
                # A row behind this range has a value that must be unique. It is copied again.
                self._delete_behind(kept.passed)
            kept.read_again()
        odd, odd_sum = self._copy_odd_rows() if given.has_odd or kept.has_odd else (0, 0)
        if str(given.checksum) != str(kept.checksum):  # 1 and 1.0 are equal, but not the same
            raise self._not_kept()
        checksum = f"{given.checksum}+{odd_sum:x}" if odd else str(given.checksum)
        return Copied(self._table.name, given.checksum.rows + odd, checksum, self._written)

    def _next_range(self, given: Cursor, kept: Cursor) -> tuple[list[Values], list[Values]]:
        """The rows of both up to the last key of which both are known."""
        key = self._shape.key
        ends = [key(one.rows[-1]) for one in (given, kept) if not one.is_at_end]
        if not ends:
            return given.rows, kept.rows
        first, second = (one.rows[: bisect.bisect_right(one.rows, min(ends), key=key)] for one in (given, kept))
        return first, second

    def _write(self, wanted: Sequence[Values], there: Sequence[Values]) -> None:
        """Replaces the rows of a range."""
        key = self._shape.key
        new = {key(row): row for row in wanted}
        old = {key(row): row for row in there}
        self._commit(
            [row for at, row in old.items() if new.get(at) != row],
            [row for at, row in new.items() if old.get(at) != row],
        )

    def _delete_behind(self, passed: Values | None) -> None:
        for rows in self._shape.chunks(self._target, passed):
            self._commit([row for row in rows if not self._shape.is_odd(row)], [])

    def _commit(self, deleted: Sequence[Values], inserted: Sequence[Values]) -> None:
        try:
            with self._begin() as connection:
                if deleted:
                    keys = [self._shape.bound(self._shape.key(row)) for row in deleted]
                    connection.exec_driver_sql(self._shape.delete, keys)
                if inserted:
                    self._target.insert_rows(connection, self._table, inserted)
                if self._table is schema.user_status:
                    self._index(connection, deleted, inserted)
        except sa.exc.IntegrityError:
            raise
        except sa.exc.DBAPIError as error:
            if self._target.care.is_to_blame(error):
                raise
            raise DatabaseRefusedError(
                f"{self._target.name} cannot take rows of {self._table.name}: {' '.join(str(error.orig).split())}"
            ) from error
        self._written += max(len(deleted), len(inserted))
        self._target.care.tend()

    def _index(self, connection: sa.Connection, deleted: Sequence[Values], inserted: Sequence[Values]) -> None:
        """Keeps the index of ids, which each engine has in tables of its own."""
        before, after = ({_named(row) for row in rows} for rows in (deleted, inserted))
        for user_key, user_id in before - after:
            self._target.forget_id(connection, user_key, user_id)
        self._target.index_ids(connection, sorted(after - before))

    def _copy_odd_rows(self) -> tuple[int, int]:
        """Copies the rows that engines sort each in its own way, all of them where one differs."""
        given, kept = self._odd(self._source), self._odd(self._target)
        if given != kept:
            for rows in odd_rows(self._target, self._shape):
                self._commit(rows, [])
            given, kept = unordered(self._inserting_odd_rows()), self._odd(self._target)
            if given != kept:
                raise self._not_kept()
        return kept

    def _inserting_odd_rows(self) -> Iterator[Values]:
        for rows in odd_rows(self._source, self._shape):
            self._commit([], rows)
            yield from rows

    def _odd(self, database: Database) -> tuple[int, int]:
        return unordered(row for rows in odd_rows(database, self._shape) for row in rows)

    def _not_kept(self) -> DatabaseRefusedError:
        return DatabaseRefusedError(
            f"{self._target.name} has other rows of {self._table.name} than it was given; is somebody writing to it?"
        )


_KEY, _ID = (list(schema.user_status.columns).index(schema.user_status.c[name]) for name in ("user_key", "user_id"))


def _named(row: Values) -> tuple[int, str]:
    return row[_KEY], row[_ID]
