"""Records every statement that this process executes on SQLite, and which line of Zimwatch executes it."""

from __future__ import annotations

import ast
import contextlib
import re
import sqlite3
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
import sqlalchemy as sa

ROOT: Final = Path(__file__).parents[2]
_PACKAGES: Final = ("sidecar", "dashboard")
_OURS: Final = tuple(f"{ROOT / package}/" for package in _PACKAGES)
# Passes on what others execute.
_THROUGH: Final = f"{ROOT / 'sidecar/store/sqlite/direct.py'}"
_CALLS: Final = {"execute", "executemany", "exec_driver_sql"}
_EXECUTES: Final = re.compile("|".join(rf"\.{call}\(" for call in _CALLS))


class Statement(NamedTuple):
    """SQL with the types of its values, as Python has them; ``names`` where they are named."""

    sql: str
    types: tuple[type, ...]
    names: tuple[str, ...] = ()


class Site(NamedTuple):
    """Lines that execute a statement; ``path`` is relative to the repository."""

    path: str
    first: int
    last: int


def sites() -> set[Site]:
    """Every call of Zimwatch that executes a statement."""
    return {
        Site(str(path.relative_to(ROOT)), node.lineno, node.end_lineno or node.lineno)
        for package in _PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if _EXECUTES.search(source := path.read_text())
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _CALLS
    }


class Recorded:
    """Statements, each with the paths that executed it, and the lines from which any was executed."""

    def __init__(self) -> None:
        self.paths: dict[Statement, set[str]] = {}
        self.lines: set[tuple[str, int]] = set()

    def has(self, site: Site) -> bool:
        return any((site.path, line) in self.lines for line in range(site.first, site.last + 1))

    def note(self, sql: str, rows: Sequence[Any], booleans: Collection[int] = ()) -> None:
        frame = sys._getframe(2)
        while not (name := frame.f_code.co_filename).startswith(_OURS) or name == _THROUGH:
            if frame.f_back is None:
                return
            frame = frame.f_back
        path = frame.f_code.co_filename.removeprefix(f"{ROOT}/")
        self.lines.add((path, frame.f_lineno))
        names = tuple(rows[0]) if rows and isinstance(rows[0], Mapping) else ()
        values = [tuple(row.values()) if isinstance(row, Mapping) else tuple(row) for row in rows]
        # Of many rows the first value that is not None.
        types = tuple(
            bool if place in booleans else next((type(value) for value in column if value is not None), type(None))
            for place, column in enumerate(zip(*values, strict=True))
        )
        self.paths.setdefault(Statement(sql, types, names), set()).add(path)


@contextlib.contextmanager
def recording() -> Iterator[Recorded]:
    """What is executed on connections that are opened within the context."""
    recorded = Recorded()

    class Cursor(sqlite3.Cursor):
        booleans: Collection[int] = ()

        def execute(self, sql: str, values: Any = ()) -> Any:
            recorded.note(sql, [values], self.booleans)
            return super().execute(sql, values)

        def executemany(self, sql: str, rows: Iterable[Any]) -> Any:
            rows = list(rows)
            recorded.note(sql, rows, self.booleans)
            return super().executemany(sql, rows)

    class Connection(sqlite3.Connection):
        def cursor(self, factory: Any = Cursor) -> Any:
            return super().cursor(factory)

        def execute(self, sql: str, values: Any = ()) -> sqlite3.Cursor:
            recorded.note(sql, [values])
            return super().execute(sql, values)

        def executemany(self, sql: str, rows: Iterable[Any]) -> sqlite3.Cursor:
            rows = list(rows)
            recorded.note(sql, rows)
            return super().executemany(sql, rows)

    def of_expressions(_c: Any, cursor: Any, _sql: str, _values: Any, context: Any, _many: Any) -> None:
        # For SQLite, SQLAlchemy makes numbers of truth values; for other engines it does not.
        cursor.booleans = _booleans(context and context.compiled)

    connect = sqlite3.connect
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite3, "connect", lambda *args, **kwargs: connect(*args, **{"factory": Connection, **kwargs}))
        sa.event.listen(sa.Engine, "before_cursor_execute", of_expressions)
        try:
            yield recorded
        finally:
            sa.event.remove(sa.Engine, "before_cursor_execute", of_expressions)


def _booleans(compiled: Any) -> Collection[int]:
    """The places of those values of a statement of SQLAlchemy's own that are truth values."""
    names = getattr(compiled, "positiontup", None) or ()
    return {place for place, name in enumerate(names) if isinstance(compiled.binds[name].type, sa.Boolean)}
