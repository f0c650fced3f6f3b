"""The calls of login of one client, and what settled each."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from sidecar.domain.events import CONNECTION_STATE_CHANGED, LOGIN, LOGIN_RESULT, LOGOUT, Event
from sidecar.domain.sdk_words import CONNECTED, DISCONNECTED


class Login(msgspec.Struct, frozen=True):
    """A call of login, and the event that settled it; None while it is pending.

    ``joined`` are further calls that the app made before it was settled.
    """

    call: Event
    settled: Event | None = None
    joined: tuple[Event, ...] = ()


def logins(own: Iterable[Event]) -> list[Login]:
    """The calls of login of one client, whose events are in the order of ``seq``."""
    found: list[Login] = []
    for event in own:
        last = found[-1] if found else None
        if last is None or last.settled is not None:
            if event.type == LOGIN:
                found.append(Login(event))
        elif event.type == LOGIN:
            found[-1] = Login(last.call, None, (*last.joined, event))
        elif settles_login(event):
            found[-1] = Login(last.call, event, last.joined)
    return found


def settles_login(event: Event) -> bool:
    """Whether a login that was pending is settled by it: connected, refused, ended or given up by a logout."""
    if event.type == CONNECTION_STATE_CHANGED:
        return event.connection_state in {CONNECTED, DISCONNECTED}
    return event.type in {LOGIN_RESULT, LOGOUT}
