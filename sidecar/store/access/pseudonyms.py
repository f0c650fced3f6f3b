"""Pseudonyms of users, those of the audit log: a keyed hash of app and user id, with a key of this database.

Whoever has the database has the key too, and can test whether a known id is behind a pseudonym; nobody else can.
"""

from __future__ import annotations

import sqlalchemy as sa

from sidecar.domain.user_naming import Mode, UserNaming
from sidecar.store.access import audit_chain, audit_subjects, keys


def key(connection: sa.Connection) -> bytes:
    """The key of this database."""
    return keys.key(connection, audit_subjects.KEY)


def pseudonym(connection: sa.Connection, app_id: int, user_id: str) -> str:
    """The user's pseudonym."""
    return audit_chain.pseudonym_of_user(key(connection), app_id, user_id)


def naming(connection: sa.Connection, mode: Mode) -> UserNaming:
    """How users are named outside."""
    return UserNaming(mode, b"" if mode == "plain" else key(connection))


def erased_through(connection: sa.Connection, app_id: int, user_id: str) -> int:
    """The last position of what was erased of the user; 0 where nothing was."""
    sql = "SELECT COALESCE(MAX(through_position), 0) FROM erasures WHERE pseudonym = ?"
    return int(connection.exec_driver_sql(sql, (pseudonym(connection, app_id, user_id),)).scalar_one())
