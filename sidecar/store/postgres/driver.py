"""psycopg as the store's statements need it: their placeholders, and their values as on every engine.

Statements have ``?`` for each value, and are given to psycopg directly. What SQLAlchemy compiles takes its usual way.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, cast

import psycopg
import sqlalchemy as sa
from psycopg.abc import AdaptContext, Buffer
from psycopg.adapt import AdaptersMap, Dumper, Loader
from psycopg.types.numeric import Int8Dumper

from sidecar.store import mapping
from sidecar.store.rows import Rows, Values, row_type, tell_listeners

_PLACE: Final = re.compile(r"'[^']*'|\?")
_NAME: Final = re.compile(r"'[^']*'|::\w+|:(?P<name>\w+)")
# PostgreSQL's text cannot contain U+0000, and events may: it is stored as two characters that stand for nothing else.
_NUL, _ESCAPE, _ESCAPED_NUL, _ESCAPED_ESCAPE = "\0", "\x1a", "\x1a0", "\x1a1"
_ESCAPE_BYTE: Final = b"\x1a"
# Rows of a walk: a page has 50, and a search may pass over many.
_FETCHED_FIRST: Final = 64
_FETCHED_MOST: Final = 4_096
_AT_ONCE: Final = 100
ANSWER_S: Final = 10.0
"""For small statements."""
# So often psycopg looks for signals while it waits: its own default.
_INTERVAL_S: Final = 0.1
_TEXT: Final = psycopg.adapters.types["text"].oid
_walks: Final = itertools.count(1)


@lru_cache(maxsize=2_000)
def numbered(sql: str) -> str:
    """The statement with ``$1`` for its first value, and so on."""
    number = itertools.count(1)
    return _PLACE.sub(lambda found: f"${next(number)}" if found[0] == "?" else found[0], sql)


@lru_cache(maxsize=2_000)
def _named_places(sql: str) -> tuple[str, Callable[[Mapping[str, Any]], Values]]:
    """The statement with ``$1`` for the first of its named values, and so on; gives these in their order."""
    places: dict[str, int] = {}

    def place(found: re.Match[str]) -> str:
        name = found["name"]
        return found[0] if name is None else f"${places.setdefault(name, len(places) + 1)}"

    translated = _NAME.sub(place, sql)
    return translated, lambda values: tuple(values[name] for name in places)


def _translated(sql: str, values: Any) -> tuple[str, Any]:  # noqa: ANN401 - as the store gives them
    """The statement and its values for psycopg; a list has the values of each execution."""
    rows = values if type(values) is list else [values]
    if not (rows and isinstance(rows[0], Mapping)):
        return numbered(sql), values or None
    translated, in_order = _named_places(sql)
    ordered = [in_order(row) for row in rows]
    return translated, ordered if type(values) is list else ordered[0]


def stored(text: str) -> bytes:
    """The bytes of a text in the database, which has no U+0000."""
    if _NUL in text or _ESCAPE in text:
        text = text.replace(_ESCAPE, _ESCAPED_ESCAPE).replace(_NUL, _ESCAPED_NUL)
    return text.encode()


def _restored(text: str) -> str:
    """The inverse of :func:`stored`, of decoded text."""
    return text.replace(_ESCAPED_NUL, _NUL).replace(_ESCAPED_ESCAPE, _ESCAPE)


class _TextDumper(Dumper):
    """Sends text without a type, which the server infers."""

    oid = 0

    def dump(self, obj: str) -> Buffer:
        return stored(obj)


class _TextLoader(Loader):
    def load(self, data: Buffer) -> str:
        raw = bytes(data)
        return _restored(raw.decode()) if _ESCAPE_BYTE in raw else raw.decode()


class _NumberLoader(Loader):
    """A sum of large integers is an integer, as elsewhere, and no decimal."""

    def load(self, data: Buffer) -> int | float:
        text = bytes(data).decode()
        return float(text) if "." in text or "N" in text else int(text)


def _adapters() -> AdaptersMap:
    adapters = AdaptersMap(psycopg.adapters)
    adapters.register_dumper(str, _TextDumper)
    # One type for every size, or each size of a value would be another prepared statement.
    adapters.register_dumper(int, Int8Dumper)
    adapters.register_loader("text", _TextLoader)
    adapters.register_loader("numeric", _NumberLoader)
    return adapters


ADAPTERS: Final = _adapters()


class _Context:
    """Gives a new connection our adapters."""

    adapters = ADAPTERS
    connection = None


CONTEXT: Final = cast("AdaptContext", _Context())


class DriverConnection(psycopg.Connection[Values]):
    """:meth:`execute` takes the store's statements; SQLAlchemy uses cursors.

    ``answers_within_s``: a server that has not answered a statement for so long is given up, with the connection.
    """

    answers_within_s: float | None = ANSWER_S

    def execute(self, query: Any, params: Any = None, **_options: Any) -> psycopg.RawCursor[Values]:  # noqa: ANN401 - psycopg's own
        """The cursor of the executed statement."""
        cursor = psycopg.RawCursor(self)
        cursor.execute(*_translated(query, params))
        return cursor

    def wait(self, gen: Any, interval: float = _INTERVAL_S, timeout: float | None = None) -> Any:  # noqa: ANN401 - psycopg's own
        """psycopg's, with a limit. The server's own limits do not help where its answer does not arrive."""
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, self.answers_within_s)
        except psycopg.OperationalError as error:
            if self.pgconn.transaction_status != psycopg.pq.TransactionStatus.ACTIVE:
                raise
            self.close()
            raise psycopg.OperationalError(f"the server has not answered for {self.answers_within_s:g} s") from error


class PostgresConnection(sa.Connection):
    """Like ``engine.connect()``, with an :meth:`exec_driver_sql` that takes the store's statements."""

    def exec_driver_sql(
        self,
        statement: str,
        parameters: Any = None,  # noqa: ANN401 - SQLAlchemy's own
        execution_options: Mapping[str, Any] | None = None,  # noqa: ARG002 - none has a meaning here
    ) -> sa.CursorResult[Any]:
        """Executes the statement, once for each tuple of a list. The result is a :class:`Rows`."""
        driver = cast("DriverConnection", self.connection.driver_connection)
        cursor = psycopg.RawCursor(driver, row_factory=_named)
        if self.dispatch.before_cursor_execute:
            tell_listeners(self, cursor, statement, parameters)
        try:
            sql, values = _translated(statement, parameters)
            if type(parameters) is list:
                cursor.executemany(sql, values or ())
            else:
                cursor.execute(sql, values)
        except psycopg.Error as error:
            self._handle_dbapi_exception(error, statement, parameters, cast("Any", cursor), None)
        return cast("sa.CursorResult[Any]", Rows(cursor))


def walk(connection: sa.Connection, sql: str, values: Sequence[Any], most: int | None = None) -> Iterator[Values]:
    """The rows of a statement by a cursor of the server, which ends with the transaction.

    The driver would get all rows of a plain statement before the first one is consumed. Where ``most`` are few it gets
    them so, prepared and in one round trip, which takes a third of the time.
    """
    driver = cast("DriverConnection", connection.connection.driver_connection)
    if most is not None and most <= _AT_ONCE:
        yield from psycopg.RawCursor(driver).execute(f"{numbered(sql)} LIMIT {most}".encode(), values)
        return
    name = f"walk_{next(_walks)}"
    cursor = psycopg.RawCursor(driver)
    # Not prepared, since no other statement has this name.
    cursor.execute(f"DECLARE {name} NO SCROLL CURSOR FOR {numbered(sql)}".encode(), values, prepare=False)
    size = _FETCHED_FIRST
    while rows := cursor.execute(f"FETCH {size} FROM {name}".encode(), prepare=False).fetchall():
        yield from rows
        size = min(2 * size, _FETCHED_MOST)


def whole_rows(connection: sa.Connection, sql: str, values: Sequence[Any]) -> list[Values]:
    """All rows of a statement, in the binary format: a quarter of the CPU that :func:`walk` takes."""
    driver = cast("DriverConnection", connection.connection.driver_connection)
    cursor = psycopg.RawCursor(driver)
    try:
        cursor.execute(numbered(sql).encode(), values, binary=True)
        rows: list[Values] = cursor.fetchall()
    except psycopg.Error as error:
        connection._handle_dbapi_exception(error, sql, None, cast("Any", cursor), None)  # noqa: SLF001 - as SQLAlchemy
    texts = [at for at, column in enumerate(cursor.description or ()) if column.type_code == _TEXT]
    for at in texts:
        if _ESCAPE in "".join([row[at] or "" for row in rows]):
            rows = [(*row[:at], row[at] and _restored(row[at]), *row[at + 1 :]) for row in rows]
    return rows


def copy_rows(connection: sa.Connection, table: sa.Table, rows: Iterable[Values]) -> None:
    """Inserts whole rows by COPY, which costs the server a fraction of an INSERT for each."""
    driver = cast("DriverConnection", connection.connection.driver_connection)
    sql = f"COPY {table.name} ({mapping.columns(table)}) FROM STDIN"
    try:
        with driver.cursor() as cursor, cursor.copy(sql.encode()) as copy:
            for row in rows:
                copy.write_row(row)
    except psycopg.Error as error:
        raise sa.exc.DBAPIError.instance(
            sql, None, error, psycopg.Error, dialect=connection.dialect, hide_parameters=True
        ) from error


def _named(cursor: psycopg.Cursor[Any]) -> Callable[[Sequence[Any]], Values]:
    description = cursor.description
    if description is None:
        return tuple
    make = row_type(tuple(column.name for column in description))
    return lambda values: tuple.__new__(make, values)
