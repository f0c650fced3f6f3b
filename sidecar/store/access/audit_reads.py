"""Reads the audit log, newest first, with filters and pages. A page looks at a bounded number of rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from sidecar.store.access import audit_log, audit_subjects
from sidecar.store.access.audit_values import AuditRow, SearchText, Subject, User

LOOKS_AT: Final = 20_000
"""So many rows a page looks at; one that ends there has a cursor to continue with."""
_COLUMNS: Final = (
    "l.id, l.at_us, l.actor, l.action, l.subject, s.app_id, s.user_id, l.address, l.request_id, l.details, l.hash"
)


class AuditFilter(msgspec.Struct, frozen=True, kw_only=True):
    """``actor`` is a part of who did it, and ``user_id`` a user of ``app_id``, or of any with a search for it.

    ``before`` is the id of the last row of the page before.
    """

    actor: str | None = None
    action: str | None = None
    app_id: int | None = None
    user_id: str | None = None
    address: str | None = None
    request_id: str | None = None
    from_us: int | None = None
    until_us: int | None = None
    before: int | None = None
    limit: int = 50


class AuditPage(msgspec.Struct, frozen=True):
    """Rows, and the id to continue before; None at the end."""

    rows: Sequence[AuditRow]
    next_before: int | None


def page(connection: sa.Connection, wanted: AuditFilter) -> AuditPage:
    """The newest rows that match, ``limit`` of them or fewer."""
    newest = audit_log.head(connection).id + 1
    first = newest if wanted.before is None else min(wanted.before, newest)
    seen = "SELECT * FROM audit_log WHERE id < ? ORDER BY id DESC LIMIT ?"
    conditions, values = _conditions(connection, wanted)
    sql = (
        f"SELECT {_COLUMNS} FROM ({seen}) AS l LEFT JOIN audit_subjects s ON s.pseudonym = l.subject"
        f"{conditions} ORDER BY l.id DESC LIMIT ?"
    )
    found = connection.exec_driver_sql(sql, (first, LOOKS_AT, *values, wanted.limit)).all()
    rows = [_row_of(row) for row in found]
    if len(rows) == wanted.limit:
        return AuditPage(rows, rows[-1].id)
    oldest = audit_log.marked(connection, audit_log.ANCHOR).id + 1
    looked_to = first - LOOKS_AT
    return AuditPage(rows, looked_to if looked_to > oldest else None)


def _conditions(connection: sa.Connection, wanted: AuditFilter) -> tuple[str, tuple[Any, ...]]:
    """Of the rows ``l``."""
    given: list[tuple[str, tuple[Any, ...]]] = []
    if wanted.actor is not None:
        given.append(("lower(l.actor) LIKE ? ESCAPE '!'", (f"%{_literal(wanted.actor.lower())}%",)))
    exact = {"action": wanted.action, "address": wanted.address, "request_id": wanted.request_id}
    given += [(f"l.{column} = ?", (value,)) for column, value in exact.items() if value is not None]
    if wanted.from_us is not None:
        given.append(("l.at_us >= ?", (wanted.from_us,)))
    if wanted.until_us is not None:
        given.append(("l.at_us < ?", (wanted.until_us,)))
    if wanted.user_id is not None:
        subjects = _subjects(connection, wanted.app_id, wanted.user_id)
        given.append((f"l.subject IN ({', '.join('?' * len(subjects))})", subjects))
    elif wanted.app_id is not None:
        given.append(("s.app_id = ?", (wanted.app_id,)))
    text = " AND ".join(condition for condition, _ in given)
    return f" WHERE {text}" if text else "", tuple(value for _, values in given for value in values)


def _subjects(connection: sa.Connection, app_id: int | None, user_id: str) -> tuple[str, ...]:
    """The user as it is in the log, in one app or in all that are known, and a search for its id."""
    _, key = audit_log.keys(connection)
    sql = "SELECT DISTINCT app_id FROM user_groups WHERE users > 0"
    apps = [row[0] for row in connection.exec_driver_sql(sql)] if app_id is None else [app_id]
    subjects: list[Subject] = [*(User(app, user_id) for app in apps), SearchText(user_id)]
    return tuple(stored for one in subjects if (stored := audit_subjects.stored(key, one)) is not None)


def _literal(text: str) -> str:
    for sign in ("!", "%", "_"):
        text = text.replace(sign, f"!{sign}")
    return text


def _row_of(row: Sequence[Any]) -> AuditRow:
    *values, hash_ = row
    names = AuditRow.__struct_fields__[:-1]
    return AuditRow(**dict(zip(names, values, strict=True)), hash=hash_.hex())
