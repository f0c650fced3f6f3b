"""``kick_storm``: many users of an app are kicked out at once."""

from __future__ import annotations

from typing import Final

from sidecar.domain import sdk_words
from sidecar.domain.alerts import alert as states
from sidecar.domain.alerts.opening import Covers
from sidecar.domain.alerts.rules.base_rule import Change
from sidecar.domain.alerts.rules.calls_failing import CallsFailing
from sidecar.domain.alerts.rules.kick_ping_pong import KickPingPong
from sidecar.domain.alerts.rules.kicked_out import KickedOut
from sidecar.domain.alerts.rules.storm_rule import StormRule, StormThresholds
from sidecar.domain.texts import Sentence

KICK_STORM: Final = Sentence("kick_storm", "%(count)s users were kicked out within %(span)s, %(share)s of those online")
KICK_STORM_OF: Final = Sentence(
    "kick_storm_of", "%(count)s users were kicked out within %(span)s, %(share)s of those online; %(common)s"
)


class KickStorm(StormRule[StormThresholds]):
    """Over when hardly anybody is kicked out any more."""

    kind = "kick_storm"
    severity = "critical"
    title = Sentence("kind.kick_storm", "Many are kicked out at once")
    advice = (
        Sentence("advice.find_second_login", "Look for a release or a server job that logs users in a second time."),
    )
    connection_events = frozenset({sdk_words.KICKED_OUT})
    # Calls of who was kicked out fail.
    covers = Covers(
        frozenset({KickedOut.kind, KickPingPong.kind, CallsFailing.kind}), states.SUPPRESSED_STORM, whole_app=True
    )
    sentence = KICK_STORM
    sentence_of = KICK_STORM_OF

    def on_event(self, change: Change) -> None:
        """A kick."""
        self.join(change)
