"""Statements are the same on every engine, except for those in an engine's folder.

A scenario on SQLite executes every statement that there is, and a real PostgreSQL prepares them over the same tables,
with the types of their values as its driver would send them.
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Final

import pytest
import sqlalchemy as sa

import sidecar.alerting.tables.alert_schema
import sidecar.store.access.audit_schema  # noqa: F401 - same
from sidecar.store.care import rebuild
from sidecar.store.database import Expressions
from sidecar.store.postgres.postgres_database import PostgresDatabase
from sidecar.store.schema import metadata
from sidecar.store.sqlite.sqlite_database import SqliteDatabase
from tests.support import postgres
from tests.support.every_statement import execute_everything
from tests.support.sqlite_statements import Statement, recording, sites

# What one engine alone executes: its own files, what makes or upgrades its tables, what opens either engine, and the
# queue that a Python app keeps.
OF_ONE_ENGINE: Final = (
    "sidecar/store/sqlite/",
    "sidecar/store/postgres/",
    "sidecar/store/migrations/",
    "sidecar/store/upgrade.py",
    "sidecar/store/first_rows.py",
    "sidecar/store/engines.py",
    "sidecar/sdk/",
)
# The expressions of an engine in statements that are otherwise the same.
POSTGRESQL: Final = PostgresDatabase.expressions
SQLITE: Final = SqliteDatabase.expressions
# psycopg sends no type for text: the server infers it.
TYPES: Final = {bool: "boolean", int: "bigint", float: "double precision", bytes: "bytea"}
# Standard SQL that cannot be prepared.
OF_TRANSACTIONS: Final = {"SAVEPOINT", "RELEASE", "ROLLBACK"}
# SQLAlchemy creates tables in each engine's dialect.
OF_TABLES: Final = {"CREATE", "DROP"}


_VALUE: Final = re.compile(r"'[^']*'|::\w+|\?|:\w+")


@pytest.mark.postgres
def test_postgresql_reads_every_statement(tmp_path: Path) -> None:
    with recording() as recorded:
        execute_everything(tmp_path)
    assert [site for site in sorted(sites()) if of_all_engines(site.path) and not recorded.has(site)] == []
    refused = {}
    with postgres.schema("zimwatch_statements") as database:
        metadata.create_all(database)
        rebuild.KEPT.create_all(database)
        database.exec_driver_sql("CREATE TABLE event_ids AS SELECT app_id, id, position FROM events")
        for statement, paths in recorded.paths.items():
            of_all = sorted(filter(of_all_engines, paths))
            if of_all and statement.sql.split()[0] not in OF_TRANSACTIONS | OF_TABLES:
                problem = prepare(database, statement)
                if problem is not None:
                    refused[statement.sql] = (problem, of_all)
    assert refused == {}


def of_all_engines(path: str) -> bool:
    return not path.startswith(OF_ONE_ENGINE)


def prepare(database: sa.Connection, statement: Statement) -> str | None:
    """Why PostgreSQL cannot read it."""
    sql, values = numbered(statement)
    types = f"({', '.join(TYPES.get(one, 'unknown') for one in values)})" if values else ""
    try:
        database.exec_driver_sql(f"PREPARE one {types} AS {sql}")
    except sa.exc.DBAPIError as error:
        return str(error.orig)
    database.exec_driver_sql("DEALLOCATE one")
    return None


def numbered(statement: Statement) -> tuple[str, list[type]]:
    """With $1 for the first value, and so on; the types of these."""
    sql = statement.sql
    for name in Expressions.__struct_fields__:
        sql = sql.replace(getattr(SQLITE, name), getattr(POSTGRESQL, name))
    if not statement.names:
        number = itertools.count(1)
        return _VALUE.sub(lambda found: f"${next(number)}" if found[0] == "?" else found[0], sql), [*statement.types]
    types = dict(zip(statement.names, statement.types, strict=True))
    used: list[str] = []

    def value(found: re.Match[str]) -> str:
        if (name := found[0][1:]) not in types:
            return found[0]
        if name not in used:
            used.append(name)
        return f"${used.index(name) + 1}"

    return _VALUE.sub(value, sql), [types[name] for name in used]
