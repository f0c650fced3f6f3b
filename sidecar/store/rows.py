"""The result of a statement that is given to an engine's driver as it is."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

Values = tuple[Any, ...]


class Rows:
    """The part of SQLAlchemy's ``CursorResult`` that the store uses, over a cursor of the driver.

    Rows are tuples whose values also have the names of the columns (:func:`row_type`).
    """

    __slots__ = ("_cursor",)

    def __init__(self, cursor: Any) -> None:  # noqa: ANN401 - of either driver
        self._cursor = cursor

    @property
    def rowcount(self) -> int:
        """The number of changed rows."""
        count: int = self._cursor.rowcount
        return count

    def __iter__(self) -> Iterator[Values]:
        return iter(self._cursor)

    def all(self) -> list[Values]:
        """Every row."""
        rows: list[Values] = self._cursor.fetchall()
        return rows

    def fetchmany(self, size: int) -> list[Values]:
        """The next rows, at most ``size``."""
        rows: list[Values] = self._cursor.fetchmany(size)
        return rows

    def first(self) -> Values | None:
        """The first row, if any; the others are discarded."""
        row: Values | None = self._cursor.fetchone()
        self._cursor.close()  # an open one would keep SQLite's write-ahead log from being checkpointed
        return row

    def one(self) -> Values:
        """The only row. NoResultFound or MultipleResultsFound."""
        rows = self._two()
        if not rows:
            raise sa.exc.NoResultFound("No row was found when one was required")
        if len(rows) > 1:
            raise sa.exc.MultipleResultsFound("Multiple rows were found when exactly one was required")
        return rows[0]

    def one_or_none(self) -> Values | None:
        """The only row, if any. MultipleResultsFound."""
        rows = self._two()
        if len(rows) > 1:
            raise sa.exc.MultipleResultsFound("Multiple rows were found when one or none was required")
        return rows[0] if rows else None

    def _two(self) -> list[Values]:
        rows: list[Values] = self._cursor.fetchmany(2)
        self._cursor.close()
        return rows

    def scalar(self) -> Any:  # noqa: ANN401 - of any column
        """The first value of the first row, if any."""
        row = self.first()
        return None if row is None else row[0]

    def scalar_one(self) -> Any:  # noqa: ANN401 - of any column
        """The first value of the only row. NoResultFound or MultipleResultsFound."""
        return self.one()[0]


@lru_cache(maxsize=1_000)
def row_type(names: tuple[str, ...]) -> type[tuple[Any, ...]]:
    """The type of rows with these columns."""
    return namedtuple("Row", names, rename=True)  # noqa: PYI024 - its fields are known here


def tell_listeners(connection: sa.Connection, cursor: Any, statement: str, parameters: Any) -> None:  # noqa: ANN401 - of either driver
    """Calls SQLAlchemy's listeners for a statement that is about to be executed without SQLAlchemy."""
    is_many = type(parameters) is list
    for listener in connection.dispatch.before_cursor_execute:
        listener(connection, cursor, statement, parameters or (), None, is_many)
