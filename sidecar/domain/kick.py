"""The probable cause of a KICKED_OUT: a login on another device, or the device's own old connection.

Pure. Another device is the cause only if it logged in shortly before the kick and was live. Until SDK 2.12.0 a device
on a weak network could kick itself out, because its old connection counted as another device.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise
from typing import Final

import msgspec

from sidecar.domain import events, sdk_words
from sidecar.domain.events import Event
from sidecar.domain.units import SECOND_US

# A kick-out is this close to the login that causes it; the clocks of two devices differ.
LOGIN_BEFORE_US: Final = 120 * SECOND_US
LOGIN_AFTER_US: Final = 10 * SECOND_US
RECONNECT_BEFORE_US: Final = 60 * SECOND_US


class Cause(msgspec.Struct, frozen=True):
    """``login`` is the event of the other device; ``may_be_itself``: there is none, and the device had reconnected."""

    login: Event | None = None
    may_be_itself: bool = False


def cause_of(kick: Event, around: Iterable[Event]) -> Cause:
    """The cause of ``kick``, from the events of its user around it, in any order."""
    at_us = kick.moment_us
    by_client: dict[bytes, list[Event]] = defaultdict(list)
    for event in around:
        if event.moment_us <= at_us + LOGIN_AFTER_US:
            by_client[event.client_id].append(event)
    logins: list[Event] = []
    others_live = False
    for client_id, own in by_client.items():
        own.sort(key=lambda event: event.order)
        if client_id != kick.client_id:
            live, login = _login_at(own, at_us)
            others_live |= live
            if live and login is not None and -LOGIN_AFTER_US <= at_us - login.moment_us <= LOGIN_BEFORE_US:
                logins.append(login)
    if logins:
        return Cause(min(logins, key=lambda login: (abs(at_us - login.moment_us), login.id)))
    return Cause(may_be_itself=not others_live and _had_reconnected(kick, by_client[kick.client_id]))


def last_login(own: Iterable[Event], at_us: int) -> Event | None:
    """The event that began the login of a client at a moment, or let it succeed; None if it was not live.

    ``own`` are the client's events in the order of ``seq``.
    """
    return _login_at(own, at_us)[1]


def _login_at(own: Iterable[Event], at_us: int) -> tuple[bool, Event | None]:
    """Whether a client was live at a moment, and the event that began its last login before it, or let it succeed."""
    live = False
    login: Event | None = None
    for event in own:
        state = event.connection_state if event.type == events.CONNECTION_STATE_CHANGED else None
        if event.type == events.LOGIN:
            live, login = True, event
        elif state in {sdk_words.CONNECTED, sdk_words.RECONNECTING}:
            if not live and state == sdk_words.CONNECTED:
                login = event
            live = True
        elif (state == sdk_words.DISCONNECTED or event.type == events.LOGOUT) and event.moment_us < at_us:
            live, login = False, None
    return live, login


def _had_reconnected(kick: Event, own: list[Event]) -> bool:
    return any(
        event.connection_state == sdk_words.RECONNECTING
        and after.order <= kick.order
        and kick.moment_us - after.moment_us <= RECONNECT_BEFORE_US
        for event, after in pairwise(own)
        if after.connection_state in {sdk_words.CONNECTED, sdk_words.DISCONNECTED}
    )
