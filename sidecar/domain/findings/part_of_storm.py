"""``part_of_storm``: the same happened to many users of the app at once, and an alert about it fires."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sidecar.domain.alerts.alert import Alert
from sidecar.domain.events import API_ERROR, Event
from sidecar.domain.findings import sources
from sidecar.domain.findings.finding import HOLDS_US, Check, Finding
from sidecar.domain.findings.life import Life
from sidecar.domain.sdk_words import KICKED_OUT, RECONNECTING
from sidecar.domain.status import ONLINE
from sidecar.domain.texts import Sentence

NOT_ONLY: Final = Sentence("finding.part_of_storm.not_only", "Not only this user: %(storm)s")
SAY_BEFORE: Final = Sentence(
    "finding.part_of_storm.say_before",
    "A short while ago many users had trouble, and you were one of them. For you it is over.",
)
_CALLS: Final = "calls_failing"
_EVIDENCE: Final[dict[str, Callable[[Event], bool]]] = {
    "kick_storm": lambda event: event.connection_event == KICKED_OUT,
    "reconnect_storm": lambda event: event.connection_state == RECONNECTING,
    "offline_storm": lambda event: event.connection_state == RECONNECTING,
    _CALLS: lambda event: event.type == API_ERROR,
}


class PartOfStorm(Check):
    """A storm that is over for the user is only worth knowing."""

    kind = "part_of_storm"
    severity = "critical"
    title = Sentence("finding.part_of_storm", "Many users at once")
    evidence = Sentence(
        "finding.part_of_storm.evidence",
        "An alert about many users (kick_storm, reconnect_storm, offline_storm, lost_storm, calls_failing) that has "
        "the user on its record; the user's events since it began.",
    )
    threshold = Sentence(
        "finding.part_of_storm.threshold", "Those of the alert (settings). Info where it is over for the user."
    )
    lifetime = Sentence("finding.part_of_storm.lifetime", "While the alert fires.")
    say = Sentence(
        "finding.part_of_storm.say",
        "It is not only you: many users have this at the moment, and nothing is wrong with your device.",
    )
    advice = (
        Sentence(
            "finding.part_of_storm.advice",
            "Look at the alert of the storm before this user: its page lists all users and what they share, such as a "
            "version or a platform. Do not log users in again from the app.",
        ),
    )
    source = sources.RECONNECTING

    @classmethod
    def find(cls, life: Life) -> Finding | None:
        """The newest storm."""
        if not life.storms or not life.events:
            return None
        storm = max(life.storms, key=lambda one: (one.opened_at_us, one.id))
        evidence = _evidence(life, storm)
        is_over = life.status == ONLINE and not life.unconfirmed
        if storm.kind == _CALLS:  # which changes no status
            is_over = evidence[-1].moment_us <= life.now_us - HOLDS_US
        return cls.found(
            NOT_ONLY(storm=storm.summary),
            evidence,
            say=SAY_BEFORE() if is_over else cls.say(),
            severity="info" if is_over else cls.severity,
            since_us=storm.started_at_us,
        )


def _evidence(life: Life, storm: Alert) -> list[Event]:
    since_us = storm.facts.get("since_us", storm.started_at_us)
    is_evidence = _EVIDENCE.get(storm.kind)
    own = [event for event in life.events if event.moment_us >= since_us and is_evidence and is_evidence(event)]
    return own or list(life.events[-1:])
