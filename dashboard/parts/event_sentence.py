"""An event as a sentence that support staff can read out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from dashboard.text.language import gettext as _
from dashboard.text.language import marked
from dashboard.text.status_texts import SERVER_TEXTS, os_name
from dashboard.text.times import clock_text, lasted
from dashboard.text.translate import translate
from sidecar.domain import error_codes, events, sdk_words
from sidecar.domain.events import Event
from sidecar.domain.units import SECOND_US

_ENDS: Final = {
    sdk_words.KICKED_OUT: marked("Kicked out by another login"),
    sdk_words.TOKEN_EXPIRED: marked("Token expired: logged out"),
    sdk_words.LOGIN_TIMEOUT: marked("Login timed out"),
    sdk_words.UNREGISTERED: marked("Account unregistered: logged out"),
    sdk_words.LOGIN_INTERRUPTED: marked("Login refused or interrupted"),
    sdk_words.SUCCESS: marked("Logged out"),
}

LOGIN, GOOD, BAD, PLAIN = "login", "good", "bad", "plain"


class EventSentence(msgspec.Struct, frozen=True):
    """``kind`` selects the mark in the timeline: login, good, bad or plain. ``note`` may be empty."""

    text: str
    kind: str
    note: str = ""


def event_sentence(event: Event) -> EventSentence:
    """The event's sentence, in the language of the request."""
    sentence_of = SENTENCES.get(event.type)
    if sentence_of is None:
        return EventSentence(event.type.replace("_", " ").capitalize(), PLAIN)
    return sentence_of(event, event.details)


def _connection(event: Event, _details: Mapping[str, Any]) -> EventSentence:
    state, reason = event.connection_state or "", event.connection_event or ""
    note = _message(event.extended_data)
    if state == sdk_words.CONNECTED:
        return EventSentence(_("Connected"), GOOD, note)
    if state == sdk_words.RECONNECTING:
        return EventSentence(_("Network lost, reconnecting"), PLAIN, note)
    if state == sdk_words.CONNECTING:
        return EventSentence(_("Connecting"), PLAIN, note)
    if state == sdk_words.DISCONNECTED and reason in _ENDS:
        bad = reason in sdk_words.FAILURES or reason == sdk_words.LOGIN_INTERRUPTED
        return EventSentence(_(_ENDS[reason]), BAD if bad else PLAIN, note)
    return EventSentence(f"{state} {reason}".strip(), PLAIN, note)


def _message(extended_data: str | None) -> str:
    """The readable part of ``extended_data``, which should be JSON, but is not always (docs/zim.md)."""
    if extended_data in {None, "", "{}"}:
        return ""
    try:
        found = msgspec.json.decode(extended_data or "")
    except (msgspec.DecodeError, RecursionError):
        return str(extended_data)
    message = found.get("message") if isinstance(found, dict) else None
    return message if isinstance(message, str) and message else str(extended_data)


def _login(_event: Event, details: Mapping[str, Any]) -> EventSentence:
    text = _("Offline login started") if details.get("offline_login") else _("Login started")
    return EventSentence(text, LOGIN, until_text(details))


def _login_result(_event: Event, details: Mapping[str, Any]) -> EventSentence:
    code = details.get("code", 0)
    if code == 0:
        return EventSentence(_("Login succeeded"), GOOD)
    return EventSentence(_("Login failed"), BAD, _code(code, details.get("message")))


def _logout(_event: Event, _details: Mapping[str, Any]) -> EventSentence:
    return EventSentence(_("The app called logout"), PLAIN)


def _api_error(_event: Event, details: Mapping[str, Any]) -> EventSentence:
    method = details.get("method") or _("A call")
    return EventSentence(
        _("%(method)s failed") % {"method": method}, BAD, _code(details.get("code"), details.get("message"))
    )


def _will_expire(_event: Event, details: Mapping[str, Any]) -> EventSentence:
    second = details.get("second", 0)
    if isinstance(second, int) and second < 0:
        return EventSentence(_("Token warning, %(time)s after its end") % {"time": lasted(-second * SECOND_US)}, BAD)
    return EventSentence(_("Token warning, %(time)s before its end") % {"time": lasted(second * SECOND_US)}, PLAIN)


def _renewed(_event: Event, details: Mapping[str, Any]) -> EventSentence:
    code = details.get("code", 0)
    if code == 0:
        return EventSentence(_("Token renewed"), GOOD, until_text(details))
    return EventSentence(_("Renewing the token failed"), BAD, _code(code, details.get("message")))


def _server(_event: Event, details: Mapping[str, Any]) -> EventSentence:
    word = SERVER_TEXTS.get(details.get("status", ""))
    text = _("ZEGO’s server: %(what)s") % {"what": _(word) if word else details.get("action")}
    notes = [os_name(details.get("os")), str(details.get("logout_reason") or "")]
    if details.get("asked"):
        notes.append(_("from a query"))
    return EventSentence(text, PLAIN, " · ".join(note for note in notes if note))


def until_text(details: Mapping[str, Any]) -> str:
    """Until when the token of a login or a renewal is valid; empty where that is not known."""
    ends = details.get("token_expires_at_us")
    return "" if ends is None else _("token valid until %(time)s") % {"time": clock_text(ends)}


def _code(code: object, message: object) -> str:
    return translate(error_codes.in_words(code, message))


SENTENCES: Final = {
    events.CONNECTION_STATE_CHANGED: _connection,
    events.LOGIN: _login,
    events.LOGIN_RESULT: _login_result,
    events.LOGOUT: _logout,
    events.API_ERROR: _api_error,
    events.TOKEN_WILL_EXPIRE: _will_expire,
    events.TOKEN_RENEWED: _renewed,
    events.SERVER_USER_ACTION: _server,
}
