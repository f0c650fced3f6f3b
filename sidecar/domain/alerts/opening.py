"""Opens alerts, as holds for every rule: late, covered and flapping ones are suppressed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from sidecar.domain.alerts import alert as states
from sidecar.domain.alerts.alert import Alert, Kind, Severity, Subject, fingerprint
from sidecar.domain.alerts.firing import Firing
from sidecar.domain.texts import Sentence, Text, duration
from sidecar.domain.units import HOUR_US, MINUTE_US

# The placeholder's name is stored with each text.
FLAPPING: Final = Sentence(
    "flapping", "%(told)s (flapping: %(count)s times within %(span)s; further ones are suppressed until it is stable)"
)


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
    """The way from a cause to an alert. ``covers``: what each kind covers."""

    def __init__(self, firing: Firing, limits: CommonThresholds, covers: Mapping[Kind, Covers]) -> None:
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
        **more: Any,  # noqa: ANN401 - as Firing.cause has it
    ) -> Alert | None:
        """Opens or counts, unless the kind is switched off; an opened one is suppressed where another covers it."""
        if kind in self._limits.off:
            return None
        is_new = self._firing.about(kind, subject) is None
        suppressed_by = states.SUPPRESSED_LATE if late else self.covered_by(kind, subject)
        alert = self._firing.cause(
            kind, severity, subject, at_us=at_us, now_us=now_us, summary=summary, suppressed_by=suppressed_by, **more
        )
        if is_new and suppressed_by is None and self._limits.flap_count:
            times = self._firing.times_opened(alert, now_us - self._limits.flap_window_us)
            if times > self._limits.flap_count:
                self._firing.suppress(alert, states.SUPPRESSED_FLAPPING, now_us)
            elif times == self._limits.flap_count:
                span = duration(self._limits.flap_window_us)
                alert.summary = FLAPPING(told=alert.summary, count=times, span=span)
                alert.labels = alert.labels | {"flapping": "true"}
        return alert

    def covered_by(self, kind: Kind, subject: Subject) -> str | None:
        """Why an alert would be suppressed by another that fires; None where it would not."""
        for covering, covers in self._covers.items():
            about = Subject(subject.app_id) if covers.whole_app else subject
            if kind in covers.kinds and self._firing.about(covering, about) is not None:
                return covers.reason
        return None
