"""An audit log to try things on."""

from __future__ import annotations

import sqlalchemy as sa

from sidecar.store.access import audit_log
from sidecar.store.access.audit_values import AuditAction, Entry, SearchText, Subject, User
from tests.support.events import APP_ID, BEGIN_US

ALICE = User(APP_ID, "alice")
DANA = "dana, by token 3"


def entry(at: int = 0, subject: Subject | None = ALICE, **changed: object) -> Entry:
    """Dana looked at alice's page."""
    values = {"actor": DANA, "action": AuditAction.USER_SEEN, "address": "192.0.2.7", "request_id": f"r{at}"}
    return Entry(at_us=BEGIN_US + at, subject=subject, **(values | changed))  # type: ignore[arg-type]


def record_many(connection: sa.Connection, count: int) -> None:
    """Rows of every kind, in several commits' worth of calls."""
    for at in range(count):
        subject = (ALICE, SearchText("ali"), "alert 12", None)[at % 4]
        details: dict[str, str | int | bool] = {"status": 404} if at % 3 == 0 else {}
        audit_log.record(connection, entry(at, subject, details=details))
