"""Checks the chain of the audit log, from its anchor to its head. Changes nothing.

It finds each row that was changed, removed, added or put elsewhere. Whoever can write to the database also has its
keys, and could replace the whole chain: that shows against a head that was saved elsewhere.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from sidecar.store.access import audit_chain, audit_log, audit_subjects
from sidecar.store.access.audit_log import ANCHOR, HEAD
from sidecar.store.access.audit_values import Head, SearchText, User

_READ: Final = 1_000
_TYPES: Final[tuple[Any, ...]] = (int, int, str, str, *(4 * [str | None]))
"""Of the columns in ``HASHED``: a value of another type could have the JSON of the one that it replaced."""
_COLUMNS: Final = ", ".join((*audit_chain.HASHED, "hash", "seal"))


class Verified(msgspec.Struct, frozen=True):
    """The chain holds: so many rows after the anchor, up to the head."""

    rows: int
    anchor: Head
    head: Head


class Broken(msgspec.Struct, frozen=True):
    """The first thing that is wrong. ``row`` is None where it is no row of the log."""

    row: int | None
    why: str


def verify(connection: sa.Connection, saved: str | None = None) -> Verified | Broken:
    """Reads the whole log. ``saved`` is a head from elsewhere, as ``ID:HASH`` or the hash alone."""
    key, subjects_key = audit_log.keys(connection)
    marks = {}
    for name in (ANCHOR, HEAD):
        found = _mark(connection, key, name)
        if found is None:
            return Broken(None, f"The {name} is missing or was changed.")
        marks[name] = found
    anchor, last = marks[ANCHOR], marks[HEAD]
    wanted = _saved(saved)
    if wanted is not None and wanted[0] is not None and wanted[0] < anchor.id:
        return Broken(
            None, f"The saved head is row {wanted[0]}, which was deleted: the log begins after row {anchor.id}."
        )
    seen = wanted is None or _is_at(wanted, anchor.id, anchor.hash)
    number, hash_ = anchor.id, bytes.fromhex(anchor.hash)
    rows = connection.exec_driver_sql(f"SELECT {_COLUMNS} FROM audit_log ORDER BY id")
    while some := rows.fetchmany(_READ):
        for row in some:
            why = _wrong(row, number, hash_, key)
            if why is not None:
                return Broken(row[0] if isinstance(row[0], int) else None, why)
            number, hash_ = row[0], row[-2]
            seen = seen or (wanted is not None and _is_at(wanted, number, hash_.hex()))
    if (number, hash_.hex()) != (last.id, last.hash):
        return Broken(
            number, f"The log ends with row {number}, and its head is row {last.id}: the rows after it are gone."
        )
    if not seen:
        return Broken(
            number, f"The saved head is not in the log, which ends with row {number}: rows are gone or replaced."
        )
    wrong = _wrong_subject(connection, subjects_key)
    return Broken(None, wrong) if wrong is not None else Verified(number - anchor.id, anchor, last)


def _wrong(row: Sequence[Any], before: int, hash_before: bytes, key: bytes) -> str | None:
    values, hash_, seal = row[:-2], row[-2], row[-1]
    if not all(isinstance(value, type_) for value, type_ in zip(values, _TYPES, strict=True)):
        return f"Row {values[0]} was changed: a value is of another type."
    if values[0] != before + 1:
        return f"Row {before + 1} is missing: row {values[0]} follows row {before}."
    if not (audit_chain.is_hash(hash_) and audit_chain.is_hash(seal)):
        return f"Row {values[0]} was changed: its hash or seal is none."
    if not hmac.compare_digest(hash_, audit_chain.hash_of(hash_before, values)):
        return f"Row {values[0]} was changed, or the row before it."
    if not hmac.compare_digest(seal, audit_chain.seal_of(key, values[0], hash_)):
        return f"Row {values[0]} has a wrong seal: it was not written by Zimwatch."
    return None


def _mark(connection: sa.Connection, key: bytes, name: str) -> Head | None:
    """The head or the anchor, if its seal is right."""
    found = connection.exec_driver_sql("SELECT id, at_us, hash, seal FROM audit_marks WHERE name = ?", (name,)).all()
    if len(found) != 1:
        return None
    row_id, at_us, hash_, seal = found[0]
    if not (
        isinstance(row_id, int) and isinstance(at_us, int) and audit_chain.is_hash(hash_) and audit_chain.is_hash(seal)
    ):
        return None
    right = audit_chain.seal_of_mark(key, name, row_id, at_us, hash_)
    return Head(row_id, at_us, hash_.hex()) if hmac.compare_digest(seal, right) else None


def _saved(text: str | None) -> tuple[int | None, str] | None:
    if text is None:
        return None
    number, _, hash_ = text.strip().rpartition(":")
    return int(number) if number.isascii() and number.isdecimal() else None, hash_.lower()


def _is_at(wanted: tuple[int | None, str], number: int, hash_: str) -> bool:
    return wanted[0] in {None, number} and hmac.compare_digest(wanted[1].encode(), hash_.encode())


def _wrong_subject(connection: sa.Connection, key: bytes) -> str | None:
    """The readable ids are in no chain, because they can be erased; but each has to have its own pseudonym."""
    rows = connection.exec_driver_sql("SELECT pseudonym, app_id, user_id FROM audit_subjects ORDER BY pseudonym")
    while some := rows.fetchmany(_READ):
        for pseudonym, app_id, user_id in some:
            right = isinstance(user_id, str) and isinstance(app_id, int | None)  # other types have the same text
            subject = SearchText(user_id) if app_id is None else User(app_id, user_id)
            if not right or audit_subjects.stored(key, subject) != pseudonym:
                return f"The readable id of “{pseudonym}” was changed."
    return None
