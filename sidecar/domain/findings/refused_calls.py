"""Calls that the SDK refused, and what explains each: its login was not finished yet, or had ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from sidecar.domain import error_codes, login_state, sdk_words
from sidecar.domain.events import API_ERROR, LOGIN, LOGOUT, TOKEN_RENEWED, TOKEN_WILL_EXPIRE, Event
from sidecar.domain.findings.logins import settles_login
from sidecar.domain.findings.token_time import left_us
from sidecar.domain.login_state import LoginState
from sidecar.domain.outside_text import cut
from sidecar.domain.status import ONLINE
from sidecar.domain.texts import Sentence, Text, joined
from sidecar.domain.units import MINUTE_US, SECOND_US

# A call without a login that is followed by one so soon belongs to it.
LOGIN_FOLLOWS_US: Final = MINUTE_US
_TIMES: Final = Sentence("finding.calls_of_a_kind", "%(call)s %(count)s times (%(code)s)")
_ONCE: Final = Sentence("finding.call_of_a_kind", "%(call)s once (%(code)s)")
_AND_MORE: Final = Sentence("finding.calls_and_more", "%(calls)s and %(count)s more")
_A_CALL: Final = Sentence("finding.a_call", "a call")
_LONGEST_CALL: Final = 60
# So many kinds of calls are named.
_NAMED: Final = 3
_BEGINS: Final = frozenset({sdk_words.CONNECTING, sdk_words.CONNECTED})
_NEW_TOKEN: Final = frozenset({LOGIN, LOGOUT, TOKEN_RENEWED})
# The Web SDK disconnects so long before the end of a token.
_DISCONNECTS_US: Final = 2 * SECOND_US


class RefusedCall(msgspec.Struct, frozen=True):
    """``ended_by`` is the KICKED_OUT, TOKEN_EXPIRED or UNREGISTERED that logged its client out before it.

    Without a callback of that it is the warning of a token that had ended. ``is_early``: a login was pending, or
    followed soon.
    """

    call: Event
    ended_by: Event | None = None
    is_early: bool = False


def refused_calls(of_client: Mapping[bytes, Sequence[Event]], after_us: int) -> list[RefusedCall]:
    """The refused calls after a moment, in the order of their moments. Each client's events are in that of ``seq``."""
    found = []
    for own in of_client.values():
        failed = [event for event in own if event.type == API_ERROR and event.moment_us > after_us]
        if any(_code(call) == error_codes.NOT_LOGGED_IN for call in failed):
            found += [one for one in _explained(own) if one.call.moment_us > after_us]
        else:
            found += [RefusedCall(call) for call in failed]
    return sorted(found, key=lambda one: (one.call.moment_us, one.call.id))


def _explained(own: Sequence[Event]) -> list[RefusedCall]:
    client = _Client()
    found = []
    for event, login_us in zip(own, _next_logins(own), strict=True):
        if event.type == API_ERROR:
            found.append(client.refused(event, login_us))
        else:
            client.apply(event)
    return found


class _Client:
    """One client before an event, as far as it explains a call that is refused."""

    def __init__(self) -> None:
        self._state = LoginState()
        self._ended_by: Event | None = None
        self._warned: Event | None = None
        self._is_pending = False

    def refused(self, call: Event, login_us: int | None) -> RefusedCall:
        """A call that is refused now. ``login_us`` is when the next login begins."""
        if _code(call) != error_codes.NOT_LOGGED_IN:
            return RefusedCall(call)
        if self._is_pending or self._state.connection_state == sdk_words.CONNECTING:
            return RefusedCall(call, is_early=True)
        if self._state.ended:
            return RefusedCall(call, self._ended_by)
        warned = self._warned
        if warned is not None and call.moment_us >= warned.moment_us + left_us(warned) - _DISCONNECTS_US:
            return RefusedCall(call, warned)
        is_soon = login_us is not None and login_us - call.moment_us <= LOGIN_FOLLOWS_US
        return RefusedCall(call, is_early=self._state.status != ONLINE and is_soon)

    def apply(self, event: Event) -> None:
        """Any other event."""
        if event.type == LOGIN:
            self._is_pending = True
        elif settles_login(event):
            self._is_pending = False
        if event.type == TOKEN_WILL_EXPIRE:
            self._warned = event
        elif event.type in _NEW_TOKEN and error_codes.number(event.details.get("code", 0)) == 0:
            self._warned = None
        login_state.apply(self._state, event)
        if event.connection_event in sdk_words.ENDS_LOGIN:
            self._ended_by = event


def _next_logins(own: Sequence[Event]) -> list[int | None]:
    """For each event the moment of the next one, or of itself, with which a login begins."""
    found: list[int | None] = []
    next_us: int | None = None
    for event in reversed(own):
        if event.type == LOGIN or event.connection_state in _BEGINS:
            next_us = event.moment_us
        found.append(next_us)
    return found[::-1]


def _code(call: Event) -> int | None:
    return error_codes.number(call.details.get("code"))


def call_name(call: Event) -> Text | str:
    """``sendMessage``: the method, cut to what fits a sentence."""
    return cut(str(call.details.get("method") or ""), _LONGEST_CALL) or _A_CALL()


def code_of(call: Event) -> Text:
    """The code in words."""
    return error_codes.in_words(call.details.get("code"), call.details.get("message"))


def counted(calls: Sequence[Event]) -> Text:
    """``sendMessage 6 times (6000105: no answer in time), …``: the most frequent ones, and how many calls remain."""
    kinds = [(str(call.details.get("method")), str(call.details.get("code"))) for call in calls]
    newest = dict(zip(kinds, calls, strict=True))
    # Of kinds that are as frequent, the first in the alphabet: so it does not depend on the order of arrival.
    frequent = sorted(Counter(kinds).items(), key=lambda one: (-one[1], one[0]))
    named = joined([_times(newest[kind], count) for kind, count in frequent[:_NAMED]])
    rest = sum(count for _, count in frequent[_NAMED:])
    return _AND_MORE(calls=named, count=rest) if rest else named


def _times(call: Event, count: int) -> Text:
    filled = {"call": call_name(call), "code": code_of(call)}
    return _ONCE(**filled) if count == 1 else _TIMES(**filled, count=count)
