"""Kinds of events that lists of users are filtered by: "who was kicked out today?". Pure."""

from __future__ import annotations

from typing import Final, Literal, get_args

from sidecar.domain.events import API_ERROR, CONNECTION_STATE_CHANGED, LOGIN, LOGIN_RESULT, Event
from sidecar.domain.sdk_words import KICKED_OUT, LOGIN_TIMEOUT, TOKEN_EXPIRED, UNREGISTERED

Kind = Literal[
    "kicked_out", "token_expired", "login_timeout", "unregistered", "calls_failed", "login_failed", "logged_in"
]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

_OF_CONNECTION: Final[dict[str | None, Kind]] = {
    KICKED_OUT: "kicked_out",
    TOKEN_EXPIRED: "token_expired",
    LOGIN_TIMEOUT: "login_timeout",
    UNREGISTERED: "unregistered",
}


def happening(event: Event) -> Kind | None:
    """What an event is an instance of.

    ``logged_in`` is a call of login, whatever came of it; ``login_failed`` its refusal; ``calls_failed`` a failure of
    any other call.
    """
    if event.type == CONNECTION_STATE_CHANGED:
        return _OF_CONNECTION.get(event.connection_event)
    if event.type == LOGIN:
        return "logged_in"
    if event.type == API_ERROR:
        return "calls_failed"
    return "login_failed" if event.type == LOGIN_RESULT and event.details.get("code", 0) != 0 else None
