"""Deletes resolved alerts past their retention, with their history, notifications and messages; and ended silences.

Kept however old they are: alerts that fire, alerts with a notification or message that is pending, and alerts with a
message that could not be delivered. The newest alert and the newest silence are kept too, so that no id is reused.
"""

from __future__ import annotations

from typing import Final

import msgspec
import sqlalchemy as sa

from sidecar.domain.alerts.alert import RESOLVED
from sidecar.domain.alerts.thresholds import Thresholds
from sidecar.domain.units import DAY_US, MINUTE_US
from sidecar.settings import Settings, duration_us

# How often all old alerts are read: those that are kept are read each time.
PASS_EVERY_US: Final = MINUTE_US
_SILENCES: Final = 50


class AlertRetention:
    """An :class:`sidecar.store.care.retention.Expiring` of one store.

    Alerts are kept for ``kept_us`` after their last change, and for ``rules_us`` at least, which is how far the alert
    rules look back.
    """

    def __init__(self, *, kept_us: int = 30 * DAY_US, rules_us: int = Thresholds().looks_back_us) -> None:
        self.kept_us = kept_us
        self.rules_us = rules_us
        # Up to which alert this pass has read (None: all), and when the last pass began.
        self._after: int | None = None
        self._began_us: int | None = None

    @classmethod
    def of(cls, settings: Settings) -> AlertRetention:
        """As the settings have it."""
        kept_us = duration_us(settings.retention.alerts)
        return cls(kept_us=kept_us, rules_us=settings.alerts.thresholds().looks_back_us)

    def follow(self, settings: Settings) -> None:
        """The same for settings that have changed; from the next pass on."""
        self.kept_us = duration_us(settings.retention.alerts)
        self.rules_us = settings.alerts.thresholds().looks_back_us

    @property
    def has_more(self) -> bool:
        """Whether a pass is under way."""
        return self._after is not None

    def expire(self, connection: sa.Connection, now_us: int, limit: int, keep_since_us: int | None) -> int:
        """See :meth:`sidecar.store.care.retention.Expiring.expire`."""
        if self._after is None:
            if self._began_us is not None and 0 <= now_us - self._began_us < PASS_EVERY_US:
                return 0
            self._after, self._began_us = 0, now_us
        before_us = now_us - self.kept_us
        if keep_since_us is not None:
            before_us = max(before_us, keep_since_us)
        done = _prune(connection, min(before_us, now_us - self.rules_us), self._after, limit)
        self._after = done.after
        return done.removed


class _Slice(msgspec.Struct, frozen=True):
    """How many rows were deleted, and the alert after which the next slice begins; None where all have been read."""

    removed: int
    after: int | None


def _prune(connection: sa.Connection, before_us: int, after: int, limit: int) -> _Slice:
    """Reads ``limit`` alerts after the id ``after``, and deletes those that have not changed since ``before_us``."""
    # Ids and times of opening grow together, and an alert does not change before it opens.
    sql = f"""
        SELECT a.id, a.opened_at_us, a.state = '{RESOLVED}' AND a.changed_at_us < ? AND NOT EXISTS (
            SELECT 1 FROM alert_notifications n LEFT JOIN alert_messages m ON m.id = n.message_id
            WHERE n.alert_id = a.id AND (n.state = 'waiting' OR m.state IN ('pending', 'dead')))
        FROM alerts a WHERE a.id > ? AND a.id < (SELECT MAX(id) FROM alerts) ORDER BY a.id LIMIT ?
    """
    seen = connection.exec_driver_sql(sql, (before_us, after, limit)).all()
    removed = remove(connection, [row[0] for row in seen if row[2]]) + _prune_silences(connection, before_us)
    has_more = len(seen) == limit and seen[-1][1] < before_us
    return _Slice(removed, seen[-1][0] if has_more else None)


def remove(connection: sa.Connection, ids: list[int]) -> int:
    """Deletes whole alerts; a message is deleted with the last alert that it is about."""
    if not ids:
        return 0
    gone = [(one,) for one in ids]
    sql = "SELECT DISTINCT message_id FROM alert_notifications WHERE alert_id = ? AND message_id IS NOT NULL"
    messages = sorted({(row[0],) for one in gone for row in connection.exec_driver_sql(sql, one)})
    of_alert = ("alert_notifications", "alert_history", "alert_members")
    for table, column in (*((table, "alert_id") for table in of_alert), ("alerts", "id")):
        connection.exec_driver_sql(f"DELETE FROM {table} WHERE {column} = ?", gone)
    if messages:
        sql = (
            "DELETE FROM alert_messages WHERE id = ?"
            " AND NOT EXISTS (SELECT 1 FROM alert_notifications WHERE message_id = alert_messages.id)"
        )
        connection.exec_driver_sql(sql, messages)
    return len(ids)


def _prune_silences(connection: sa.Connection, before_us: int) -> int:
    sql = (
        "DELETE FROM alert_silences WHERE id IN (SELECT id FROM alert_silences WHERE ends_at_us < ?"
        f" AND id < (SELECT MAX(id) FROM alert_silences) ORDER BY id LIMIT {_SILENCES})"
    )
    return connection.exec_driver_sql(sql, (before_us,)).rowcount
