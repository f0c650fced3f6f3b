"""The rows that a new database begins with, where no migration writes them."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from sidecar.store.access import audit_chain, keys
from sidecar.store.access.audit_schema import audit_marks

_KEYS: Final = ("hand_off", "audit", "audit_subjects", "accounts")


def write(connection: sa.Connection) -> None:
    """Keys of what the database signs, and the marks of an audit log without rows."""
    for name in _KEYS:
        keys.made_when_needed(connection, name)
    key = keys.key(connection, "audit")
    first = audit_chain.first_hash(key)
    for name in ("head", "anchor"):
        seal = audit_chain.seal_of_mark(key, name, 0, 0, first)
        connection.execute(sa.insert(audit_marks).values(name=name, id=0, at_us=0, hash=first, seal=seal))
