"""``lost_storm``: many users of an app stop giving signs of life at once."""

from __future__ import annotations

from typing import Final

from sidecar.domain.alerts import alert as states
from sidecar.domain.alerts.opening import Covers
from sidecar.domain.alerts.rules.app_silent import AppSilent
from sidecar.domain.alerts.rules.client_lost import ClientLost
from sidecar.domain.alerts.rules.due_storm import DueStorm
from sidecar.domain.texts import Sentence

LOST_STORM: Final = Sentence(
    "lost_storm", "%(count)s users stopped giving signs of life within %(span)s, %(share)s of those logged in"
)
LOST_STORM_OF: Final = Sentence(
    "lost_storm_of",
    "%(count)s users stopped giving signs of life within %(span)s, %(share)s of those logged in; %(common)s",
)


class LostStorm(DueStorm):
    """Over when, besides, most of its users have given a sign of life or logged out."""

    kind = "lost_storm"
    severity = "critical"
    title = Sentence("kind.lost_storm", "Many give no sign of life at once")
    advice = (
        Sentence(
            "advice.check_way_to_zimwatch",
            "So many devices rarely fail at once: look at the network between them and Zimwatch, at the proxy or "
            "ingress in front of it, and at the last release of the app.",
        ),
        Sentence(
            "advice.only_reports_missing",
            "Where chat still works, only the reports are missing.",
        ),
    )
    covers = Covers(frozenset({ClientLost.kind, AppSilent.kind}), states.SUPPRESSED_STORM, whole_app=True)
    sentence = LOST_STORM
    sentence_of = LOST_STORM_OF
    affected = "silent"
    others = "heard"
    single = ClientLost.kind
