"""What alerts are called, and what to do about each, in words for people.

Source of the advice: ZEGOCLOUD, In-app Chat, "Manage user login", section "Handle user login exceptions".
"""

from __future__ import annotations

from typing import Final

from dashboard.language import gettext as _
from dashboard.language import marked
from sidecar.domain.alerting import kinds
from sidecar.domain.alerting.kinds import Kind
from sidecar.domain.alerting.words import ADVICE_SENTENCES

DURATIONS: Final = {
    "30m": marked("30 minutes"),
    "1h": marked("1 hour"),
    "4h": marked("4 hours"),
    "24h": marked("24 hours"),
    "7d": marked("7 days"),
}
KIND_WORDS: Final = {
    kinds.KICKED_OUT: marked("Kicked out"),
    kinds.TOKEN_EXPIRING: marked("Token about to expire"),
    kinds.TOKEN_EXPIRED: marked("Token expired"),
    kinds.LOGIN_TIMEOUT: marked("Login timed out"),
    kinds.UNREGISTERED: marked("Unregistered"),
    kinds.OFFLINE_TOO_LONG: marked("Offline too long"),
    kinds.KICK_PING_PONG: marked("Two devices kick each other out"),
    kinds.RECONNECT_STORM: marked("Many lose the network at once"),
    kinds.KICK_STORM: marked("Many are kicked out at once"),
    kinds.CLIENT_LOST: marked("No sign of life"),
    kinds.EXPORT_STALLED: marked("Spans or messages are stuck"),
}
SEVERITY_WORDS: Final = {"critical": marked("Critical"), "warning": marked("Warning"), "info": marked("Info")}
STATE_WORDS: Final = {
    "pending": marked("Pending"),
    "firing": marked("Firing"),
    "acknowledged": marked("Acknowledged"),
    "resolved": marked("Resolved"),
}
GROUP_WORDS: Final = {
    "": marked("Not grouped"),
    "kind": marked("By kind"),
    "cause": marked("By cause"),
    "user": marked("By user"),
    "app": marked("By app"),
}
# Why nobody is called for an alert.
HELD_WORDS: Final = {
    "late": marked("came late"),
    "storm": marked("part of a storm"),
    "ping_pong": marked("part of a ping-pong"),
    "flapping": marked("flapping"),
    "silenced": marked("silenced"),
}
HELD_REASONS: Final = {
    "late": marked("it reached Zimwatch too long after it happened"),
    "storm": marked("the alert about the storm speaks for it"),
    "ping_pong": marked("the alert about two devices that kick each other out speaks for it"),
    "flapping": marked("it came and went too often, which was told once"),
    "silenced": marked("it is silenced"),
    "acknowledged": marked("somebody had taken it on"),
    "its beginning was not told": marked("its beginning was not told"),
}
# A line of an alert's story.
STORY_WORDS: Final = {
    "opened": marked("fired"),
    "cause": marked("again"),
    "resolved": marked("over"),
    "acknowledged": marked("taken on"),
    "unheld": marked("called for after all"),
    "repeat": marked("told again"),
}
# What a receiver is told.
TOLD_WORDS: Final = {
    "firing": marked("firing"),
    "repeat": marked("still firing"),
    "acknowledged": marked("acknowledged"),
    "resolved": marked("resolved"),
}
# What an alert is matched by.
LABEL_WORDS: Final = {
    "kind": marked("kind"),
    "severity": marked("severity"),
    "app_id": marked("app"),
    "user_id": marked("user id"),
    "platform": marked("platform"),
    "sdk_version": marked("SDK version"),
    "app_version": marked("app version"),
    "device_id": marked("device id"),
    "part": marked("part"),
    "flapping": marked("flapping"),
}


def advice(kind: Kind) -> str:
    """What to do about an alert of this kind, in the language of the request."""
    return " ".join(_(one.text) for one in ADVICE_SENTENCES[kind])


def label(name: str) -> str:
    """What a label is called."""
    return _(LABEL_WORDS[name]) if name in LABEL_WORDS else name.replace("_", " ")


def label_value(name: str, value: str) -> str:
    """A label's value, where it is a word of ours, as people call it; another one as it is."""
    word = {"kind": KIND_WORDS, "severity": SEVERITY_WORDS}.get(name, {}).get(value)
    return _(word) if word else value
