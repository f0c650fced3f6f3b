"""Explanations of status and connection events, for people who are not engineers.

Source of the advice: ZEGOCLOUD, In-app Chat, "Manage user login", section "Handle user login exceptions".
"""

from __future__ import annotations

from typing import Final

import msgspec

from dashboard.text.language import gettext as _
from dashboard.text.language import marked
from sidecar.domain.sdk_words import KICKED_OUT
from sidecar.domain.server_view import LOGGED_OUT, UNKNOWN
from sidecar.domain.status import NOT_LOGGED_IN, OFFLINE, ONLINE
from sidecar.store.values import UserRow

STATUS_TEXTS: Final = {ONLINE: marked("Online"), OFFLINE: marked("Offline"), NOT_LOGGED_IN: marked("Not logged in")}
# The status of a user as ZEGO's server reports it.
SERVER_TEXTS: Final = {
    ONLINE: marked("Connected"),
    OFFLINE: marked("Heartbeats lost"),
    LOGGED_OUT: marked("Logged out"),
    UNKNOWN: marked("No login known (logged out, or no such user)"),
}
OS_NAMES: Final = {
    "IOS_PHONE": "iPhone",
    "ANDROID": "Android",
    "ANDROID_TV": "Android TV",
    "MAC": "Mac",
    "LINUX": "Linux",
    "WEB": "Web",
    "MINIPROGRAM": "Mini program",
}
# Why the collector does not have a span.
LOSS_TEXTS: Final = {"expired": marked("given up"), "refused": marked("refused"), "rejected": marked("rejected")}
# Short names of the connection events that lead to a status, for filters and lists.
REASON_TEXTS: Final = {
    "SUCCESS": marked("Connected or logged out"),
    "LOGIN_INTERRUPTED": marked("Network lost or login refused"),
    "KICKED_OUT": marked("Kicked out"),
    "TOKEN_EXPIRED": marked("Token expired"),
    "LOGIN_TIMEOUT": marked("Login timed out"),
    "UNREGISTERED": marked("Unregistered"),
    "LOGOUT": marked("Logged out, as the app reported"),
}
# What happened to users, for filters and lists.
HAPPENED_TEXTS: Final = {
    "kicked_out": marked("Kicked out"),
    "token_expired": marked("Token expired"),
    "login_timeout": marked("Login timed out"),
    "unregistered": marked("Unregistered"),
    "calls_failed": marked("Calls failed"),
    "login_failed": marked("Login refused"),
    "logged_in": marked("Logged in"),
}


class StatusTexts(msgspec.Struct, frozen=True):
    """``brief`` fits a row; ``reason`` is a sentence; ``say`` is for the user, ``advice`` for the app's developers."""

    brief: str
    reason: str
    say: str
    advice: str


_FRESH_LOGIN: Final = marked("Show a notice and return to the login page. Do not log in again automatically.")
_NEVER: Final = StatusTexts(
    marked("Never seen"),
    marked("This user has never been seen: no app has reported a login under this ID."),
    marked("I see no login under this name. Are you signed in to the app, and is this the right account?"),
    marked("Check the spelling and the AppID, and that the app has the Zimwatch tap installed before ZIM.create()."),
)
_SERVER_ALONE: Final = StatusTexts(
    marked("No device has reported"),
    marked("No device has reported a connection; only ZEGO’s server has reported this user."),
    marked("I see your account, but nothing from your app. Which app and version do you use, and since when?"),
    marked(
        "Install the Zimwatch tap in the app and version that this user has: without it there is no status and no "
        "reason."
    ),
)
_ONLINE: Final = StatusTexts(
    marked("Connected"),
    marked("The SDK is connected."),
    marked("You are connected. If a message does not go through, tell me what you see and at what time."),
    marked("The connection is not the cause. Look for errors of other calls in the timeline."),
)
_OFFLINE: Final = StatusTexts(
    marked("Network lost, reconnecting"),
    marked("The network was lost, and the SDK is trying to reconnect by itself."),
    marked("Your device has lost its connection. Please check Wi-Fi or mobile data; it reconnects by itself."),
    marked("Show that the network is gone. The SDK reconnects by itself; do not call login again."),
)
_SILENT: Final = {
    ONLINE: StatusTexts(
        marked("Silent since it was connected"),
        marked("The SDK was connected at its last report, and has been silent since."),
        marked("I have not heard from your app for a while. Is it open, and does your device have a connection?"),
        marked(
            "No callback reports that a process died. Look at when the device was last seen, and at its last event."
        ),
    ),
    OFFLINE: StatusTexts(
        marked("Silent since it lost the network"),
        marked("The SDK was reconnecting at its last report, and has been silent since."),
        marked(
            "Your app lost its connection, and I have not heard from it for a while. Please open it and check the "
            "network."
        ),
        marked(
            "The process may have ended without a network, which no callback reports. The SDK reconnects only "
            "while it runs."
        ),
    ),
}
_APART_SAY: Final = marked(
    "I see two answers about your connection. Please close the app, open it again and tell me what you see."
)
_APART_ADVICE: Final = marked(
    "Compare the events of ZEGO’s server in the timeline with those of the devices. Look for a device without the "
    "tap, for reports that did not arrive, and for code that keeps running after a logout."
)
_LOGGED_OUT: Final = StatusTexts(
    marked("Logged out"),
    marked("The user logged out."),
    marked("You are logged out. Please log in again."),
    marked("Nothing to fix, unless the user did not mean to log out."),
)
_REPORTED_LOGOUT: Final = StatusTexts(
    marked("Logged out, as the app reported"),
    marked("The app called logout; the SDK has not confirmed it with a callback."),
    marked("You are logged out. Please log in again."),
    marked(
        "Nothing to fix: native SDKs may give no callback for a logout while they reconnect. Here Zimwatch knows "
        "more than the SDK’s own table of states."
    ),
)
_NO_CALLBACK: Final = StatusTexts(
    marked("No connection reported yet"),
    marked("A login may have begun, but the SDK has not reported any connection."),
    marked("The app has not finished logging in. Please close it, open it and log in again."),
    marked("Look at the login’s result in the timeline."),
)
_KICKED_ITSELF: Final = StatusTexts(
    marked("Kicked out, maybe by its own old connection"),
    marked("The device reconnected and was kicked out at once; no login on another device was reported."),
    marked("Your connection was unstable and you were logged out. Please log in again."),
    marked(
        "Update the app’s ZIM SDK to 2.12.0 or newer, which no longer takes its own old connection for another device."
    ),
)
_ENDED: Final = {
    "KICKED_OUT": StatusTexts(
        marked("Kicked out by another login"),
        marked("Another device logged in with the same account, and this one was kicked out."),
        marked(
            "Your account was opened on another device. If that was you, continue there or log in again here; if "
            "it was not, please change your password."
        ),
        marked("If both devices should stay, multi-device login must be enabled for the app."),
    ),
    "TOKEN_EXPIRED": StatusTexts(
        marked("Token expired"),
        marked("The login’s token expired and was not renewed in time."),
        marked("Your session has ended. Please log in again."),
        marked("Call renewToken when onTokenWillExpire fires."),
    ),
    "LOGIN_TIMEOUT": StatusTexts(
        marked("Login timed out"),
        marked("The login timed out: the SDK could not reach ZIM."),
        marked("The app could not reach the chat service. Please check your connection and log in again."),
        marked("Look at the network between the user and ZIM."),
    ),
    "LOGIN_INTERRUPTED": StatusTexts(
        marked("Login refused or interrupted"),
        marked("The login was refused or interrupted."),
        marked("The login did not succeed. Please log in again."),
        marked("Look at the login’s result in the timeline: its code names the cause, often a wrong token or AppID."),
    ),
    "UNREGISTERED": StatusTexts(
        marked("Account unregistered"),
        marked("The account was unregistered from ZIM."),
        marked("This account is no longer registered for chat. I will pass it on to our engineers."),
        marked("Find out what unregistered the user; a login registers it again."),
    ),
    "LOGOUT": _REPORTED_LOGOUT,
    "SUCCESS": _LOGGED_OUT,
    "ACTIVE_LOGIN": _LOGGED_OUT,
}
_BY_STATUS: Final = {ONLINE: _ONLINE, OFFLINE: _OFFLINE}
_THEN_A_FRESH_LOGIN: Final = tuple(_ENDED[reason] for reason in ("KICKED_OUT", "TOKEN_EXPIRED", "LOGIN_TIMEOUT"))


def os_name(name: str | None) -> str:
    """The display name of an operating system of ZEGO's server; unknown ones unchanged."""
    return OS_NAMES.get(name or "", name or "")


def texts_of(user: UserRow | None, *, kicked_itself: bool = False) -> StatusTexts:
    """The texts for a user, None for one never seen. A silent user is never called connected.

    ``kicked_itself``: the device's own old connection may have caused the last kick.
    """
    if user is None:
        return _translated(_NEVER)
    if user.server is not None and user.since_us is None:
        return _translated(_SERVER_ALONE)
    if user.unconfirmed and user.status in _SILENT:
        return _translated(_SILENT[user.status])
    texts = texts_for(user.status, user.reason)
    if kicked_itself and user.status == NOT_LOGGED_IN and user.reason == KICKED_OUT:
        texts = _translated(_KICKED_ITSELF)
    if user.disagreement is None:
        return texts
    return msgspec.structs.replace(texts, say=_(_APART_SAY), advice=_(_APART_ADVICE))


def texts_for(status: str, reason: str | None) -> StatusTexts:
    """The texts for a status and the connection event that led to it, in the language of the request."""
    known = _BY_STATUS.get(status) or (_NO_CALLBACK if reason is None else _ENDED.get(reason))
    if known is not None:
        texts = _translated(known)
        if known in _THEN_A_FRESH_LOGIN:
            return msgspec.structs.replace(texts, advice=f"{texts.advice} {_(_FRESH_LOGIN)}")
        return texts
    return StatusTexts(
        str(reason),
        _("The SDK disconnected and gave a reason that Zimwatch does not know: %(reason)s.") % {"reason": reason},
        _("You are logged out. Please log in again."),
        _("The value is shown as the SDK sent it; its release notes may explain it."),
    )


def _translated(texts: StatusTexts) -> StatusTexts:
    return StatusTexts(_(texts.brief), _(texts.reason), _(texts.say), _(texts.advice))
