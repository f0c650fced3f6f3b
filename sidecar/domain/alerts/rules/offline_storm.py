"""``offline_storm``: many users of an app have been offline for too long at once."""

from __future__ import annotations

from typing import Final

from sidecar.domain.alerts import alert as states
from sidecar.domain.alerts.opening import Covers
from sidecar.domain.alerts.rules.app_silent import AppSilent
from sidecar.domain.alerts.rules.calls_failing import CallsFailing
from sidecar.domain.alerts.rules.client_lost import ClientLost
from sidecar.domain.alerts.rules.due_storm import DueStorm
from sidecar.domain.alerts.rules.lost_storm import LostStorm
from sidecar.domain.alerts.rules.offline_too_long import OfflineTooLong
from sidecar.domain.alerts.rules.reconnect_storm import ReconnectStorm
from sidecar.domain.texts import Sentence

OFFLINE_STORM: Final = Sentence(
    "offline_storm", "%(count)s users came to be offline for too long within %(span)s, %(share)s of those online before"
)
OFFLINE_STORM_OF: Final = Sentence(
    "offline_storm_of",
    "%(count)s users came to be offline for too long within %(span)s, %(share)s of those online before; %(common)s",
)


class OfflineStorm(DueStorm):
    """An outage that was not seen to begin: Zimwatch was down, or the users lost the connection one by one.

    Over when, besides, most of its users are back or have gone silent. None opens where a ``reconnect_storm`` fires.
    """

    kind = "offline_storm"
    severity = "critical"
    title = Sentence("kind.offline_storm", "Many are offline too long at once")
    advice = ReconnectStorm.advice
    covers = Covers(
        frozenset({OfflineTooLong.kind, ClientLost.kind, LostStorm.kind, CallsFailing.kind, AppSilent.kind}),
        states.SUPPRESSED_STORM,
        whole_app=True,
    )
    sentence = OFFLINE_STORM
    sentence_of = OFFLINE_STORM_OF
    affected = "offline"
    single = OfflineTooLong.kind
    counted_by = frozenset({ReconnectStorm.kind})
