"""What a connection event means, in words for people who are no engineers.

Source of the advice: ZEGOCLOUD, In-app Chat, "Manage user login", section "Handle user login exceptions".
"""

from __future__ import annotations

from typing import Final

import msgspec

from sidecar.domain.server_view import LOGGED_OUT, UNKNOWN
from sidecar.domain.status import NOT_LOGGED_IN, OFFLINE, ONLINE
from sidecar.store.records import UserRow

STATUS_WORDS: Final = {ONLINE: "Online", OFFLINE: "Offline", NOT_LOGGED_IN: "Not logged in"}
# What ZEGO's server says of a user.
SERVER_WORDS: Final = {
    ONLINE: "Connected",
    OFFLINE: "Heartbeats lost",
    LOGGED_OUT: "Logged out",
    UNKNOWN: "No login known (logged out, or no such user)",
}
_OS_WORDS: Final = {
    "IOS_PHONE": "iPhone",
    "ANDROID": "Android",
    "ANDROID_TV": "Android TV",
    "MAC": "Mac",
    "LINUX": "Linux",
    "WEB": "Web",
    "MINIPROGRAM": "Mini program",
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
_SERVER_ALONE: Final = Words(
    "No device has reported a connection here; only ZEGO's server has spoken of this user.",
    "I see your account, but nothing from your app. Which app and version do you use, and since when?",
    "Install the Zimwatch tap in the app and version that this user has: without it there is no status and no reason.",
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
_SILENT: Final = {
    ONLINE: Words(
        "The SDK was connected when it was last heard, and has been silent since.",
        "I have not heard from your app for a while. Is it open, and does your device have a connection?",
        "No callback tells that a process died. Look at when the device was last heard, and what it said then.",
    ),
    OFFLINE: Words(
        "The SDK was reconnecting when it was last heard, and has been silent since.",
        "Your app lost its connection, and I have not heard from it for a while. Please open it and check the network.",
        "The process may have ended while it had no network: no callback tells. The SDK reconnects only while it runs.",
    ),
}
_APART_SAY: Final = (
    "I see two answers about your connection. Please close the app, open it again and tell me what you see."
)
_APART_ADVICE: Final = (
    "Compare the timeline's words of ZEGO's server with those of the devices. Look for a device without the tap, for "
    "reports that did not arrive, and for code that goes on after a logout."
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


def os_words(name: str | None) -> str:
    """The operating system that ZEGO's server names, as people call it; another one as it came."""
    return _OS_WORDS.get(name or "", name or "")


def words_of(user: UserRow | None) -> Words:
    """The words for a user; None is one that nobody has heard of. Nobody who is silent is said to be connected."""
    if user is None:
        return _NEVER
    if user.server is not None and user.since_us is None:
        return _SERVER_ALONE
    if user.unconfirmed and user.status in _SILENT:
        return _SILENT[user.status]
    words = words_for(user.status, user.reason)
    return words if user.disagreement is None else Words(words.reason, _APART_SAY, _APART_ADVICE)


def words_for(status: str, reason: str | None) -> Words:
    """The words for a status and the connection event that led to it."""
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
