"""What one event says, in a sentence that a person on the phone can read out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from dashboard.language import gettext as _
from dashboard.language import marked
from dashboard.times import DAY_US, MINUTE_US, SECOND_US, clock_text, lasted
from dashboard.words import SERVER_WORDS, os_words
from sidecar.domain import connection, events
from sidecar.domain.events import Event

# A clock further ahead than this is wrong; so is one further behind, unless its events waited for a network so long.
AHEAD_US: Final = MINUTE_US
BEHIND_US: Final = 7 * DAY_US

# ZIM error codes of login and network, as ZEGOCLOUD lists them.
CODES: Final = {
    6000101: marked("bad token or AppID"),
    6000102: marked("internal error of the SDK"),
    6000103: marked("the token is not valid"),
    6000104: marked("no network"),
    6000105: marked("no answer in time"),
    6000106: marked("the token has expired"),
    6000107: marked("the token’s version is wrong"),
    6000108: marked("the token lives for less than 30 s"),
    6000111: marked("logged in already"),
    6000121: marked("not logged in"),
    6000122: marked("logged out already"),
    6000123: marked("reconnecting took too long"),
    6000124: marked("offline login with another user"),
}
_ENDS: Final = {
    connection.KICKED_OUT: marked("Kicked out by another login"),
    connection.TOKEN_EXPIRED: marked("Token expired: logged out"),
    connection.LOGIN_TIMEOUT: marked("Login timed out"),
    connection.UNREGISTERED: marked("Account unregistered: logged out"),
    connection.LOGIN_INTERRUPTED: marked("Login refused or broken off"),
    connection.SUCCESS: marked("Logged out"),
}

LOGIN, GOOD, BAD, PLAIN = "login", "good", "bad", "plain"


class Told(msgspec.Struct, frozen=True):
    """``kind`` is how its mark is drawn: login, good, bad or plain. ``note`` is empty where there is nothing to add."""

    text: str
    kind: str
    note: str = ""


def moment_of(event: Event) -> int:
    """When it happened: by the device's clock, unless that is clearly wrong; then when it reached us."""
    return event.received_at_us if clock_is_off(event) else event.occurred_at_us


def clock_is_off(event: Event) -> bool:
    """Whether the device's clock cannot be right."""
    ahead_us = event.occurred_at_us - event.received_at_us
    return ahead_us > AHEAD_US or ahead_us < -BEHIND_US


def told(event: Event) -> Told:
    """The event's sentence, in the language of the request."""
    tell = _TELLERS.get(event.type)
    return tell(event, event.details) if tell else Told(event.type.replace("_", " ").capitalize(), PLAIN)


def _connection(event: Event, _details: Mapping[str, Any]) -> Told:
    state, reason = event.connection_state or "", event.connection_event or ""
    note = _said(event.extended_data)
    if state == connection.CONNECTED:
        return Told(_("Connected"), GOOD, note)
    if state == connection.RECONNECTING:
        return Told(_("Network lost, reconnecting"), PLAIN, note)
    if state == connection.CONNECTING:
        return Told(_("Connecting"), PLAIN, note)
    if state == connection.DISCONNECTED and reason in _ENDS:
        bad = reason in connection.FAILURES or reason == connection.LOGIN_INTERRUPTED
        return Told(_(_ENDS[reason]), BAD if bad else PLAIN, note)
    return Told(f"{state} {reason}".strip(), PLAIN, note)


def _said(extended_data: str | None) -> str:
    """What of ``extended_data`` a person can read: it is meant to be JSON, but is not always (docs/zim.md)."""
    if extended_data in {None, "", "{}"}:
        return ""
    try:
        found = msgspec.json.decode(extended_data or "")
    except (msgspec.DecodeError, RecursionError):
        return str(extended_data)
    message = found.get("message") if isinstance(found, dict) else None
    return message if isinstance(message, str) and message else str(extended_data)


def _login(_event: Event, details: Mapping[str, Any]) -> Told:
    text = _("Login begins, without the network") if details.get("offline_login") else _("Login begins")
    return Told(text, LOGIN, _until(details))


def _login_result(_event: Event, details: Mapping[str, Any]) -> Told:
    code = details.get("code", 0)
    if code == 0:
        return Told(_("Login succeeded"), GOOD)
    return Told(_("Login failed"), BAD, _code(code, details.get("message")))


def _logout(_event: Event, _details: Mapping[str, Any]) -> Told:
    return Told(_("The app called logout"), PLAIN)


def _api_error(_event: Event, details: Mapping[str, Any]) -> Told:
    method = details.get("method") or _("A call")
    return Told(_("%(method)s failed") % {"method": method}, BAD, _code(details.get("code"), details.get("message")))


def _will_expire(_event: Event, details: Mapping[str, Any]) -> Told:
    second = details.get("second", 0)
    if isinstance(second, int) and second < 0:
        return Told(_("The token ended %(time)s ago") % {"time": lasted(-second * SECOND_US)}, BAD)
    return Told(_("The token ends in %(time)s") % {"time": lasted(second * SECOND_US)}, PLAIN)


def _renewed(_event: Event, details: Mapping[str, Any]) -> Told:
    code = details.get("code", 0)
    if code == 0:
        return Told(_("Token renewed"), GOOD, _until(details))
    return Told(_("Renewing the token failed"), BAD, _code(code, details.get("message")))


def _server(_event: Event, details: Mapping[str, Any]) -> Told:
    word = SERVER_WORDS.get(details.get("status", ""))
    text = _("ZEGO’s server: %(what)s") % {"what": _(word) if word else details.get("action")}
    notes = [os_words(details.get("os")), str(details.get("logout_reason") or "")]
    if details.get("asked"):
        notes.append(_("it was asked"))
    return Told(text, PLAIN, " · ".join(note for note in notes if note))


def _until(details: Mapping[str, Any]) -> str:
    ends = details.get("token_expires_at_us")
    return "" if ends is None else _("token good until %(time)s UTC") % {"time": clock_text(ends)}


def _code(code: object, message: object) -> str:
    meaning = CODES.get(code) if isinstance(code, int) else None
    said = _(meaning) if meaning else str(message or "")
    return f"{code}: {said}" if said else str(code)


_TELLERS: Final = {
    events.CONNECTION_STATE_CHANGED: _connection,
    events.LOGIN: _login,
    events.LOGIN_RESULT: _login_result,
    events.LOGOUT: _logout,
    events.API_ERROR: _api_error,
    events.TOKEN_WILL_EXPIRE: _will_expire,
    events.TOKEN_RENEWED: _renewed,
    events.SERVER_USER_ACTION: _server,
}
