"""The alert rules over dictionaries in place of the database, for tests of single rules."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from sidecar.domain.alerts.alert import Alert, Kind, Subject
from sidecar.domain.alerts.firing import Entry, Firing, UserId
from sidecar.domain.alerts.rule_set import RuleSet, switches_of
from sidecar.domain.alerts.thresholds import Thresholds
from sidecar.domain.alerts.watchlist import Crowd, Measure, Traits, Watch
from sidecar.domain.events import Event
from sidecar.domain.kick import Cause
from sidecar.domain.status import Status
from sidecar.domain.units import SECOND_US
from tests.support.events import BEGIN_US


def us(seconds: float) -> int:
    """So many seconds after the tests' time begins."""
    return BEGIN_US + round(seconds * SECOND_US)


class Log:
    """The alerts as the last drain left them. Each read gives copies, and is counted."""

    def __init__(self) -> None:
        self.alerts: dict[int, Alert] = {}
        self.reads: list[tuple[str, int]] = []

    def about_users(self, users: Collection[UserId], /) -> list[Alert]:
        self.reads.append(("about_users", len(users)))
        return [one for one in self._firing() if (one.subject.app_id, one.subject.user_id) in users]

    def by_fingerprints(self, fingerprints: Sequence[str], /) -> list[Alert]:
        self.reads.append(("by_fingerprints", len(fingerprints)))
        return [one for one in self._firing() if one.fingerprint in fingerprints]

    def times_opened(self, fingerprints: Sequence[str], since_us: int, now_us: int, /) -> Mapping[str, int]:
        self.reads.append(("times_opened", len(fingerprints)))
        opened = [one.fingerprint for one in self.alerts.values() if since_us <= one.opened_at_us <= now_us]
        return {one: opened.count(one) for one in fingerprints if one in opened}

    def next_id(self) -> int:
        return len(self.alerts) + 1

    def write(self, alerts: Iterable[Alert]) -> None:
        self.alerts |= {one.id: msgspec.structs.replace(one) for one in alerts}

    def _firing(self) -> list[Alert]:
        return [msgspec.structs.replace(one) for one in self.alerts.values() if one.state == "firing"]


class Windows:
    """What the database would count for storms: set by the test."""

    def __init__(self) -> None:
        self.of_app = Crowd()
        self.moments: list[int] = []
        self.known: dict[Traits, int] = {}
        self.known_codes: dict[int, int] = {}
        self.hit = 0
        self.begun: list[tuple[Kind, int]] = []
        self.recorded: list[tuple[Kind, str]] = []
        self.stored: list[Alert] = []
        self.at_most: int | None = None
        self.reads: list[tuple[str, Kind, int, int]] = []

    def crowd(self, app_id: int, /) -> Crowd:
        return self.of_app if app_id == 7 else Crowd()

    def count(self, storm: Kind, app_id: int, since_us: int, /) -> int:
        self.reads.append(("count", storm, app_id, since_us))
        return sum(one > since_us for one in self.moments)

    def counted(self, storm: Kind, app_id: int, users: int, /) -> None:  # noqa: ARG002 - as the protocol has it
        self.at_most = users

    def traits(self, storm: Kind, app_id: int, since_us: int, /) -> Mapping[Traits, int]:
        self.reads.append(("traits", storm, app_id, since_us))
        return self.known

    def codes(self, storm: Kind, app_id: int, since_us: int, /) -> Mapping[int, int]:  # noqa: ARG002 - as the protocol has it
        return self.known_codes

    def newest_us(self, storm: Kind, app_id: int, /) -> int | None:  # noqa: ARG002 - as the protocol has it
        return max(self.moments, default=None)

    def affected(self, storm: Kind, app_id: int, since_us: int, measure: Measure, /) -> int:
        self.reads.append((measure, storm, app_id, since_us))
        return self.hit

    def begin(self, alert: Alert, since_us: int, /) -> None:
        self.begun.append((alert.kind, since_us))

    def record(self, alert: Alert, users: Collection[str], at_us: int, /) -> None:  # noqa: ARG002 - as the protocol has it
        self.recorded += [(alert.kind, user) for user in users]

    def singles(self, storm: Kind, app_id: int, since_us: int, kinds: Collection[Kind], /) -> list[Alert]:
        self.reads.append(("singles", storm, app_id, since_us))
        return [one for one in self.stored if one.kind in kinds]


class Rules:
    """The rules of one app's users, transaction by transaction."""

    def __init__(self, *, began_us: int = BEGIN_US, **limits: Any) -> None:
        self.limits = Thresholds(**limits)
        self.log = Log()
        self.windows = Windows()
        self.watch = Watch(switches_of(self.limits))
        self.entries: list[Entry] = []
        self._began_us = began_us
        self._begin()

    def _begin(self) -> None:
        self.firing = Firing(self.log)
        self.set = RuleSet(self.firing, self.limits, self.watch, self.windows, self._began_us)

    def commit(self) -> list[Entry]:
        """Ends the transaction; the lines that it added to histories."""
        changed, entries = self.firing.drain()
        self.log.write(changed)
        self.entries += entries
        self._begin()
        return entries

    def takes(
        self, event: Event, before: Status | None = None, status: Status | None = None, cause: Cause | None = None
    ) -> list[Entry]:
        """One event in a transaction of its own, received when it says."""
        self.set.apply(event, event.seq, event.received_at_us, before=before, status=status, cause=cause)
        return self.commit()

    def about(self, kind: Kind, subject: Subject) -> Alert:
        """The alert of this kind that fires about this."""
        found = self.firing.about(kind, subject)
        assert found is not None
        return found


def lines(entries: Iterable[Entry]) -> list[tuple[str, str, str]]:
    """What happened to which kind of alert, with its English."""
    return [(one.what, one.alert.kind, str(one.text)) for one in entries]
