"""Deletes the oldest rows of the audit log past its own retention, and leaves the anchor from which the rest holds.

Nothing else shortens the log: it does not count for the size of the database, so that nobody can push it out. Rows are
deleted once a day, because each time is a row of the log too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa
import structlog

from sidecar.domain.units import DAY_US
from sidecar.settings import Settings, duration_us
from sidecar.store.access import audit_log
from sidecar.store.access.audit_log import ANCHOR
from sidecar.store.access.audit_values import AuditAction, Entry, Head

ACTOR: Final = "retention"

_log = structlog.get_logger(__name__)


class AuditRetention:
    """An :class:`sidecar.store.care.retention.Expiring`. Rows are kept for ``kept_us``, and up to a day more."""

    def __init__(self, *, kept_us: int = 365 * DAY_US) -> None:
        self._kept_us = kept_us
        # How many rows this pass has deleted; None while none is under way.
        self._deleted: int | None = None

    @classmethod
    def of(cls, settings: Settings) -> AuditRetention:
        """As the settings have it."""
        return cls(kept_us=duration_us(settings.retention.audit))

    def follow(self, settings: Settings) -> None:
        """The same for settings that have changed; from the next pass on."""
        self._kept_us = duration_us(settings.retention.audit)

    @property
    def has_more(self) -> bool:
        """Whether a pass is under way."""
        return self._deleted is not None

    def expire(self, connection: sa.Connection, now_us: int, limit: int, _keep_since_us: int | None) -> int:
        """See :meth:`sidecar.store.care.retention.Expiring.expire`."""
        before_us = now_us - self._kept_us
        sql = "SELECT id, at_us, hash, subject FROM audit_log ORDER BY id LIMIT ?"
        if self._deleted is None:
            oldest = connection.exec_driver_sql(sql, (1,)).first()
            if oldest is None or oldest[1] >= before_us - DAY_US:
                return 0
            self._deleted = 0
        gone = []
        for row in connection.exec_driver_sql(sql, (limit,)):
            if row[1] >= before_us:
                break
            gone.append(row)
        if gone:
            _cut(connection, gone)
            self._deleted += len(gone)
        if len(gone) < limit:
            deleted, self._deleted = self._deleted, None
            _tell(connection, deleted, now_us)
        return len(gone)


def _cut(connection: sa.Connection, gone: Sequence[Any]) -> None:
    """Deletes these rows, which are the oldest, and the readable ids that no other row has."""
    last = gone[-1]
    key, _ = audit_log.keys(connection)
    audit_log.mark(connection, key, ANCHOR, Head(last[0], last[1], last[2].hex()))
    connection.exec_driver_sql("DELETE FROM audit_log WHERE id <= ?", (last[0],))
    subjects = sorted({(row[3], row[3]) for row in gone if row[3] is not None})
    if subjects:
        sql = (
            "DELETE FROM audit_subjects WHERE pseudonym = ? AND NOT EXISTS (SELECT 1 FROM audit_log WHERE subject = ?)"
        )
        connection.exec_driver_sql(sql, subjects)


def _tell(connection: sa.Connection, rows: int, now_us: int) -> None:
    anchor = audit_log.marked(connection, ANCHOR)
    details: dict[str, str | int | bool] = {"rows": rows, "up_to": anchor.id}
    entry = Entry(at_us=now_us, actor=ACTOR, action=AuditAction.AUDIT_CUT, details=details)
    audit_log.record(connection, entry)
    _log.info("the audit log was cut at its retention", rows=rows, anchor=str(anchor))
