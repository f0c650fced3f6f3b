"""``reconnect_storm``: many users of an app lose their connection at once."""

from __future__ import annotations

from typing import Final

from sidecar.domain.alerts import alert as states
from sidecar.domain.alerts.alert import Alert
from sidecar.domain.alerts.opening import Covers
from sidecar.domain.alerts.rules.base_rule import Change
from sidecar.domain.alerts.rules.client_lost import ClientLost
from sidecar.domain.alerts.rules.offline_too_long import OfflineTooLong
from sidecar.domain.alerts.rules.storm_rule import StormRule, is_calm
from sidecar.domain.alerts.watchlist import Crowd
from sidecar.domain.texts import Sentence

RECONNECT_STORM: Final = Sentence(
    "reconnect_storm", "%(count)s users lost their connection within %(span)s, %(share)s of those online"
)
RECONNECT_STORM_OF: Final = Sentence(
    "reconnect_storm_of", "%(count)s users lost their connection within %(span)s, %(share)s of those online; %(common)s"
)


class ReconnectStorm(StormRule):
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
    covers = Covers(frozenset({OfflineTooLong.kind, ClientLost.kind}), states.SUPPRESSED_STORM, whole_app=True)
    sentence = RECONNECT_STORM
    sentence_of = RECONNECT_STORM_OF

    def on_offline(self, change: Change) -> None:
        """A lost connection."""
        self.join(change)

    def lasts(self, alert: Alert, users: int, crowd: Crowd, now_us: int) -> bool:
        """Whether at least half of the ``users`` that lost their connection are without one, and that is a storm still.

        It is not known who they are, but how many were offline before, who may be still.
        """
        if now_us >= alert.facts["last_us"] + self._limits.resolve_after_us:
            return False
        gone = crowd.offline - alert.facts.get("others_offline", 0)
        return 2 * gone >= users and not is_calm(gone, crowd, self._limits)
