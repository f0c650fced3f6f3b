"""An audit log to try things on."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import sqlalchemy as sa

from sidecar.access.audit.recorder import WRITE_EVERY_S
from sidecar.store.access import audit_log, audit_reads
from sidecar.store.access.audit_reads import AuditFilter
from sidecar.store.access.audit_values import AuditAction, AuditRow, Entry, SearchText, Subject, User
from tests.support.events import APP_ID, BEGIN_US
from tests.support.running import Zimwatch

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


class Look(msgspec.Struct, frozen=True):
    """A row, without what differs from run to run."""

    actor: str
    action: str
    about: str | None
    details: dict[str, Any]


async def looks(running: Zimwatch) -> list[Look]:
    """The rows of a running Zimwatch, in the order of time, once those that waited are written."""
    await asyncio.sleep(2 * WRITE_EVERY_S)
    found = await running.store.read(audit_reads.page, AuditFilter(limit=1_000))
    return [_look(row) for row in sorted(found.rows, key=lambda row: (row.at_us, row.id))]


def _look(row: AuditRow) -> Look:
    about = row.subject
    if row.user_id is not None:
        about = f"search {row.user_id}" if row.app_id is None else f"{row.app_id}/{row.user_id}"
    return Look(row.actor, row.action, about, {} if row.details is None else msgspec.json.decode(row.details))
