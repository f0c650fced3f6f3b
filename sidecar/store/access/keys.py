"""Keys of this database, 32 random bytes each, for what it signs or encrypts and others keep."""

from __future__ import annotations

import secrets  # noqa: TID251 - keys are secrets

import sqlalchemy as sa

_BYTES = 32


def key(connection: sa.Connection, name: str) -> bytes:
    """The key of this name, which was made with its tables."""
    return bytes(connection.exec_driver_sql("SELECT value FROM keys WHERE name = ?", (name,)).scalar_one())


def made_when_needed(connection: sa.Connection, name: str) -> bytes:
    """The key of this name, made when it is first needed. The same one on every node."""
    insert = "INSERT INTO keys (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING"
    connection.exec_driver_sql(insert, (name, secrets.token_bytes(_BYTES)))
    return key(connection, name)
