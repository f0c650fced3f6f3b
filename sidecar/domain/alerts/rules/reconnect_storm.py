"""``reconnect_storm``: many users of an app lose their connection at once."""

from __future__ import annotations

from typing import Final

from sidecar.domain.alerts import alert as states
from sidecar.domain.alerts.opening import Covers
from sidecar.domain.alerts.rules.app_silent import AppSilent
from sidecar.domain.alerts.rules.base_rule import Change
from sidecar.domain.alerts.rules.calls_failing import CallsFailing
from sidecar.domain.alerts.rules.client_lost import ClientLost
from sidecar.domain.alerts.rules.lost_storm import LostStorm
from sidecar.domain.alerts.rules.offline_too_long import OfflineTooLong
from sidecar.domain.alerts.rules.storm_rule import StormRule, StormThresholds
from sidecar.domain.texts import Sentence

RECONNECT_STORM: Final = Sentence(
    "reconnect_storm", "%(count)s users lost their connection within %(span)s, %(share)s of those online"
)
RECONNECT_STORM_OF: Final = Sentence(
    "reconnect_storm_of", "%(count)s users lost their connection within %(span)s, %(share)s of those online; %(common)s"
)


class ReconnectStorm(StormRule[StormThresholds]):
    """Over when, besides, most of the users that it took offline are back.

    An outage does not end when nobody is left to lose the connection.
    """

    kind = "reconnect_storm"
    severity = "critical"
    title = Sentence("kind.reconnect_storm", "Many lose the network at once")
    advice = (
        Sentence("advice.check_zim_status", "Look at the network and at ZIM's status first."),
        Sentence("advice.sdk_reconnects", "The SDK reconnects by itself."),
    )
    covers = Covers(
        frozenset({OfflineTooLong.kind, ClientLost.kind, LostStorm.kind, CallsFailing.kind, AppSilent.kind}),
        states.SUPPRESSED_STORM,
        whole_app=True,
    )
    sentence = RECONNECT_STORM
    sentence_of = RECONNECT_STORM_OF
    affected = "offline"

    def on_offline(self, change: Change) -> None:
        """A lost connection."""
        self.join(change)
