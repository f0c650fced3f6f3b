"""``app_silent``: an app that normally sends has stopped: nothing is received from any of its devices."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from sidecar.domain.activity import LONGEST_MINUTES
from sidecar.domain.alerts import alert as states
from sidecar.domain.alerts.alert import Subject
from sidecar.domain.alerts.opening import CommonThresholds, Covers
from sidecar.domain.alerts.rules.base_rule import Rule
from sidecar.domain.alerts.rules.client_lost import ClientLost
from sidecar.domain.texts import Sentence, duration
from sidecar.domain.units import MINUTE_US

APP_SILENT: Final = Sentence(
    "app_silent", "Nothing was received from the app for %(span)s, although it sends at this time on other days"
)
SENDS_AGAIN: Final = Sentence("sends_again", "the app sends again")


@dataclass(frozen=True, kw_only=True)
class SilentThresholds(CommonThresholds):
    """How long an app may send nothing that normally has so many users at once; 0 switches the rule off."""

    app_silent_us: int = 15 * MINUTE_US
    app_silent_users: int = 10


class AppSilent(Rule[SilentThresholds]):
    """One for each app. Which silence is unusual is judged by :mod:`sidecar.domain.activity`.

    A release that sends nothing is rarely a storm: its users fall silent one after another, as each gets it. Where many
    do so at once a storm fires first, and covers this.
    """

    kind = "app_silent"
    severity = "critical"
    title = Sentence("kind.app_silent", "An app sends nothing any more")
    advice = (
        Sentence(
            "advice.check_release_sends",
            "Look whether the app's last release still installs the tap or port, before it creates ZIM, and where it "
            "sends to.",
        ),
        Sentence(
            "advice.check_way_and_token",
            "Look at the ingest token, at the page's Content-Security-Policy, and at the proxy in front of Zimwatch.",
        ),
    )
    covers = Covers(frozenset({ClientLost.kind}), states.SUPPRESSED_STORM, whole_app=True)

    @classmethod
    def is_on(cls, limits: SilentThresholds) -> bool:
        """Whether there is a time that is too long."""
        return limits.app_silent_us > 0 and super().is_on(limits)

    def follow(
        self, missed_since_us: Mapping[int, int], sending: Collection[int], firing: Iterable[int], now_us: int
    ) -> None:
        """Since when apps are silent that normally send, and which send. ``firing``: apps about which it fires."""
        for app_id in sorted(firing):
            alert = self._firing.about(self.kind, Subject(app_id))
            if alert is None:
                continue
            if app_id in sending:
                self._firing.resolve(alert, at_us=now_us, now_us=now_us, reason=SENDS_AGAIN())
            elif alert.suppressed_by == states.SUPPRESSED_STORM and not self._opening.covered_by(
                self.kind, alert.subject
            ):
                self._firing.unsuppress(alert, now_us)  # the storm that covered it is over
        if not self.is_on(self._limits):
            return
        for app_id, since_us in sorted(missed_since_us.items()):
            if self._firing.about(self.kind, Subject(app_id)) is None:
                self.cause(
                    Subject(app_id),
                    since_us,
                    now_us,
                    APP_SILENT(span=duration(now_us - since_us)),
                    due_us=max(now_us + self._limits.resolve_after_us, since_us + LONGEST_MINUTES * MINUTE_US),
                )
