"""The readable ids behind the pseudonyms of the audit log, in a table that erasing a user deletes from.

The log itself has pseudonyms alone, so that it stays as it was when a user is erased. An id is kept only while the
database knows the user, or for a search a user with that in its id: so that a look at a user who was erased does not
bring the id back.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import sqlalchemy as sa

from sidecar.domain.outside_text import cut
from sidecar.store import database, mapping
from sidecar.store.access import audit_chain
from sidecar.store.access.audit_values import SearchText, Subject, User
from sidecar.store.database import folded

KEY: Final = "audit_subjects"
"""The name of the key of the pseudonyms."""
# A longer text is no id that anyone searched for.
TEXT_CHARACTERS: Final = 200
# A shorter part of an id does not tell whose it is.
_TELLING: Final = 3
_CANDIDATES: Final = 50


def stored(key: bytes, subject: Subject | None) -> str | None:
    """A subject as it is in the log."""
    if isinstance(subject, User):
        return audit_chain.pseudonym_of_user(key, subject.app_id, subject.user_id)
    if isinstance(subject, SearchText):
        return audit_chain.pseudonym_of_text(key, folded(subject.text.strip()))
    return None if subject is None else cut(subject, TEXT_CHARACTERS)


def keep(connection: sa.Connection, key: bytes, subjects: Collection[Subject]) -> None:
    """Keeps the readable ids of users and searches that the database knows."""
    users = [(stored(key, one), one.app_id, one.user_id) for one in subjects if isinstance(one, User)]
    if users:
        sql = (
            "INSERT INTO audit_subjects (pseudonym, app_id, user_id)"
            " SELECT ?, app_id, user_id FROM user_status WHERE app_id = ? AND user_id = ?"
            " ON CONFLICT (pseudonym) DO NOTHING"
        )
        connection.exec_driver_sql(sql, users)
    texts = {stored(key, one): one.text.strip() for one in subjects if isinstance(one, SearchText)}
    new = [(pseudonym, text) for pseudonym, text in texts.items() if len(text) <= TEXT_CHARACTERS]
    for pseudonym, text in new:
        known = connection.exec_driver_sql("SELECT 1 FROM audit_subjects WHERE pseudonym = ?", (pseudonym,)).scalar()
        if known is None and _is_part_of_an_id(connection, text):
            sql = "INSERT INTO audit_subjects (pseudonym, user_id) VALUES (?, ?) ON CONFLICT (pseudonym) DO NOTHING"
            connection.exec_driver_sql(sql, (pseudonym, text))


def forget(connection: sa.Connection, app_id: int, user_id: str) -> None:
    """Deletes the readable id of a user, and searches for it or for a part of it that tells whose it is."""
    connection.exec_driver_sql("DELETE FROM audit_subjects WHERE app_id = ? AND user_id = ?", (app_id, user_id))
    whole = folded(user_id)
    searched = connection.exec_driver_sql("SELECT pseudonym, user_id FROM audit_subjects WHERE app_id IS NULL")
    gone = [(row[0],) for row in searched.all() if _tells(folded(row[1]), whole)]
    if gone:
        connection.exec_driver_sql("DELETE FROM audit_subjects WHERE pseudonym = ?", gone)


def _tells(text: str, user_id: str) -> bool:
    return user_id in text or (len(text) >= _TELLING and text in user_id)


def _is_part_of_an_id(connection: sa.Connection, text: str) -> bool:
    if not text:
        return False
    part = folded(text)
    for keys in mapping.chunks(database.of(connection).find(connection, text, _CANDIDATES)):
        sql = f"SELECT user_id FROM user_status WHERE user_key IN ({', '.join('?' * len(keys))})"
        if any(part in folded(row[0]) for row in connection.exec_driver_sql(sql, tuple(keys))):
            return True
    return False
