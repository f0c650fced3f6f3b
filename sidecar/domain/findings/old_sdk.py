"""``old_sdk``: a device has a version of the SDK with a known fault."""

from __future__ import annotations

from typing import Final

import msgspec

from sidecar.domain.alerts.naming import device_of
from sidecar.domain.events import Event
from sidecar.domain.findings import sources
from sidecar.domain.findings.devices import is_live, newest_of_devices
from sidecar.domain.findings.finding import HOLDS_US, Check, Finding
from sidecar.domain.findings.life import Life
from sidecar.domain.kick import cause_of
from sidecar.domain.outside_text import cut
from sidecar.domain.sdk_version import Version, parsed
from sidecar.domain.sdk_words import KICKED_OUT, LOGIN_TIMEOUT
from sidecar.domain.texts import Sentence

GIVES_UP: Final = Sentence(
    "finding.old_sdk.gives_up",
    "%(device)s has SDK %(version)s, which gives up after five minutes without a network (until 2.9.0)",
)
KICKS_ITSELF: Final = Sentence(
    "finding.old_sdk.kicks_itself",
    "%(device)s has SDK %(version)s, which kicks itself out on weak networks (until 2.12.0)",
)
SHIFTED: Final = Sentence(
    "finding.old_sdk.shifted",
    "%(device)s has the Flutter SDK %(version)s, whose numbers of states and events are shifted (2.13.0 to 2.18.2)",
)
ADVISE_UPDATE: Final = Sentence(
    "finding.old_sdk.advise_update", "Update the app's ZIM SDK to 2.12.0 or newer, and ask users to update the app."
)
ADVISE_NAMES: Final = Sentence(
    "finding.old_sdk.advise_names",
    "Flutter: update zego_zim beyond 2.18.2, or report the names of states and events instead of their index.",
)
ADVISE_UNITY: Final = Sentence(
    "finding.old_sdk.advise_unity",
    "Unity: 2.10.0 is the newest there is. Show that there is no connection, and let the user sign in again.",
)
_UNLIMITED: Final[Version] = (2, 9, 0)
_KNOWS_ITSELF: Final[Version] = (2, 12, 0)
_SHIFTED_FROM: Final[Version] = (2, 13, 0)
_SHIFTED_TO: Final[Version] = (2, 18, 2)
_NEWEST_OF_UNITY: Final[Version] = (2, 10, 0)
# Parts of the names of ZIM's SDKs, and the name of Dart's package.
_FLUTTER: Final = "flutter"
_ZIM: Final = ("zim", "zego", _FLUTTER)
_DART: Final = "zego_zim"
_UNITY: Final = "unity"
_LONGEST_VERSION: Final = 40
# The cause of so many kicks of a device is looked for, from the newest on.
_KICKS: Final = 3


class _Fault(msgspec.Struct, frozen=True):
    """A fault of the SDK of the device that ``event`` is from, and the events that it explains."""

    event: Event
    version: str
    sentence: Sentence
    advice: Sentence
    explains: list[Event]


class OldSdk(Check):
    """Of several devices the one whose version explains what happened, else the one heard last."""

    kind = "old_sdk"
    severity = "warning"
    title = Sentence("finding.old_sdk", "An old version of the SDK")
    evidence = Sentence("finding.old_sdk.evidence", "The newest event of a device with the version of its SDK.")
    threshold = Sentence(
        "finding.old_sdk.threshold",
        "Before 2.12.0, or Flutter from 2.13.0 to 2.18.2 (info). Warning where it explains what happened: a kick right "
        "after a reconnect, LOGIN_TIMEOUT before 2.9.0. What is no version number is not judged.",
    )
    lifetime = Sentence(
        "finding.old_sdk.lifetime", "While the device is live, or its newest event is less than 30 minutes old."
    )
    say = Sentence(
        "finding.old_sdk.say",
        "Your app is an old version. Please update it: newer ones keep the connection better.",
    )
    advice = (ADVISE_UPDATE, ADVISE_NAMES, ADVISE_UNITY)
    source = sources.RELEASE_NOTES

    @classmethod
    def find(cls, life: Life) -> Finding | None:
        """A version that explains what happened; else that of the device heard last."""
        after_us = life.now_us - HOLDS_US
        faults = [
            fault
            for event in newest_of_devices(life)
            if (event.moment_us > after_us or is_live(life, event.client_id))
            and (fault := _fault(life, event)) is not None
        ]
        if not faults:
            return None
        fault = max(faults, key=lambda one: (bool(one.explains), one.event.moment_us, one.event.id))
        evidence = [*fault.explains, fault.event]
        summary = fault.sentence(device=device_of(fault.event).text, version=fault.version)
        severity = cls.severity if fault.explains else "info"
        return cls.found(summary, evidence, advice=[fault.advice()], severity=severity)


def _fault(life: Life, newest: Event) -> _Fault | None:
    own = life.of_client[newest.client_id]
    event = next((one for one in reversed(own) if one.sdk_version is not None), None)
    version = parsed(event.sdk_version) if event else None
    if event is None or version is None:
        return None
    name = (event.sdk_name or "zim").lower().replace("-", "_")
    text = cut(event.sdk_version or "", _LONGEST_VERSION)
    recent = [one for one in own if one.moment_us > life.now_us - HOLDS_US]
    if version < _KNOWS_ITSELF and any(part in name for part in _ZIM):
        gave_up = [one for one in recent if one.connection_event == LOGIN_TIMEOUT and version < _UNLIMITED]
        kicks = [one for one in recent if one.connection_event == KICKED_OUT][-_KICKS:]
        kicked = [one for one in kicks if cause_of(one, life.events).may_be_itself]
        is_unity = _UNITY in name
        if is_unity and version >= _NEWEST_OF_UNITY and not kicked:
            return None
        sentence = GIVES_UP if version < _UNLIMITED and not kicked else KICKS_ITSELF
        return _Fault(event, text, sentence, ADVISE_UNITY if is_unity else ADVISE_UPDATE, kicked or gave_up)
    if (name == _DART or _FLUTTER in name) and _SHIFTED_FROM <= version <= _SHIFTED_TO:
        return _Fault(event, text, SHIFTED, ADVISE_NAMES, [])
    return None
