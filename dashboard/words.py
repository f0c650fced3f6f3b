"""What a status and a connection event mean, in words for people who are no engineers.

Source of the advice: ZEGOCLOUD, In-app Chat, "Manage user login", section "Handle user login exceptions".
"""

from __future__ import annotations

from typing import Final

import msgspec

from dashboard.language import gettext as _
from dashboard.language import marked
from sidecar.domain.server_view import LOGGED_OUT, UNKNOWN
from sidecar.domain.status import NOT_LOGGED_IN, OFFLINE, ONLINE
from sidecar.store.records import UserRow

STATUS_WORDS: Final = {ONLINE: marked("Online"), OFFLINE: marked("Offline"), NOT_LOGGED_IN: marked("Not logged in")}
# What ZEGO's server says of a user.
SERVER_WORDS: Final = {
    ONLINE: marked("Connected"),
    OFFLINE: marked("Heartbeats lost"),
    LOGGED_OUT: marked("Logged out"),
    UNKNOWN: marked("No login known (logged out, or no such user)"),
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
# What became of spans that the collector does not have.
LOSS_WORDS: Final = {"expired": marked("given up"), "refused": marked("refused"), "rejected": marked("rejected")}
# The connection events that lead to a status, in a few words, for filters and lists.
REASONS: Final = {
    "SUCCESS": marked("Connected or logged out"),
    "LOGIN_INTERRUPTED": marked("Network lost or login refused"),
    "KICKED_OUT": marked("Kicked out"),
    "TOKEN_EXPIRED": marked("Token expired"),
    "LOGIN_TIMEOUT": marked("Login timed out"),
    "UNREGISTERED": marked("Unregistered"),
}


class Words(msgspec.Struct, frozen=True):
    """``brief`` fits a row; ``reason`` is a sentence; ``say`` is for the user; ``advice`` for the app's developers."""

    brief: str
    reason: str
    say: str
    advice: str


_FRESH_LOGIN: Final = marked("Show a notice and lead back to the login page. Do not log in again from code by itself.")
_NEVER: Final = Words(
    marked("Never seen"),
    marked("This user has never been seen: no app has reported a login under this ID."),
    marked("I see no login under this name. Are you signed in to the app, and is this the right account?"),
    marked("Check the spelling and the AppID, and that the app has the Zimwatch tap installed before ZIM.create()."),
)
_SERVER_ALONE: Final = Words(
    marked("No device has reported"),
    marked("No device has reported a connection here; only ZEGO’s server has spoken of this user."),
    marked("I see your account, but nothing from your app. Which app and version do you use, and since when?"),
    marked(
        "Install the Zimwatch tap in the app and version that this user has: without it there is no status and no "
        "reason."
    ),
)
_ONLINE: Final = Words(
    marked("Connected"),
    marked("The SDK is connected."),
    marked("You are connected. If a message does not go through, tell me what you see and at what time."),
    marked("The connection is not the cause. Look for errors of other calls in the timeline."),
)
_OFFLINE: Final = Words(
    marked("Network lost, reconnecting"),
    marked("The network was lost, and the SDK is trying to reconnect by itself."),
    marked("Your device has lost its connection. Please check Wi-Fi or mobile data; it reconnects by itself."),
    marked("Show that the network is gone. The SDK reconnects by itself; do not call login again."),
)
_SILENT: Final = {
    ONLINE: Words(
        marked("Silent since it was connected"),
        marked("The SDK was connected when it was last heard, and has been silent since."),
        marked("I have not heard from your app for a while. Is it open, and does your device have a connection?"),
        marked("No callback tells that a process died. Look at when the device was last heard, and what it said then."),
    ),
    OFFLINE: Words(
        marked("Silent since it lost the network"),
        marked("The SDK was reconnecting when it was last heard, and has been silent since."),
        marked(
            "Your app lost its connection, and I have not heard from it for a while. Please open it and check the "
            "network."
        ),
        marked(
            "The process may have ended while it had no network: no callback tells. The SDK reconnects only while it "
            "runs."
        ),
    ),
}
_APART_SAY: Final = marked(
    "I see two answers about your connection. Please close the app, open it again and tell me what you see."
)
_APART_ADVICE: Final = marked(
    "Compare the timeline’s words of ZEGO’s server with those of the devices. Look for a device without the tap, for "
    "reports that did not arrive, and for code that goes on after a logout."
)
_LOGGED_OUT: Final = Words(
    marked("Logged out"),
    marked("The user logged out."),
    marked("You are logged out. Please log in again."),
    marked("Nothing to mend, unless the user did not mean to log out."),
)
_NO_CALLBACK: Final = Words(
    marked("No connection reported yet"),
    marked("A login may have begun, but the SDK has not reported any connection."),
    marked("The app has not finished logging in. Please close it, open it and log in again."),
    marked("Look at the login’s result in the timeline."),
)
_ENDED: Final = {
    "KICKED_OUT": Words(
        marked("Kicked out by another login"),
        marked("Another device logged in with the same account, and this one was kicked out."),
        marked(
            "Your account was opened on another device. If that was you, go on there or log in again here; "
            "if it was not, please change your password."
        ),
        marked("If both devices should stay, multi-device login must be enabled for the app."),
    ),
    "TOKEN_EXPIRED": Words(
        marked("Token expired"),
        marked("The login’s token expired and was not renewed in time."),
        marked("Your session has ended. Please log in again."),
        marked("Call renewToken when onTokenWillExpire fires."),
    ),
    "LOGIN_TIMEOUT": Words(
        marked("Login timed out"),
        marked("The login timed out: the SDK could not reach ZIM."),
        marked("The app could not reach the chat service. Please check your connection and log in again."),
        marked("Look at the network between the user and ZIM."),
    ),
    "LOGIN_INTERRUPTED": Words(
        marked("Login refused or broken off"),
        marked("The login was refused or broken off."),
        marked("The login did not succeed. Please log in again."),
        marked("Look at the login’s result in the timeline: its code names the cause, often a wrong token or AppID."),
    ),
    "UNREGISTERED": Words(
        marked("Account unregistered"),
        marked("The account was unregistered from ZIM."),
        marked("This account is no longer registered for chat. I will pass it on to our engineers."),
        marked("Find out what unregistered the user; a login registers it again."),
    ),
    "SUCCESS": _LOGGED_OUT,
    "ACTIVE_LOGIN": _LOGGED_OUT,
}
_BY_STATUS: Final = {ONLINE: _ONLINE, OFFLINE: _OFFLINE}
_THEN_A_FRESH_LOGIN: Final = tuple(_ENDED[reason] for reason in ("KICKED_OUT", "TOKEN_EXPIRED", "LOGIN_TIMEOUT"))


def os_words(name: str | None) -> str:
    """The operating system that ZEGO's server names, as people call it; another one as it came."""
    return _OS_WORDS.get(name or "", name or "")


def words_of(user: UserRow | None) -> Words:
    """The words for a user; None is one that nobody has heard of. Nobody who is silent is said to be connected."""
    if user is None:
        return _spoken(_NEVER)
    if user.server is not None and user.since_us is None:
        return _spoken(_SERVER_ALONE)
    if user.unconfirmed and user.status in _SILENT:
        return _spoken(_SILENT[user.status])
    words = words_for(user.status, user.reason)
    if user.disagreement is None:
        return words
    return msgspec.structs.replace(words, say=_(_APART_SAY), advice=_(_APART_ADVICE))


def words_for(status: str, reason: str | None) -> Words:
    """The words for a status and the connection event that led to it, in the language of the request."""
    known = _BY_STATUS.get(status) or (_NO_CALLBACK if reason is None else _ENDED.get(reason))
    if known is not None:
        words = _spoken(known)
        if known in _THEN_A_FRESH_LOGIN:
            return msgspec.structs.replace(words, advice=f"{words.advice} {_(_FRESH_LOGIN)}")
        return words
    return Words(
        str(reason),
        _("The SDK disconnected and gave a reason that Zimwatch does not know: %(reason)s.") % {"reason": reason},
        _("You are logged out. Please log in again."),
        _("The value is shown as the SDK sent it; its release notes may explain it."),
    )


def _spoken(words: Words) -> Words:
    return Words(_(words.brief), _(words.reason), _(words.say), _(words.advice))
