"""The alerts that fire now, at most one for each fingerprint, and what became of them since it was last asked.

Of an alert that nothing touches no more is held than whom it is about, its kind, and when to look at it next. All else
is in the :class:`Ledger`, is read when something touches the alert, and is let go once it has been drained.

Holds no clock and no database: whoever keeps the alerts asks :meth:`Book.drain` what there is to write.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal, Protocol

import msgspec

from sidecar.domain.alerting import alert as states
from sidecar.domain.alerting import kinds, words
from sidecar.domain.alerting.alert import Alert, Subject, fingerprint
from sidecar.domain.alerting.kinds import SEVERITY, Kind
from sidecar.domain.alerting.queue import Queue

UserId = tuple[int, str]
About = tuple[int | None, str | None] | tuple[int | None, None, str]
"""Whom or what alerts are about: a :class:`UserId`, or app, None and ``other`` of their subject."""

What = Literal["opened", "cause", "resolved", "acknowledged", "unheld", "repeat"]
# A cause that repeats is counted without end, but written down only this often.
CAUSES_TOLD = 20
# Shared by all about whom one alert fires, which are nearly all.
_ONLY: Final[dict[Kind, tuple[Kind, ...]]] = {kind: (kind,) for kind in kinds.KINDS}


def about_of(subject: Subject) -> About:
    """The key under which the book has what fires about it."""
    if subject.app_id is not None and subject.user_id is not None:
        return subject.app_id, subject.user_id
    return subject.app_id, None, subject.other


class Ledger(Protocol):
    """What fires, as the last drain left it."""

    def by_fingerprints(self, fingerprints: Sequence[str], /) -> Iterable[Alert]:
        """Those with these fingerprints."""

    def by_ids(self, ids: Sequence[int], /) -> Iterable[Alert]:
        """Those of these that fire, oldest first."""


class Entry(msgspec.Struct, frozen=True):
    """One line of an alert's story. ``who`` is a person, or None for Zimwatch itself."""

    alert: Alert
    what: What
    at_us: int
    text: str
    position: int | None = None
    who: str | None = None


class Book:
    """See the module. ``next_id`` is the id of the next alert that opens; ``ledger`` is the present transaction's.

    ``times_counted``: up to how many times :meth:`times_opened` counts beside the one that fires.
    """

    def __init__(self, ledger: Ledger, next_id: int, times_counted: int) -> None:
        self.ledger = ledger
        self._times_counted = times_counted
        self.fires: dict[About, tuple[Kind, ...]] = {}
        self._next_id = next_id
        # An alert stands in it no later than it is due: what it is due may be put off many times before that.
        self._due = Queue()
        self._repeats = Queue()
        # What was read from the ledger or opened since the last drain, by fingerprint; one object for each alert.
        self._at_hand: dict[str, Alert] = {}
        self._entries: list[Entry] = []
        self._changed: dict[int, Alert] = {}
        # When each fingerprint fired lately and was over again: what flaps is known by it.
        self._over: dict[str, tuple[int, ...]] = {}

    # What was so before: read from the ledger.

    def remember(
        self, alert_id: int, kind: Kind, subject: Subject, due_us: int | None = None, repeat_us: int | None = None
    ) -> None:
        """This alert fires."""
        self._index(kind, subject)
        if due_us is not None:
            self._due.put(due_us, alert_id)
        if repeat_us is not None:
            self._repeats.put(repeat_us, alert_id)

    def remember_over(self, fp: str, opened_us: int) -> None:
        """An alert with this fingerprint opened then, and is over."""
        if self._times_counted:
            self._over[fp] = (*self._over.get(fp, ()), opened_us)[-self._times_counted :]

    # What fires.

    def of_user(self, who: UserId, kind: Kind) -> Alert | None:
        """The alert of this kind that fires for a user."""
        return self.about(kind, Subject(*who)) if kind in self.fires.get(who, ()) else None

    def does_fire(self, kind: Kind, subject: Subject) -> bool:
        """Whether an alert of this kind fires about this."""
        return kind in self.fires.get(about_of(subject), ())

    def about(self, kind: Kind, subject: Subject) -> Alert | None:
        """The alert that fires about this."""
        if not self.does_fire(kind, subject):
            return None
        fp = fingerprint(kind, subject)
        if fp not in self._at_hand:
            (self._at_hand[fp],) = self.ledger.by_fingerprints([fp])
        return self._at_hand[fp]

    def fetch(self, about: Iterable[About]) -> None:
        """Reads at once all that fires about these, which else is read one by one where it is asked for."""
        wanted = [fingerprint(kind, Subject(*one)) for one in about for kind in self.fires.get(one, ())]
        missing = [fp for fp in wanted if fp not in self._at_hand]
        if missing:
            self._at_hand.update((alert.fingerprint, alert) for alert in self.ledger.by_fingerprints(missing))

    def at_hand(self, alert: Alert) -> Alert:
        """The book's own object of an alert that was read from the ledger: changes to it are kept."""
        if alert.state != states.FIRING:
            return alert
        return self._changed.get(alert.id) or self._at_hand.setdefault(alert.fingerprint, alert)

    def firing(self, ids: Sequence[int]) -> list[Alert]:
        """Those of the alerts with these ids that still fire, oldest first."""
        found = [self.at_hand(alert) for alert in self.ledger.by_ids(ids)]
        return [alert for alert in found if alert.state == states.FIRING]

    # What becomes of it.

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
        found = self.about(kind, subject)
        if found is not None:
            found.count += 1
            found.summary = summary
            if due_us is not None and (found.due_us is None or due_us < found.due_us):
                self._due.put(due_us, found.id)
            found.due_us = due_us
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
            fingerprint=fingerprint(kind, subject),
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
        self._index(kind, subject)
        self._at_hand[opened.fingerprint] = opened
        if due_us is not None:
            self._due.put(due_us, opened.id)
        self._written(opened, now_us)
        self._entries.append(Entry(opened, "opened", at_us, summary, position))
        return opened

    def times_opened(self, alert: Alert, since_us: int) -> int:
        """How often its fingerprint fired since then, with this one that fires; see ``times_counted``."""
        return 1 + sum(opened_us >= since_us for opened_us in self._over.get(alert.fingerprint, ()))

    def forget_before(self, since_us: int) -> None:
        """Lets go of what fired longer ago than flapping looks back."""
        for fp in [fp for fp, opened in self._over.items() if opened[-1] < since_us]:
            del self._over[fp]

    def resolve(self, alert: Alert, *, at_us: int, now_us: int, reason: str, position: int | None = None) -> None:
        """Ends a firing alert; an acknowledgement ends with it."""
        alert.state = states.RESOLVED
        # A client's clock may say that it ended before it began.
        alert.ended_at_us = max(at_us, alert.started_at_us)
        alert.end_reason = reason
        alert.due_us = alert.repeat_us = None
        about = about_of(alert.subject)
        left = tuple(kind for kind in self.fires[about] if kind != alert.kind)
        if left:
            self.fires[about] = left
        else:
            del self.fires[about]
        self._at_hand.pop(alert.fingerprint, None)
        self._due.drop(alert.id)
        self._repeats.drop(alert.id)
        self.remember_over(alert.fingerprint, alert.opened_at_us)
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

    def told(self, alert: Alert, repeat_us: int | None, now_us: int) -> None:
        """A notification of it has left the queue; then it is told again, unless it is None, if it still fires."""
        alert.told = True
        if repeat_us is not None:
            self._repeat_at(alert, repeat_us)
        self._written(alert, now_us)

    def repeat(self, alert: Alert, next_us: int, now_us: int) -> None:
        """It still fires, and is told again."""
        self._repeat_at(alert, next_us)
        self._written(alert, now_us)
        self._entries.append(Entry(alert, "repeat", now_us, words.STILL_FIRING()))

    def touch(self, alert: Alert, now_us: int) -> None:
        """Something else of it changed and has to be written."""
        self._written(alert, now_us)

    # Time.

    def due(self, now_us: int, most: int) -> list[Alert]:
        """The alerts that time alone ends by now; ``most`` are looked at, and :attr:`next_due_us` says if more wait."""
        found = []
        for alert in self.firing(self._due.take(now_us, most)):
            if alert.due_us is not None and alert.due_us <= now_us:
                found.append(alert)
            elif alert.due_us is not None:
                self._due.put(alert.due_us, alert.id)
        return sorted(found, key=lambda alert: (alert.due_us, alert.id))

    def to_repeat(self, now_us: int, most: int) -> list[Alert]:
        """The alerts that are to be told again by now; ``most`` are looked at, as by :meth:`due`."""
        found = self.firing(self._repeats.take(now_us, most))
        return [alert for alert in found if alert.repeat_us is not None and alert.repeat_us <= now_us]

    @property
    def next_due_us(self) -> int | None:
        """When time alone may end one next."""
        return self._due.next_us

    @property
    def next_repeat_us(self) -> int | None:
        """When one may have to be told again next."""
        return self._repeats.next_us

    def drain(self) -> tuple[list[Alert], list[Entry]]:
        """The alerts whose rows have changed, and their stories' new lines, since the last time; they are let go."""
        changed, entries = list(self._changed.values()), self._entries
        self._at_hand, self._changed, self._entries = {}, {}, []
        return changed, entries

    def _index(self, kind: Kind, subject: Subject) -> None:
        about = about_of(subject)
        known = self.fires.get(about)
        self.fires[about] = (*known, kind) if known else _ONLY[kind]

    def _repeat_at(self, alert: Alert, at_us: int) -> None:
        alert.repeat_us = at_us
        self._repeats.put(at_us, alert.id)

    def _written(self, alert: Alert, now_us: int) -> None:
        alert.changed_at_us = now_us
        self._changed[alert.id] = alert
