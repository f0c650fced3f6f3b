"""``silent_device``: the lease of a device that was logged in has ended. No callback reports a process that died."""

from __future__ import annotations

from typing import Final

from sidecar.domain.findings import sources
from sidecar.domain.findings.devices import is_live, names
from sidecar.domain.findings.finding import HOLDS_US, Check, Finding
from sidecar.domain.findings.life import Life
from sidecar.domain.session import Session
from sidecar.domain.status import OFFLINE
from sidecar.domain.texts import Sentence
from sidecar.domain.units import SECOND_US

ALL_SILENT: Final = Sentence(
    "finding.silent_device.all", "No sign of life from %(devices)s, which did not log out: asleep, closed or ended"
)
LOST_FIRST: Final = Sentence(
    "finding.silent_device.lost", "No sign of life from %(devices)s, which had lost the connection before"
)
ONE_SILENT: Final = Sentence(
    "finding.silent_device.one", "No sign of life from %(devices)s; another device of the user is connected"
)
SAY_ONE: Final = Sentence(
    "finding.silent_device.say_one",
    "You are connected, but I no longer hear from your other device. If you use it, please open the app there.",
)

# What a page sends as it closes may be received so long after the next one began.
_SEEN_LATER_US: Final = 10 * SECOND_US


class SilentDevice(Check):
    """A device that another one has replaced is left out: a page that was reloaded is a new client."""

    kind = "silent_device"
    severity = "warning"
    title = Sentence("finding.silent_device", "A device is silent")
    evidence = Sentence(
        "finding.silent_device.evidence", "The last event of a device that is logged in and whose lease has ended."
    )
    threshold = Sentence(
        "finding.silent_device.threshold",
        "Three missed heartbeats, or a day without any (settings). Info while another device is live; none where that "
        "has the same device id or, where ids are missing, the same platform and began when this one had gone.",
    )
    lifetime = Sentence(
        "finding.silent_device.lifetime",
        "Until a sign of life, a logout or a new login; while another device is live, for 30 minutes.",
    )
    say = Sentence(
        "finding.silent_device.say",
        "I have not heard from your app for a while. Please open it, keep it open, and tell me what you see.",
    )
    advice = (
        Sentence(
            "finding.silent_device.advice",
            "No callback reports that a phone slept or a process died. Look at the last events of the device, and use "
            "offline push to reach users whose app is not running.",
        ),
    )
    source = sources.HEARTBEATS

    @classmethod
    def find(cls, life: Life) -> Finding | None:
        """All silent devices, where no device is live; else those that fell silent lately."""
        silent = [one for one in life.devices if one.unconfirmed and life.of_client.get(one.client_id)]
        live = [one for one in life.devices if is_live(life, one.client_id)]
        if live:
            lately = [one for one in silent if one.last_seen_at_us + one.lease_us > life.now_us - HOLDS_US]
            silent = [one for one in lately if not _replaced(one, live)]
        if not silent:
            return None
        evidence = [life.of_client[one.client_id][-1] for one in silent]
        seen_us = max(one.last_seen_at_us for one in silent)
        if live:
            summary = ONE_SILENT(devices=names(silent))
            return cls.found(summary, evidence, say=SAY_ONE(), severity="info", since_us=seen_us)
        lost = all(one.status == OFFLINE for one in silent)
        return cls.found((LOST_FIRST if lost else ALL_SILENT)(devices=names(silent)), evidence, since_us=seen_us)


def _replaced(silent: Session, live: list[Session]) -> bool:
    return any(_is_same_device(silent, one) for one in live)


def _is_same_device(silent: Session, live: Session) -> bool:
    """By the ids; where one is missing, a client of the same platform that began when the other had gone."""
    if silent.device_id and live.device_id:
        return silent.device_id == live.device_id
    began_us = live.login_at_us or live.since_us or 0
    return silent.platform == live.platform and began_us > silent.last_seen_at_us - _SEEN_LATER_US
