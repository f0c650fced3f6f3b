"""Statements given to SQLite's driver as they are, without what SQLAlchemy does for each.

It costs 4 µs for a write and 12 µs for a read, more than most of these statements themselves: a commit of one event has
13, and takes a fifth less CPU without it. Errors and listeners are as SQLAlchemy has them.
"""

from __future__ import annotations

import sqlite3
from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, cast

import sqlalchemy as sa

Values = tuple[Any, ...]


class Rows:
    """The result of a statement: the part of SQLAlchemy's ``CursorResult`` that the store uses.

    Rows are tuples whose values also have the names of the columns.
    """

    __slots__ = ("_cursor",)

    def __init__(self, cursor: sqlite3.Cursor) -> None:
        if cursor.description is not None:
            cursor.row_factory = _naming(tuple(column[0] for column in cursor.description))
        self._cursor = cursor

    @property
    def rowcount(self) -> int:
        """The number of changed rows."""
        return self._cursor.rowcount

    def __iter__(self) -> Iterator[Values]:
        return self._cursor

    def all(self) -> list[Values]:
        """Every row."""
        return self._cursor.fetchall()

    def fetchmany(self, size: int) -> list[Values]:
        """The next rows, at most ``size``."""
        return self._cursor.fetchmany(size)

    def first(self) -> Values | None:
        """The first row, if any; the others are discarded."""
        row: Values | None = self._cursor.fetchone()
        self._cursor.close()  # an open one would keep the write-ahead log from being checkpointed
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
def _naming(names: tuple[str, ...]) -> Callable[[sqlite3.Cursor, Values], Values]:
    """Makes the rows with these columns."""
    row_type = namedtuple("Row", names, rename=True)  # type: ignore[misc] # noqa: PYI024 - its fields are known here
    return lambda _cursor, row: tuple.__new__(row_type, row)


class DirectConnection(sa.Connection):
    """Like ``engine.connect()``, with a direct :meth:`exec_driver_sql` once its transaction has begun."""

    def exec_driver_sql(
        self,
        statement: str,
        parameters: Any = None,  # noqa: ANN401 - SQLAlchemy's own
        execution_options: Mapping[str, Any] | None = None,
    ) -> sa.CursorResult[Any]:
        """Executes the statement, once for each tuple of a list. The result is a :class:`Rows`."""
        is_many = type(parameters) is list
        is_plain = parameters is None or type(parameters) is tuple or (is_many and parameters)
        if execution_options or not is_plain or not self.in_transaction():
            return super().exec_driver_sql(statement, parameters, execution_options)
        driver: Any = self.connection.driver_connection
        cursor: sqlite3.Cursor = driver.cursor()
        if self.dispatch.before_cursor_execute:
            self._tell_listeners(cursor, statement, parameters or (), is_many=is_many)
        try:
            if is_many:
                cursor.executemany(statement, parameters)
            else:
                cursor.execute(statement, parameters or ())
        except sqlite3.Error as error:
            cursor.close()
            raise self._as_sqlalchemy_has_it(error, statement, parameters) from error
        return cast("sa.CursorResult[Any]", Rows(cursor))

    def _tell_listeners(
        self, cursor: sqlite3.Cursor, statement: str, parameters: Sequence[Any], *, is_many: bool
    ) -> None:
        for listener in self.dispatch.before_cursor_execute:
            listener(self, cursor, statement, parameters, None, is_many)

    def _as_sqlalchemy_has_it(self, error: sqlite3.Error, statement: str, parameters: Any) -> BaseException:  # noqa: ANN401 - same
        return sa.exc.DBAPIError.instance(
            statement,
            parameters,
            error,
            sqlite3.Error,
            hide_parameters=self.engine.hide_parameters,
            dialect=self.dialect,
        )
