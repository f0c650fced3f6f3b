"""What a connection event means, in words for people who are no engineers.

Source of the advice: ZEGOCLOUD, In-app Chat, "Manage user login", section "Handle user login exceptions".
"""

from __future__ import annotations

from typing import Final

import msgspec

from sidecar.domain.status import NOT_LOGGED_IN, OFFLINE, ONLINE

STATUS_WORDS: Final = {ONLINE: "Online", OFFLINE: "Offline", NOT_LOGGED_IN: "Not logged in"}


HELD_WORDS: Final = {
    "late": "came late",
    "storm": "part of a storm",
    "ping_pong": "part of a ping-pong",
    "flapping": "flapping",
    "silenced": "silenced",
}
HELD_REASONS: Final = {
    "late": "it reached Zimwatch too long after it happened",
    "storm": "the alert about the storm speaks for it",
    "ping_pong": "the alert about two devices that kick each other out speaks for it",
    "flapping": "it came and went too often, which was told once",
    "silenced": "it is silenced",
    "acknowledged": "somebody had taken it on",
}


class Words(msgspec.Struct, frozen=True):
    """``reason`` is a sentence; ``say`` is what to tell the user; ``advice`` is for the app's developers."""

    reason: str
    say: str
    advice: str


_FRESH_LOGIN: Final = "Show a notice and lead back to the login page. Do not log in again from code by itself."
_NEVER: Final = Words(
    "This user has never been seen: no app has reported a login under this ID.",
    "I see no login under this name. Are you signed in to the app, and is this the right account?",
    "Check the spelling and the AppID, and that the app has the Zimwatch tap installed before ZIM.create().",
)
_ONLINE: Final = Words(
    "The SDK is connected.",
    "You are connected. If a message does not go through, tell me what you see and at what time.",
    "The connection is not the cause. Look for errors of other calls in the timeline.",
)
_OFFLINE: Final = Words(
    "The network was lost, and the SDK is trying to reconnect by itself.",
    "Your device has lost its connection. Please check Wi-Fi or mobile data; it reconnects by itself.",
    "Show that the network is gone. The SDK reconnects by itself; do not call login again.",
)
_LOGGED_OUT: Final = Words(
    "The user logged out.",
    "You are logged out. Please log in again.",
    "Nothing to mend, unless the user did not mean to log out.",
)
_ENDED: Final = {
    "KICKED_OUT": Words(
        "Another device logged in with the same account, and this one was kicked out.",
        "Your account was opened on another device. If that was you, go on there or log in again here; "
        "if it was not, please change your password.",
        f"{_FRESH_LOGIN} If both devices should stay, multi-device login must be enabled for the app.",
    ),
    "TOKEN_EXPIRED": Words(
        "The login's token expired and was not renewed in time.",
        "Your session has ended. Please log in again.",
        f"Call renewToken when onTokenWillExpire fires. {_FRESH_LOGIN}",
    ),
    "LOGIN_TIMEOUT": Words(
        "The login timed out: the SDK could not reach ZIM.",
        "The app could not reach the chat service. Please check your connection and log in again.",
        f"Look at the network between the user and ZIM. {_FRESH_LOGIN}",
    ),
    "LOGIN_INTERRUPTED": Words(
        "The login was refused or broken off.",
        "The login did not succeed. Please log in again.",
        "Look at the login's result in the timeline: its code names the cause, often a wrong token or AppID.",
    ),
    "UNREGISTERED": Words(
        "The account was unregistered from ZIM.",
        "This account is no longer registered for chat. I will pass it on to our engineers.",
        "Find out what unregistered the user; a login registers it again.",
    ),
    "SUCCESS": _LOGGED_OUT,
    "ACTIVE_LOGIN": _LOGGED_OUT,
}


def words_for(status: str, reason: str | None, *, seen: bool = True) -> Words:
    """The words for a status and the connection event that led to it."""
    if not seen:
        return _NEVER
    if status == ONLINE:
        return _ONLINE
    if status == OFFLINE:
        return _OFFLINE
    if reason is None:
        return Words(
            "A login may have begun, but the SDK has not reported any connection.",
            "The app has not finished logging in. Please close it, open it and log in again.",
            "Look at the login's result in the timeline.",
        )
    return _ENDED.get(reason) or Words(
        f"The SDK disconnected and gave a reason that Zimwatch does not know: {reason}.",
        "You are logged out. Please log in again.",
        "The value is shown as the SDK sent it; its release notes may explain it.",
    )
