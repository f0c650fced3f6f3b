"""``server_disagrees``: ZEGO's server and the devices have reported different things for longer than a lease."""

from __future__ import annotations

from typing import Final

from sidecar.domain.events import CONNECTION_STATE_CHANGED, LOGOUT, SERVER_USER_ACTION
from sidecar.domain.findings import sources
from sidecar.domain.findings.devices import is_live
from sidecar.domain.findings.finding import Check, Finding
from sidecar.domain.findings.life import Life
from sidecar.domain.server_view import REASONS
from sidecar.domain.status import ONLINE
from sidecar.domain.texts import Sentence

SAY_CONNECTED: Final = Sentence(
    "finding.server_disagrees.say_connected",
    "The chat service has you connected, but I cannot see the device. Do you also use the app on another phone or "
    "computer?",
)
_OF_DEVICES: Final = frozenset({CONNECTION_STATE_CHANGED, LOGOUT})
# The newest events of each side that are named.
_NAMED: Final = 3


class ServerDisagrees(Check):
    """The status follows from the devices alone; this is beside it."""

    kind = "server_disagrees"
    severity = "warning"
    title = Sentence("finding.server_disagrees", "Devices and ZEGO's server disagree")
    evidence = Sentence(
        "finding.server_disagrees.evidence",
        "The newest reports of ZEGO's server (callback or query), and the events that set the status of the devices.",
    )
    threshold = Sentence(
        "finding.server_disagrees.threshold",
        "One side has the user connected and the other has not, for longer than a lease. Info where the devices are "
        "silent anyway.",
    )
    lifetime = Sentence("finding.server_disagrees.lifetime", "Until they agree.")
    say = Sentence(
        "finding.server_disagrees.say",
        "I see two answers about your connection. Please close the app, open it again and tell me what you see.",
    )
    advice = (
        Sentence(
            "finding.server_disagrees.advice",
            "Compare the events of ZEGO's server in the timeline with those of the devices. Look for a device without "
            "the tap, for reports that did not arrive, and for code that keeps running after a logout.",
        ),
    )
    source = sources.SERVER_CALLBACK

    @classmethod
    def find(cls, life: Life) -> Finding | None:
        """What both sides report."""
        found = life.disagreement
        if found is None or not life.events:
            return None
        server = [event for event in life.events if event.type == SERVER_USER_ACTION][-_NAMED:]
        devices = [event for event in life.events if event.type in _OF_DEVICES][-_NAMED:]
        evidence = server + devices or life.events[-1:]
        is_silent = found.client == ONLINE and not any(is_live(life, one) for one in life.of_client)
        return cls.found(
            REASONS[found.client, found.server](),
            evidence,
            say=SAY_CONNECTED() if found.server == ONLINE else cls.say(),
            severity="info" if is_silent else cls.severity,
            since_us=found.since_us,
        )
