"""Matchers, silences and routes: which alerts a silence hides and a route takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from sidecar.domain.alerts.alert import Alert
from sidecar.domain.alerts.hours import Hours
from sidecar.domain.app_ids import AppIds

Matchers = Mapping[str, tuple[str, ...]]
"""Name of a label (or kind, severity, app_id, user_id) → the values it may have; ``*`` is any text."""


def matches(matchers: Matchers, known: Mapping[str, str]) -> bool:
    """Whether every matcher has one of its values in ``known``."""
    return all(name in known and any(fits(known[name], value) for value in values) for name, values in matchers.items())


def fits(known: str, wanted: str) -> bool:
    """Whether a value is the wanted one, in which ``*`` is any text."""
    first, *parts = wanted.split("*")
    if not parts:
        return known == wanted
    *middle, last = parts
    at, end = len(first), len(known) - len(last)
    if at > end or not (known.startswith(first) and known.endswith(last)):
        return False
    # The leftmost match of a part is always right, so that nothing is tried twice; `re` would compile each pattern.
    for part in middle:
        if (found := known.find(part, at, end)) < 0:
            return False
        at = found + len(part)
    return True


class Silence(msgspec.Struct, frozen=True, kw_only=True):
    """Suppresses what it matches from ``starts_at_us`` until ``ends_at_us``."""

    id: int
    matchers: dict[str, tuple[str, ...]]
    starts_at_us: int
    ends_at_us: int
    author: str
    reason: str
    created_at_us: int = 0
    app_id: int | None = None  # it hides the alerts of that app only

    def is_within(self, apps: AppIds) -> bool:
        """Whether all that it may ever hide is of these apps."""
        named = (str(self.app_id),) if self.app_id is not None else self.matchers.get("app_id", ("*",))
        return apps is None or set(named) <= {str(app_id) for app_id in apps}

    def hides(self, alert: Alert, now_us: int) -> bool:
        """Whether it is in force and matches."""
        return self.starts_at_us <= now_us < self.ends_at_us and self.fits(alert)

    def fits(self, alert: Alert) -> bool:
        """Whether it would hide the alert if it were in force."""
        if self.app_id is not None and alert.subject.app_id != self.app_id:
            return False
        return matches(self.matchers, alert.matched)


class Silences:
    """Many silences, of which an alert is compared with few: those of its user, and those that name no user."""

    def __init__(self, silences: Iterable[Silence]) -> None:
        self._of_user: dict[str, list[Silence]] = {}
        self._others: list[Silence] = []
        for silence in silences:
            users = silence.matchers.get("user_id", ("*",))
            if any("*" in user for user in users):
                self._others.append(silence)
            else:
                for user in dict.fromkeys(users):
                    self._of_user.setdefault(user, []).append(silence)

    def __bool__(self) -> bool:
        return bool(self._of_user or self._others)

    def hide(self, alert: Alert, now_us: int) -> bool:
        """Whether one of them is in force and matches."""
        of_user = self._of_user.get(alert.subject.user_id or "", ())
        return any(one.hides(alert, now_us) for silences in (of_user, self._others) for one in silences)


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """What it matches, in its hours, goes to its receivers."""

    match: dict[str, tuple[str, ...]] = {}
    receivers: tuple[str, ...] = ()
    hours: Hours | None = None

    def takes(self, alert: Alert, now_us: int) -> bool:
        """Whether the alert is this route's at that moment."""
        return matches(self.match, alert.matched) and (self.hours is None or self.hours.cover(now_us))


def receivers_for(alert: Alert, routes: Iterable[Route], every: tuple[str, ...], now_us: int) -> tuple[str, ...]:
    """Those of the first route that takes it; without routes, every one. No receiver is notified of its own failure."""
    routes = tuple(routes)
    names = every
    if routes:
        names = next((route.receivers for route in routes if route.takes(alert, now_us)), ())
    return tuple(name for name in names if alert.subject.other != f"receiver {name}")
