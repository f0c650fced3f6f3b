"""Statements given to the driver as they are answer and fail as SQLAlchemy's do."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from sidecar.store.rows import Rows
from sidecar.store.sqlite import connections
from sidecar.store.sqlite.direct import DirectConnection
from tests.support.counted import statements

ROOT = Path(__file__).parents[2]
USES: dict[str, Callable[[sa.Connection], Any]] = {
    "all": lambda c: c.exec_driver_sql("SELECT a, b FROM pairs ORDER BY a").all(),
    "iterate": lambda c: list(c.exec_driver_sql("SELECT b, a FROM pairs ORDER BY a")),
    "by name": lambda c: [(row.b, row.a) for row in c.exec_driver_sql("SELECT p.a, b FROM pairs p ORDER BY a")],
    "some without a name": lambda c: c.exec_driver_sql("SELECT COUNT(*), MAX(a) AS most, 1 AS most FROM pairs").all(),
    "fetchmany": lambda c: c.exec_driver_sql("SELECT a FROM pairs ORDER BY a").fetchmany(2),
    "first": lambda c: c.exec_driver_sql("SELECT a, b FROM pairs WHERE a > ? ORDER BY a", (1,)).first(),
    "first of none": lambda c: c.exec_driver_sql("SELECT a FROM pairs WHERE a > 9").first(),
    "one": lambda c: c.exec_driver_sql("SELECT a, b FROM pairs WHERE a = 2").one(),
    "one of none": lambda c: c.exec_driver_sql("SELECT a FROM pairs WHERE a > 9").one(),
    "one of many": lambda c: c.exec_driver_sql("SELECT a FROM pairs").one(),
    "one or none": lambda c: c.exec_driver_sql("SELECT a, b FROM pairs WHERE a = 2").one_or_none(),
    "one or none of none": lambda c: c.exec_driver_sql("SELECT a FROM pairs WHERE a > 9").one_or_none(),
    "one or none of many": lambda c: c.exec_driver_sql("SELECT a FROM pairs").one_or_none(),
    "scalar": lambda c: c.exec_driver_sql("SELECT b FROM pairs WHERE a = 3").scalar(),
    "scalar of none": lambda c: c.exec_driver_sql("SELECT b FROM pairs WHERE a > 9").scalar(),
    "scalar_one": lambda c: c.exec_driver_sql("SELECT COUNT(*) FROM pairs").scalar_one(),
    "scalar_one of none": lambda c: c.exec_driver_sql("SELECT b FROM pairs WHERE a > 9").scalar_one(),
    "insert": lambda c: c.exec_driver_sql("INSERT INTO pairs (a, b) VALUES (?, ?)", (4, "dave")).rowcount,
    "insert many": lambda c: c.exec_driver_sql("INSERT INTO pairs (a, b) VALUES (?, 'x')", [(5,), (6,)]).rowcount,
    "update": lambda c: c.exec_driver_sql("UPDATE pairs SET b = 'y'").rowcount,
    "delete by name": lambda c: c.exec_driver_sql("DELETE FROM pairs WHERE a = :a", {"a": 1}).rowcount,
    "the same key again": lambda c: c.exec_driver_sql("INSERT INTO pairs (a, b) VALUES (1, 'z')"),
    "no such table": lambda c: c.exec_driver_sql("SELECT 1 FROM nothing"),
    "too few values": lambda c: c.exec_driver_sql("SELECT ?, ?", (1,)),
    "a type that is none of SQL's": lambda c: c.exec_driver_sql("SELECT ?", (object(),)),
    "a number that is too large": lambda c: c.exec_driver_sql("SELECT ?", (1 << 70,)),
}


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    path = tmp_path / "pairs.db"
    path.touch()
    engine = connections.connect(path, writes=True)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE pairs (a INTEGER PRIMARY KEY, b TEXT)")
        connection.exec_driver_sql("INSERT INTO pairs (a, b) VALUES (?, ?)", [(1, "alice"), (2, "bob"), (3, "carol")])
    yield engine
    engine.dispose()


def outcome(connection: sa.Connection, use: Callable[[sa.Connection], Any]) -> Any:
    with connection:
        transaction = connection.begin()
        try:
            found = use(connection)
        except Exception as error:  # noqa: BLE001 - compared
            return type(error), str(error), type(getattr(error, "orig", None))
        finally:
            transaction.rollback()
    return found


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_direct_statement_gives_what_sqlalchemy_gives(engine: sa.Engine, use: Callable[[sa.Connection], Any]) -> None:
    direct = outcome(DirectConnection(engine), use)
    assert direct == outcome(engine.connect(), use)


def test_listeners_hear_of_direct_statements(engine: sa.Engine) -> None:
    with statements() as heard, DirectConnection(engine) as connection, connection.begin():
        connection.exec_driver_sql("SELECT 1").scalar()
        connection.exec_driver_sql("UPDATE pairs SET b = ?", [("x",)])
    assert heard == ["BEGIN IMMEDIATE", "SELECT 1", "UPDATE pairs SET b = ?"]


def test_the_store_uses_nothing_of_a_result_that_a_direct_one_has_not() -> None:
    used = {
        node.attr
        for room in ("store", "alerting", "telemetry")
        for path in (ROOT / "sidecar" / room).rglob("*.py")
        if "migrations" not in path.parts
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Attribute)
        and node.value.func.attr == "exec_driver_sql"
    }
    assert "scalar_one" in used
    assert used <= {name for name in dir(Rows) if not name.startswith("_")}
