"""The tables of a new PostgreSQL database, and which tables there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import sqlalchemy as sa

from sidecar.errors import DatabaseRefusedError
from sidecar.store import schema
from sidecar.store.postgres import announcements, partitions, search

# Text is compared by its code points, as everywhere else.
_COLLATION: Final = "C"
_REVISION: Final = "alembic_version"
_DDL: Final = (
    *search.DDL,
    *announcements.DDL,
    *partitions.DDL,
    # Counts the commits, and so proves that the database can commit.
    "CREATE TABLE commits (one BOOLEAN PRIMARY KEY CHECK (one), number BIGINT NOT NULL)",
    "INSERT INTO commits (one, number) VALUES (TRUE, 0)",
    f"CREATE TABLE {_REVISION} (version_num VARCHAR(32) NOT NULL PRIMARY KEY)",
    f"INSERT INTO {_REVISION} (version_num) VALUES ('{schema.REVISION}')",
)
FirstRows = Callable[[sa.Connection], None]
"""Writes the rows that a new database begins with."""


def revision(connection: sa.Connection) -> str | None:
    """The newest migration of the tables; None where there are none."""
    if connection.exec_driver_sql(f"SELECT to_regclass('{_REVISION}')").scalar() is None:
        return None
    found: str = connection.exec_driver_sql(f"SELECT version_num FROM {_REVISION}").scalar_one()
    return found


def create(connection: sa.Connection, first_rows: FirstRows) -> None:
    """Creates all tables, with their first rows."""
    if "alerts" not in schema.metadata.tables:
        raise DatabaseRefusedError("the tables of alerts are not known yet: import sidecar.alerting first")
    _collated().create_all(connection, checkfirst=False)
    for sql in _DDL:
        connection.exec_driver_sql(sql)
    first_rows(connection)


def collate(connection: sa.Connection) -> None:
    """Gives columns of text that a migration added the collation that those of :func:`create` have."""
    others = (
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema()"
        # A partition's columns follow those of its table.
        " AND table_name NOT IN (SELECT relname FROM pg_class WHERE relispartition)"
        f" AND data_type = 'text' AND collation_name IS DISTINCT FROM '{_COLLATION}'"
    )
    for table, column in connection.exec_driver_sql(others).all():
        changed = f'ALTER COLUMN "{column}" TYPE TEXT COLLATE "{_COLLATION}"'
        connection.exec_driver_sql(f'ALTER TABLE "{table}" {changed}')


def _collated() -> sa.MetaData:
    metadata = sa.MetaData()
    for table in schema.metadata.tables.values():
        for column in table.to_metadata(metadata).columns:
            if isinstance(column.type, sa.Text):
                column.type = sa.Text(collation=_COLLATION)
    return metadata
