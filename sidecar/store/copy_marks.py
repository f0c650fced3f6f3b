"""The marks of ``zimwatch db copy``: on a copy that is not finished, and on a database that was moved by it.

They are rows of ``keys``, which are not copied. What is marked is not opened as a store, so that nobody serves half of
the data, and no message or span is sent from two databases.
"""

from __future__ import annotations

import hashlib
from typing import Final

import sqlalchemy as sa

from sidecar.errors import DatabaseRefusedError
from sidecar.store.database import Database
from sidecar.store.schema import keys

UNFINISHED: Final = "unfinished_copy"
"""On the target. The value is the :func:`identity` of the source."""
MOVED: Final = "moved"
"""On the source. The value is the name of the target."""
NAMES: Final = (UNFINISHED, MOVED)
# Made with the tables, never changed, and of this database alone.
_OWN: Final = "hand_off"


def identity(connection: sa.Connection) -> bytes:
    """What a database has in common with its copies alone."""
    own = found(connection, _OWN)
    if own is None:
        raise DatabaseRefusedError("this database has no keys, so it is not known whose copy it is")
    return hashlib.sha256(own).digest()


def found(connection: sa.Connection, name: str) -> bytes | None:
    """The value of a mark; None where there is none."""
    value = connection.exec_driver_sql(f"SELECT value FROM {keys.name} WHERE name = ?", (name,)).scalar()
    return None if value is None else bytes(value)


def put(connection: sa.Connection, name: str, value: bytes) -> None:
    """Sets a mark, in the transaction."""
    remove(connection, name)
    connection.exec_driver_sql(f"INSERT INTO {keys.name} (name, value) VALUES (?, ?)", (name, value))


def remove(connection: sa.Connection, name: str) -> None:
    """Removes a mark, in the transaction."""
    connection.exec_driver_sql(f"DELETE FROM {keys.name} WHERE name = ?", (name,))


def migrate_unmarked(database: Database) -> bool:
    """See :meth:`Database.migrate`; DatabaseRefusedError where the database has a mark."""
    outdated = database.migrate()
    with database.reading() as connection:
        refuse(connection, database.name)
    return outdated


def refuse(connection: sa.Connection, name: str) -> None:
    """DatabaseRefusedError where the database, of this name, has a mark."""
    if found(connection, UNFINISHED) is not None:
        raise DatabaseRefusedError(
            f"{name} is a copy that is not finished; run the same `zimwatch db copy` again, which continues it"
        )
    if (target := found(connection, MOVED)) is not None:
        raise DatabaseRefusedError(
            f"{name} was moved to {target.decode()} by `zimwatch db copy`, and what waits in it would be sent twice;"
            " serve that one, or run `zimwatch db reopen` to use this one again in its place"
        )
