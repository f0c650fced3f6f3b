"""``backup_overdue``: the last good scheduled backup is too old, or there is none and making one fails."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from sidecar.domain.alerts.alert import Subject
from sidecar.domain.alerts.opening import CommonThresholds
from sidecar.domain.alerts.rules.base_rule import Rule
from sidecar.domain.texts import Sentence, Text, duration
from sidecar.domain.units import HOUR_US

BACKUP_OVERDUE: Final = Sentence("backup_overdue", "the last good backup was made %(span)s ago (%(why)s)")
NO_BACKUP: Final = Sentence("no_backup", "there is no good backup (%(why)s)")
NOT_TRIED: Final = Sentence("backup_not_tried", "none was finished since")
BACKUP_MADE: Final = Sentence("backup_made", "a good backup was made")
BACKUPS_OFF: Final = Sentence("backups_off", "backups are switched off")
_SUBJECT: Final = Subject(other="backups")


class LastBackup(msgspec.Struct, frozen=True, kw_only=True):
    """When the last good one was made (None: there is none), and since when and why making one fails, where it does.

    ``due_us``: when the next is made. ``is_on``: whether Zimwatch makes backups at all.
    """

    is_on: bool = True
    made_us: int | None = None
    size_bytes: int = 0
    due_us: int | None = None
    failing_since_us: int | None = None
    why: Text = msgspec.field(default_factory=NOT_TRIED)

    def overdue_since_us(self, limit_us: int, now_us: int) -> int | None:
        """Since when it is too old: from ``limit_us`` on, or, where there is none, since making one fails."""
        if not self.is_on:
            return None
        if self.made_us is None:
            return self.failing_since_us
        return self.made_us if now_us - self.made_us >= limit_us else None


@dataclass(frozen=True, kw_only=True)
class BackupThresholds(CommonThresholds):
    """How old the last good backup may be; 0 switches the rule off."""

    backup_overdue_us: int = 48 * HOUR_US


class BackupOverdue(Rule[BackupThresholds]):
    """About Zimwatch itself. Over with the next good backup, or when backups are switched off."""

    kind = "backup_overdue"
    severity = "critical"
    title = Sentence("kind.backup_overdue", "No good backup for too long")
    advice = (
        Sentence("advice.backup_log", "The log has why each attempt failed."),
        Sentence("advice.backup_room", "The disk of the folder of backups needs room for two copies of the database."),
        Sentence("advice.backup_by_hand", "Meanwhile make one with `zimwatch db backup FILE`."),
    )

    @classmethod
    def is_on(cls, limits: BackupThresholds) -> bool:
        """Whether there is an age that is too old."""
        return limits.backup_overdue_us > 0 and super().is_on(limits)

    def check(self, last: LastBackup, now_us: int) -> None:
        """Opens or resolves the alert by what is known of the last good backup."""
        alert = self._firing.about(self.kind, _SUBJECT)
        since_us = last.overdue_since_us(self._limits.backup_overdue_us, now_us)
        if since_us is None:
            if alert is not None:
                reason = BACKUP_MADE() if last.is_on else BACKUPS_OFF()
                self._firing.resolve(alert, at_us=now_us, now_us=now_us, reason=reason)
        elif alert is None and self.is_on(self._limits):
            summary = NO_BACKUP(why=last.why)
            if last.made_us is not None:
                summary = BACKUP_OVERDUE(span=duration(now_us - since_us), why=last.why)
            self.cause(_SUBJECT, since_us, now_us, summary, labels={"part": "backups"})
