"""The alerts that fire now, at most one for each fingerprint, and what became of them since it was last asked.

Holds no clock and no database: whoever keeps the alerts asks :meth:`Book.drain` what there is to write.
"""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from sidecar.domain.alerting import alert as states
from sidecar.domain.alerting import words
from sidecar.domain.alerting.alert import Alert, Subject, fingerprint
from sidecar.domain.alerting.kinds import SEVERITY, Kind

UserId = tuple[int, str]
What = Literal["opened", "cause", "resolved", "acknowledged", "unheld", "repeat"]
# A cause that repeats is counted without end, but written down only this often.
CAUSES_TOLD = 20


class Entry(msgspec.Struct, frozen=True):
    """One line of an alert's story. ``who`` is a person, or None for Zimwatch itself."""

    alert: Alert
    what: What
    at_us: int
    text: str
    position: int | None = None
    who: str | None = None


class Book:
    """See the module. ``next_id`` is the id of the next alert that opens."""

    def __init__(self, firing: Iterable[Alert], next_id: int, opened: Iterable[tuple[str, int]] = ()) -> None:
        self.firing: dict[str, Alert] = {}
        self.by_id: dict[int, Alert] = {}
        self.by_user: dict[UserId, dict[str, Alert]] = defaultdict(dict)
        self.by_kind: dict[str, dict[int, Alert]] = defaultdict(dict)
        self._next_id = next_id
        # Each alert at most once, by when to look at it next: what it is due may be put off many times before that.
        self._due: list[tuple[int, int]] = []
        self._queued: dict[int, int] = {}
        self._entries: list[Entry] = []
        self._changed: dict[int, Alert] = {}
        # When each fingerprint fired lately: what flaps is known by it.
        self._opened: dict[str, deque[int]] = defaultdict(deque)
        for alert in firing:
            self._hold(alert)
        for fp, opened_us in opened:
            self._opened[fp].append(opened_us)

    def of_user(self, who: UserId, kind: Kind) -> Alert | None:
        """The alert of this kind that fires for a user."""
        own = self.by_user.get(who)
        return own.get(kind) if own else None

    def about(self, kind: Kind, subject: Subject) -> Alert | None:
        """The alert that fires about this."""
        return self.firing.get(fingerprint(kind, subject))

    def cause(
        self,
        kind: Kind,
        subject: Subject,
        *,
        at_us: int,
        now_us: int,
        summary: str,
        labels: dict[str, str] | None = None,
        position: int | None = None,
        due_us: int | None = None,
        held: str | None = None,
        facts: dict[str, Any] | None = None,
    ) -> Alert:
        """Opens the alert, or counts one more cause of it while it fires.

        A fresh cause of an alert that nobody was called for because its first one was late calls somebody after all.
        """
        fp = fingerprint(kind, subject)
        found = self.firing.get(fp)
        if found is not None:
            found.count += 1
            found.summary = summary
            found.due_us = due_us
            self._queue(found)
            found.facts |= facts or {}
            self._written(found, now_us)
            if found.count <= CAUSES_TOLD:
                self._entries.append(Entry(found, "cause", at_us, summary, position))
            if found.held == states.HELD_LATE and held is None:
                self.unhold(found, now_us)
            return found
        opened = Alert(
            id=self._next_id,
            kind=kind,
            fingerprint=fp,
            severity=SEVERITY[kind],
            subject=subject,
            started_at_us=at_us,
            opened_at_us=now_us,
            summary=summary,
            labels=labels or {},
            position=position,
            due_us=due_us,
            held=held,
            facts=facts or {},
        )
        self._next_id += 1
        self._hold(opened)
        self._opened[fp].append(now_us)
        self._written(opened, now_us)
        self._entries.append(Entry(opened, "opened", at_us, summary, position))
        return opened

    def times_opened(self, fp: str, since_us: int) -> int:
        """How often the fingerprint fired since then."""
        times = self._opened.get(fp)
        if not times:
            return 0
        while times and times[0] < since_us:
            times.popleft()
        return len(times)

    def forget_before(self, since_us: int) -> None:
        """Lets go of what fired longer ago than flapping looks back."""
        for fp in [fp for fp, times in self._opened.items() if not times or times[-1] < since_us]:
            del self._opened[fp]

    def resolve(self, alert: Alert, *, at_us: int, now_us: int, reason: str, position: int | None = None) -> None:
        """Ends a firing alert; an acknowledgement ends with it."""
        alert.state = states.RESOLVED
        # A client's clock may say that it ended before it began.
        alert.ended_at_us = max(at_us, alert.started_at_us)
        alert.end_reason = reason
        alert.due_us = alert.repeat_us = None
        del self.firing[alert.fingerprint]
        del self.by_id[alert.id]
        del self.by_kind[alert.kind][alert.id]
        who = (alert.subject.app_id, alert.subject.user_id)
        if who[0] is not None and who[1] is not None:
            own = self.by_user[who[0], who[1]]
            own.pop(alert.kind, None)
            if not own:
                del self.by_user[who[0], who[1]]
        self._written(alert, now_us)
        self._entries.append(Entry(alert, "resolved", alert.ended_at_us, reason, position))

    def acknowledge(self, alert: Alert, who: str, now_us: int) -> None:
        """Somebody has taken it on: it is not repeated. Twice is once."""
        if alert.acknowledged_at_us is None:
            alert.acknowledged_by, alert.acknowledged_at_us, alert.repeat_us = who, now_us, None
            self._written(alert, now_us)
            self._entries.append(Entry(alert, "acknowledged", now_us, words.ACKNOWLEDGED(), who=who))

    def hold(self, alert: Alert, reason: str, now_us: int) -> None:
        """Nobody is called for it from here on."""
        alert.held = reason
        self._written(alert, now_us)

    def unhold(self, alert: Alert, now_us: int) -> None:
        """What held it back is over: somebody is called for it now."""
        reason, alert.held = alert.held, None
        self._written(alert, now_us)
        self._entries.append(Entry(alert, "unheld", now_us, words.UNHELD(held=reason)))

    def repeat(self, alert: Alert, next_us: int, now_us: int) -> None:
        """It still fires, and is told again."""
        alert.repeat_us = next_us
        self._written(alert, now_us)
        self._entries.append(Entry(alert, "repeat", now_us, words.STILL_FIRING()))

    def touch(self, alert: Alert, now_us: int) -> None:
        """Something else of it changed and has to be written."""
        self._written(alert, now_us)

    def due(self, now_us: int) -> list[Alert]:
        """The alerts that time alone ends by now, each once."""
        found: dict[int, Alert] = {}
        while self._due and self._due[0][0] <= now_us:
            due_us, alert_id = heapq.heappop(self._due)
            if self._queued.get(alert_id) == due_us:
                del self._queued[alert_id]
            alert = self.by_id.get(alert_id)
            if alert is None or alert.due_us is None:
                continue
            if alert.due_us <= now_us:
                found[alert_id] = alert
            else:
                self._queue(alert)
        return list(found.values())

    @property
    def next_due_us(self) -> int | None:
        """When time alone may end one next."""
        return self._due[0][0] if self._due else None

    def drain(self) -> tuple[list[Alert], list[Entry]]:
        """The alerts whose rows have changed, and their stories' new lines, since the last time."""
        changed, entries = list(self._changed.values()), self._entries
        self._changed, self._entries = {}, []
        return changed, entries

    def _hold(self, alert: Alert) -> None:
        self.firing[alert.fingerprint] = alert
        self.by_id[alert.id] = alert
        self.by_kind[alert.kind][alert.id] = alert
        if alert.subject.app_id is not None and alert.subject.user_id is not None:
            self.by_user[alert.subject.app_id, alert.subject.user_id][alert.kind] = alert
        self._queue(alert)

    def _queue(self, alert: Alert) -> None:
        queued_us = self._queued.get(alert.id)
        if alert.due_us is not None and (queued_us is None or alert.due_us < queued_us):
            self._queued[alert.id] = alert.due_us
            heapq.heappush(self._due, (alert.due_us, alert.id))

    def _written(self, alert: Alert, now_us: int) -> None:
        alert.changed_at_us = now_us
        self._changed[alert.id] = alert
