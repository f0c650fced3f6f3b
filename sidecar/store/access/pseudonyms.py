"""Pseudonyms of users: a keyed hash of app and user id, with a key that is in this database alone.

Whoever has the database has the key too, and can test whether a known id is behind a pseudonym; nobody else can.
"""

from __future__ import annotations

import hashlib
import hmac

import sqlalchemy as sa

_KEY_NAME = "pseudonym"


def key(connection: sa.Connection) -> bytes:
    """The key of this database."""
    return bytes(connection.exec_driver_sql("SELECT value FROM keys WHERE name = ?", (_KEY_NAME,)).scalar_one())


def pseudonym(connection: sa.Connection, app_id: int, user_id: str) -> bytes:
    """The user's pseudonym, 16 bytes."""
    return keyed(key(connection), app_id, user_id)


def keyed(key: bytes, app_id: int, user_id: str) -> bytes:
    """The same with a key that was read before."""
    text = f"{app_id}\0{user_id}".encode(errors="surrogatepass")
    return hmac.digest(key, text, hashlib.sha256)[:16]


def erased_through(connection: sa.Connection, app_id: int, user_id: str) -> int:
    """The last position of what was erased of the user; 0 where nothing was."""
    sql = "SELECT COALESCE(MAX(through_position), 0) FROM erasures WHERE pseudonym = ?"
    return int(connection.exec_driver_sql(sql, (pseudonym(connection, app_id, user_id),)).scalar_one())
