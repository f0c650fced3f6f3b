"""The audit log: appends entries to its hash chain. Functions of a connection.

Nothing in Zimwatch changes a row, and rows are deleted at the front alone, past their retention
(:mod:`sidecar.store.access.audit_retention`). The table ``audit_marks`` has the head, which is the newest row, and the
anchor, which is the row before the oldest one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import msgspec
import sqlalchemy as sa

from sidecar.domain.outside_text import cut
from sidecar.store.access import audit_chain, audit_subjects
from sidecar.store.access.audit_values import Entry, Head
from sidecar.store.values import Publishing

P = ParamSpec("P")
T = TypeVar("T")

KEY: Final = "audit"
"""The name of the key of the seals."""
HEAD: Final = "head"
ANCHOR: Final = "anchor"
ACTOR_CHARACTERS: Final = 300
_ADDRESS_CHARACTERS: Final = 64
DETAIL_CHARACTERS: Final = 200
_COLUMNS: Final = (*audit_chain.HASHED, "hash", "seal")
_INSERT: Final = f"INSERT INTO audit_log ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"


def record(connection: sa.Connection, *entries: Entry) -> Head | None:
    """Appends the entries, in their order, in the connection's transaction; the head then, None without an entry.

    The number of statements does not depend on the length of the log. Another transaction that records waits for the
    end of this one.
    """
    if not entries:
        return None
    key, subjects_key = keys(connection)
    # Locks the head where several transactions write at a time.
    locked = "UPDATE audit_marks SET id = id WHERE name = ? RETURNING id, hash"
    last, hash_ = connection.exec_driver_sql(locked, (HEAD,)).one()
    rows = []
    for number, entry in enumerate(entries, start=last + 1):
        values = _values(number, entry, subjects_key)
        hash_ = audit_chain.hash_of(hash_, values)
        rows.append((*values, hash_, audit_chain.seal_of(key, number, hash_)))
    connection.exec_driver_sql(_INSERT, rows)
    audit_subjects.keep(connection, subjects_key, {one.subject for one in entries if one.subject is not None})
    mark(connection, key, HEAD, Head(last + len(rows), entries[-1].at_us, hash_.hex()))
    return Head(last + len(rows), entries[-1].at_us, hash_.hex())


def recording(
    work: Callable[Concatenate[sa.Connection, P], T], entries_of: Callable[[Any], Sequence[Entry]]
) -> Callable[Concatenate[sa.Connection, P], T]:
    """``work``, which is recorded in its own transaction by the entries that follow from its result.

    Nothing is recorded of a work without a result (None or False), because it changed nothing.
    """

    def run(connection: sa.Connection, /, *args: P.args, **kwargs: P.kwargs) -> T:
        done = work(connection, *args, **kwargs)
        result = done.result if isinstance(done, Publishing) else done
        if result is not None and result is not False:
            record(connection, *entries_of(result))
        return done

    return run


def forget(connection: sa.Connection, app_id: int, user_id: str) -> None:
    """Deletes the readable id of a user, after which the log has pseudonyms of it alone.

    To be called when the user is erased, as the last thing of that transaction. The chain stays as it was.
    """
    audit_subjects.forget(connection, app_id, user_id)


def head(connection: sa.Connection) -> Head:
    """The newest row, of which a copy kept elsewhere proves the log up to it."""
    return marked(connection, HEAD)


def marked(connection: sa.Connection, name: str) -> Head:
    """The head or the anchor."""
    sql = "SELECT id, at_us, hash FROM audit_marks WHERE name = ?"
    row_id, at_us, hash_ = connection.exec_driver_sql(sql, (name,)).one()
    return Head(row_id, at_us, hash_.hex())


def mark(connection: sa.Connection, key: bytes, name: str, at: Head) -> None:
    """Moves the head or the anchor, and seals it."""
    hash_ = bytes.fromhex(at.hash)
    seal = audit_chain.seal_of_mark(key, name, at.id, at.at_us, hash_)
    sql = "UPDATE audit_marks SET id = ?, at_us = ?, hash = ?, seal = ? WHERE name = ?"
    connection.exec_driver_sql(sql, (at.id, at.at_us, hash_, seal, name))


def keys(connection: sa.Connection) -> tuple[bytes, bytes]:
    """The keys of the seals and of the pseudonyms."""
    sql = "SELECT name, value FROM keys WHERE name IN (?, ?)"
    found = {row[0]: bytes(row[1]) for row in connection.exec_driver_sql(sql, (KEY, audit_subjects.KEY))}
    return found[KEY], found[audit_subjects.KEY]


def _values(number: int, entry: Entry, subjects_key: bytes) -> Sequence[Any]:
    """The values of a row in the order of ``HASHED``."""
    details = {
        name: cut(value, DETAIL_CHARACTERS) if isinstance(value, str) else value
        for name, value in entry.details.items()
    }
    return (
        number,
        entry.at_us,
        cut(entry.actor, ACTOR_CHARACTERS),
        str(entry.action),
        audit_subjects.stored(subjects_key, entry.subject),
        None if entry.address is None else cut(entry.address, _ADDRESS_CHARACTERS),
        None if entry.request_id is None else cut(entry.request_id, _ADDRESS_CHARACTERS),
        msgspec.json.encode(details).decode() if details else None,
    )
