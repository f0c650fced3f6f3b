"""What alerts are called, and what to do about each, in words for people.

Source of the advice: ZEGOCLOUD, In-app Chat, "Manage user login", section "Handle user login exceptions".
"""

from __future__ import annotations

from typing import Final

from dashboard.language import marked
from sidecar.domain.alerting import kinds
from sidecar.domain.alerting.words import ADVICE

__all__ = [
    "ADVICE",
    "DURATIONS",
    "GROUP_WORDS",
    "HELD_REASONS",
    "HELD_WORDS",
    "KIND_WORDS",
    "SEVERITY_WORDS",
    "STATE_WORDS",
]

DURATIONS: Final = ("30m", "1h", "4h", "24h", "7d")
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
}
