"""The firing alerts, as one transaction reads and changes them: a unit of work.

Alerts are read from the :class:`AlertLog` when a rule needs them. At most one fires for each fingerprint.
:meth:`Firing.drain` gives what changed. Nothing outlives the transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, Protocol

import msgspec

from sidecar.domain.alerts import alert as states
from sidecar.domain.alerts.alert import Alert, Kind, Severity, Subject, fingerprint
from sidecar.domain.alerts.labels import WATCHED_BY
from sidecar.domain.texts import Sentence, Text

UserId = tuple[int, str]
What = Literal["opened", "cause", "resolved", "acknowledged", "unheld", "repeat", "again"]
# A cause that repeats is always counted, but has no more lines of the history than this.
_CAUSES_KEPT: Final = 20

ACKNOWLEDGED: Final = Sentence("acknowledged", "acknowledged")
STILL_FIRING: Final = Sentence("still_firing", "still firing")
# The placeholder's name is stored with each text.
UNHELD: Final = Sentence("unheld", "no longer suppressed (%(held)s)")


class AlertLog(Protocol):
    """The alerts in the database, as of the last drain."""

    def about_users(self, users: Collection[UserId], /) -> Iterable[Alert]:
        """The firing alerts about these users."""

    def by_fingerprints(self, fingerprints: Sequence[str], /) -> Iterable[Alert]:
        """The firing alerts with these fingerprints."""

    def times_opened(self, fingerprints: Sequence[str], since_us: int, now_us: int, /) -> Mapping[str, int]:
        """How often alerts with these fingerprints opened between two moments; 0 may be missing."""

    def next_id(self) -> int:
        """The id of the next alert that opens."""


class Entry(msgspec.Struct, frozen=True):
    """One line of an alert's history. ``who`` is a person, or None for Zimwatch itself."""

    alert: Alert
    what: What
    at_us: int
    text: Text
    position: int | None = None
    who: str | None = None


class Firing:
    """For one transaction."""

    def __init__(self, alert_log: AlertLog) -> None:
        self._alert_log = alert_log
        self._next_id: int | None = None
        # An alert that was read or opened has one object.
        self._own: dict[int, Alert] = {}
        # What fires about each user, and with each fingerprint, that was read; None where nothing does.
        self._users: dict[UserId, dict[Kind, Alert]] = {}
        self._others: dict[str, Alert | None] = {}
        # Since the last drain: what changed, the new lines of histories, when which fingerprint opened, and how often
        # it had opened before.
        self._changed: dict[int, Alert] = {}
        self._entries: list[Entry] = []
        self._opened: dict[str, list[int]] = {}
        self._opened_before: dict[str, int] = {}

    # What fires.

    def of_user(self, who: UserId, kind: Kind) -> Alert | None:
        """The alert of this kind that fires about a user."""
        return self.about_user(who).get(kind)

    def about_user(self, who: UserId) -> Mapping[Kind, Alert]:
        """All that fires about a user, by kind."""
        if who not in self._users:
            self.fetch([who])
        return self._users[who]

    def about(self, kind: Kind, subject: Subject) -> Alert | None:
        """The alert of this kind that fires about the subject."""
        if (who := _user_of(subject)) is not None:
            return self.of_user(who, kind)
        fp = fingerprint(kind, subject)
        if fp not in self._others:
            found = [self.own(alert) for alert in self._alert_log.by_fingerprints([fp])]
            self._others[fp] = next((alert for alert in found if alert.state == states.FIRING), None)
        return self._others[fp]

    def fetch(self, users: Iterable[UserId]) -> None:
        """Reads at once all that fires about these users, instead of user by user."""
        missing = {who: None for who in users if who not in self._users}
        if not missing:
            return
        for who in missing:
            self._users[who] = {}
        for alert in map(self.own, self._alert_log.about_users(missing)):
            if alert.state == states.FIRING and (user := _user_of(alert.subject)) is not None:
                self._users[user][alert.kind] = alert

    def own(self, alert: Alert) -> Alert:
        """The one object of a stored alert: changes to it are kept."""
        return self._own.setdefault(alert.id, alert)

    def fetch_openings(self, fingerprints: Iterable[str], since_us: int, now_us: int) -> None:
        """Reads at once what :meth:`times_opened` needs of these, instead of one by one."""
        missing = [fp for fp in dict.fromkeys(fingerprints) if fp not in self._opened_before]
        if missing:
            found = self._alert_log.times_opened(missing, since_us, now_us)
            self._opened_before.update((fp, found.get(fp, 0)) for fp in missing)

    def times_opened(self, alert: Alert, since_us: int) -> int:
        """How often alerts with its fingerprint opened since then, this one included."""
        fp = alert.fingerprint
        self.fetch_openings([fp], since_us, alert.opened_at_us)
        return self._opened_before[fp] + sum(opened_us >= since_us for opened_us in self._opened.get(fp, ()))

    @property
    def changed(self) -> Collection[Alert]:
        """The alerts that changed since the last drain."""
        return self._changed.values()

    # Changes.

    def cause(
        self,
        kind: Kind,
        severity: Severity,
        subject: Subject,
        *,
        at_us: int,
        now_us: int,
        summary: Text,
        labels: dict[str, str] | None = None,
        position: int | None = None,
        due_us: int | None = None,
        suppressed_by: str | None = None,
        facts: dict[str, Any] | None = None,
    ) -> Alert:
        """Opens the alert, or counts one more cause of it while it fires.

        A cause that is not late ends the suppression of an alert whose first cause was.
        """
        found = self.about(kind, subject)
        if found is not None:
            found.count += 1
            found.summary = summary
            found.due_us = due_us
            found.facts |= facts or {}
            self.touch(found, now_us)
            if found.count <= _CAUSES_KEPT:
                self._entries.append(Entry(found, "cause", at_us, summary, position))
            if found.suppressed_by == states.SUPPRESSED_LATE and suppressed_by is None:
                self.unsuppress(found, now_us)
            return found
        opened = Alert(
            id=self._new_id(),
            kind=kind,
            fingerprint=fingerprint(kind, subject),
            severity=severity,
            subject=subject,
            started_at_us=min(at_us, now_us),  # received before the clock was set back, it is later
            opened_at_us=now_us,
            summary=summary,
            labels=labels or {},
            position=position,
            due_us=due_us,
            suppressed_by=suppressed_by,
            facts=facts or {},
        )
        self._own[opened.id] = opened
        self._place(opened, opened)
        self._opened.setdefault(opened.fingerprint, []).append(now_us)
        self.touch(opened, now_us)
        self._entries.append(Entry(opened, "opened", at_us, summary, position))
        return opened

    def resolve(self, alert: Alert, *, at_us: int, now_us: int, reason: Text, position: int | None = None) -> None:
        """Ends a firing alert; an acknowledgement ends with it."""
        alert.state = states.RESOLVED
        # By a client's clock it may end before it began.
        alert.ended_at_us = max(at_us, alert.started_at_us)
        alert.end_reason = reason
        alert.due_us = alert.repeat_us = None
        self._place(alert, None)
        self.touch(alert, now_us)
        self._entries.append(Entry(alert, "resolved", alert.ended_at_us, reason, position))

    def acknowledge(self, alert: Alert, who: str, now_us: int) -> None:
        """Somebody works on it: it is not repeated. Idempotent."""
        if alert.acknowledged_at_us is None:
            alert.acknowledged_by, alert.acknowledged_at_us, alert.repeat_us = who, now_us, None
            self.touch(alert, now_us)
            self._entries.append(Entry(alert, "acknowledged", now_us, ACKNOWLEDGED(), who=who))

    def suppress(self, alert: Alert, reason: str, now_us: int) -> None:
        """No notification of it is sent from here on, unless it is about a watched user."""
        if reason in states.OVERRULED_BY_WATCH and WATCHED_BY in alert.labels:
            return
        alert.suppressed_by = reason
        self.touch(alert, now_us)

    def unsuppress(self, alert: Alert, now_us: int) -> None:
        """The reason for its suppression is over: it is notified now."""
        reason, alert.suppressed_by = alert.suppressed_by, None
        self.touch(alert, now_us)
        self._entries.append(Entry(alert, "unheld", now_us, UNHELD(held=reason)))

    def notified(self, alert: Alert, repeat_us: int | None, now_us: int) -> None:
        """A notification of it became a message; it is repeated at ``repeat_us`` (None: never) if it still fires."""
        alert.notified = True
        if repeat_us is not None:
            alert.repeat_us = repeat_us
        self.touch(alert, now_us)

    def repeat(self, alert: Alert, next_us: int, now_us: int) -> None:
        """It still fires, and is notified again."""
        alert.repeat_us = next_us
        self.touch(alert, now_us)
        self._entries.append(Entry(alert, "repeat", now_us, STILL_FIRING()))

    def again(self, alert: Alert, now_us: int) -> None:
        """Its last cause is to be notified too."""
        self.touch(alert, now_us)
        self._entries.append(Entry(alert, "again", now_us, alert.summary))

    def touch(self, alert: Alert, now_us: int) -> None:
        """It changed and is to be written."""
        alert.changed_at_us = now_us
        self._changed[alert.id] = alert

    def drain(self) -> tuple[list[Alert], list[Entry]]:
        """The alerts that changed, and the new lines of their histories, since the last time: to be written."""
        changed, entries = list(self._changed.values()), self._entries
        self._changed, self._entries, self._opened, self._opened_before = {}, [], {}, {}
        return changed, entries

    def _new_id(self) -> int:
        if self._next_id is None:
            self._next_id = self._alert_log.next_id()
        self._next_id += 1
        return self._next_id - 1

    def _place(self, alert: Alert, now: Alert | None) -> None:
        """``now`` takes the place of the alert among those that fire."""
        who = _user_of(alert.subject)
        if who is None:
            self._others[alert.fingerprint] = now
        elif now is not None:
            self._users[who][alert.kind] = now
        else:
            self._users.get(who, {}).pop(alert.kind, None)


def _user_of(subject: Subject) -> UserId | None:
    return None if subject.app_id is None or subject.user_id is None else (subject.app_id, subject.user_id)
