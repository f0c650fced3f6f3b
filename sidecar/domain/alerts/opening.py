"""Opens alerts, as holds for every rule: late, covered and flapping ones are suppressed, but for watched users."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from sidecar.domain.alerts import alert as states
from sidecar.domain.alerts.alert import Alert, Kind, Severity, Subject, fingerprint
from sidecar.domain.alerts.firing import Firing
from sidecar.domain.alerts.labels import WATCHED_BY
from sidecar.domain.alerts.user_watches import UserWatch, UserWatches
from sidecar.domain.texts import Sentence, Text, duration
from sidecar.domain.units import HOUR_US, MINUTE_US

# The placeholder's name is stored with each text.
FLAPPING: Final = Sentence(
    "flapping", "%(told)s (flapping: %(count)s times within %(span)s; further ones are suppressed until it is stable)"
)
# Of an alert that an event opened whose user nobody vouched for: the label, and the text.
PROVEN: Final = "proven"
UNPROVEN: Final = Sentence("unproven", "%(told)s (reported without a proof of the user)")
# Facts of alerts about watched users: whether it is one only because of that, and when it last notified again.
FOR_WATCH: Final = "for_watch"
_AGAIN_US: Final = "again_us"
# Devices that kick each other out every second are not a message a second.
_AGAIN_AFTER_US: Final = MINUTE_US


@dataclass(frozen=True, kw_only=True)
class CommonThresholds:
    """Those of every rule. ``off``: the kinds that are switched off."""

    resolve_after_us: int = 24 * HOUR_US
    max_age_us: int = 15 * MINUTE_US
    flap_count: int = 4
    flap_window_us: int = 15 * MINUTE_US
    off: frozenset[str] = frozenset()


class Covers(msgspec.Struct, frozen=True):
    """What a firing alert stands for: alerts of ``kinds`` about its subject, or about anything of its app.

    They are suppressed for ``reason`` while it fires.
    """

    kinds: frozenset[Kind]
    reason: str
    whole_app: bool = False


class Opening:
    """The way from a cause to an alert. ``covers``: what each kind covers.

    About a user that is watched an alert notifies at once, and again when it happens again.
    """

    def __init__(
        self,
        firing: Firing,
        limits: CommonThresholds,
        covers: Mapping[Kind, Covers],
        watches: UserWatches | None = None,
    ) -> None:
        self._watches = watches or UserWatches()
        self._firing = firing
        self._limits = limits
        self._covers = covers

    def expect(self, alerts: Iterable[tuple[Kind, Subject]], now_us: int) -> None:
        """These may open: reads at once what that takes, instead of one by one."""
        if self._limits.flap_count:
            since_us = now_us - self._limits.flap_window_us
            self._firing.fetch_openings((fingerprint(*one) for one in alerts), since_us, now_us)

    def cause(
        self,
        kind: Kind,
        severity: Severity,
        subject: Subject,
        *,
        at_us: int,
        now_us: int,
        summary: Text,
        late: bool = False,
        for_watch: bool = False,
        **more: Any,  # noqa: ANN401 - as Firing.cause has it
    ) -> Alert | None:
        """Opens or counts, unless the kind is switched off; an opened one is suppressed where another covers it.

        ``for_watch``: it is no cause but for those who watch the user.
        """
        if kind in self._limits.off:
            return None
        found = self._firing.about(kind, subject)
        is_new, was_suppressed_by = found is None, None if found is None else found.suppressed_by
        watches = () if late else self._watches.of(subject)
        covered_by = None if watches else self.covered_by(kind, subject)
        suppressed_by = states.SUPPRESSED_LATE if late else covered_by
        if for_watch and is_new:
            more["facts"] = (more.get("facts") or {}) | {FOR_WATCH: True}
        alert = self._firing.cause(
            kind, severity, subject, at_us=at_us, now_us=now_us, summary=summary, suppressed_by=suppressed_by, **more
        )
        if is_new and PROVEN in alert.labels:
            alert.summary = UNPROVEN(told=alert.summary)
        if not is_new and not late and alert.suppressed_by == was_suppressed_by:
            self._notify_again(alert, watches, now_us, for_watch=for_watch)
        if watches:
            alert.labels = alert.labels | {WATCHED_BY: ", ".join(one.author for one in watches)}
        elif is_new and suppressed_by is None and self._limits.flap_count:
            times = self._firing.times_opened(alert, now_us - self._limits.flap_window_us)
            if times > self._limits.flap_count:
                self._firing.suppress(alert, states.SUPPRESSED_FLAPPING, now_us)
            elif times == self._limits.flap_count:
                span = duration(self._limits.flap_window_us)
                alert.summary = FLAPPING(told=alert.summary, count=times, span=span)
                alert.labels = alert.labels | {"flapping": "true"}
        return alert

    def is_watched(self, subject: Subject) -> bool:
        """Whether somebody watches this user."""
        return bool(self._watches.of(subject))

    def _notify_again(self, alert: Alert, watches: Sequence[UserWatch], now_us: int, *, for_watch: bool) -> None:
        """One more cause of an alert that fires."""
        if alert.facts.get(FOR_WATCH) and not for_watch:
            # From now on it is an alert for everybody.
            alert.facts = alert.facts | {FOR_WATCH: False}
        elif not watches or 0 <= now_us - alert.facts.get(_AGAIN_US, alert.opened_at_us) < _AGAIN_AFTER_US:
            return
        alert.facts = alert.facts | {_AGAIN_US: now_us}
        if alert.suppressed_by in states.OVERRULED_BY_WATCH:
            if watches:
                self._firing.unsuppress(alert, now_us)
        else:
            self._firing.again(alert, now_us)

    def covered_by(self, kind: Kind, subject: Subject) -> str | None:
        """Why an alert would be suppressed by another that fires; None where it would not."""
        for covering, covers in self._covers.items():
            about = Subject(subject.app_id) if covers.whole_app else subject
            if kind in covers.kinds and self._firing.about(covering, about) is not None:
                return covers.reason
        return None
