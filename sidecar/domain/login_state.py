"""The login state of one client, computed from its events in the order of ``seq``.

Pure: the same events in any order of arrival, with any of them repeated, give the same state, because
:func:`fold` sorts them and :func:`apply` takes only events that are newer than all before.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from operator import attrgetter
from typing import Final

import msgspec

from sidecar.domain import events, sdk_words
from sidecar.domain.events import Event
from sidecar.domain.status import NOT_LOGGED_IN, OFFLINE, ONLINE, STATUS_OF_STATE, Status

# The types that change the state; the others are only recorded.
STATE_EVENTS = frozenset({events.CONNECTION_STATE_CHANGED, events.LOGIN, events.LOGOUT, events.TOKEN_RENEWED})


class LoginState(msgspec.Struct, kw_only=True, array_like=True, gc=False):
    """One client of one user.

    ``since_us`` and ``reason`` are when and by which connection event (or reported logout) ``status`` was reached; both
    are None until the first callback. ``left_online_us`` is when it last stopped being online. ``outages`` counts
    changes to offline, not RECONNECTING events: the SDK sends one for every retry.
    """

    status: Status = NOT_LOGGED_IN
    since_us: int | None = None
    reason: str | None = None
    left_online_us: int | None = None
    outages: int = 0
    connection_state: str | None = None
    connection_state_since_us: int | None = None
    session_id: bytes | None = None
    reports_login: bool = False
    # KICKED_OUT, TOKEN_EXPIRED or UNREGISTERED ended the session: see _ended_for_good.
    ended: bool = False
    ended_session_id: bytes | None = None
    login_at_us: int | None = None
    token_expires_at_us: int | None = None
    last_seq: int = 0
    last_id: bytes = b""
    # The app called logout, and no login since: see _log_out.
    logged_out: bool = False
    # The bits of MOMENTS that events have set since this was last 0.
    touched: int = 0

    @property
    def order(self) -> tuple[int, bytes]:
        """The order of the newest event applied."""
        return (self.last_seq, self.last_id)


# Moments that events set, a bit each. Later events depend on none of them, except on whether since_us is None.
SINCE, LEFT_ONLINE, STATE_SINCE, LOGIN_AT, TOKEN_ENDS = 1, 2, 4, 8, 16
MOMENTS: Final = {
    "since_us": SINCE,
    "left_online_us": LEFT_ONLINE,
    "connection_state_since_us": STATE_SINCE,
    "login_at_us": LOGIN_AT,
    "token_expires_at_us": TOKEN_ENDS,
}

Transition = tuple[str | None, int | None]
"""The connection state before an event, and for how many microseconds it had lasted (never negative)."""
UNKNOWN: Final[Transition] = (None, None)


def transition(state: LoginState, event: Event) -> Transition:
    """The transition that applying ``event`` to ``state`` makes."""
    since = state.connection_state_since_us
    # A client's clock may be set back between two events: then the duration counts as 0.
    return state.connection_state, None if since is None else max(0, event.moment_us - since)


def apply(state: LoginState, event: Event) -> None:
    """Applies ``event`` to ``state``. It must be newer (by ``order``) than every event already applied."""
    if event.session_id is not None and event.session_id != state.session_id:
        state.session_id = event.session_id
        state.logged_out = False
    if event.type == events.CONNECTION_STATE_CHANGED:
        _apply_connection(state, event)
    elif event.type == events.LOGOUT:
        _log_out(state, event)
    elif event.type == events.LOGIN:
        state.reports_login = True
        state.logged_out = False
        state.ended = False
        state.login_at_us = event.moment_us
        state.token_expires_at_us = event.details.get("token_expires_at_us")
        state.touched |= LOGIN_AT | TOKEN_ENDS
    elif (
        event.type == events.TOKEN_RENEWED
        and event.details.get("code", 0) == 0
        and (ends_us := event.details.get("token_expires_at_us"))
    ):
        state.token_expires_at_us = ends_us
        state.touched |= TOKEN_ENDS
    state.last_seq, state.last_id = event.seq, event.id


def _apply_connection(state: LoginState, event: Event) -> None:
    name = event.connection_state
    if name != state.connection_state:
        state.connection_state = name
        state.connection_state_since_us = event.moment_us
        state.touched |= STATE_SINCE
    status = STATUS_OF_STATE.get(name or "")
    if status is None or (status != NOT_LOGGED_IN and _ended_for_good(state, event)):
        return
    if state.logged_out and status == OFFLINE:
        return  # it belongs to the login that ended
    if status != state.status or state.since_us is None or state.reason == sdk_words.LOGOUT:
        if status == OFFLINE:
            state.outages += 1
        _become(state, status, event.moment_us, event.connection_event)
    if status == NOT_LOGGED_IN and event.connection_event in sdk_words.ENDS_LOGIN:
        state.ended = True
        state.ended_session_id = event.session_id
    elif status != NOT_LOGGED_IN:
        state.ended = state.logged_out = False


def _log_out(state: LoginState, event: Event) -> None:
    """Ends the login at a reported call of logout, unless CONNECTED follows.

    Native SDKs give no callback for a logout while reconnecting. Where there is one, its reason takes precedence.
    """
    state.logged_out = True
    if state.status != NOT_LOGGED_IN:
        _become(state, NOT_LOGGED_IN, event.moment_us, sdk_words.LOGOUT)


def _become(state: LoginState, status: Status, moment_us: int, reason: str | None) -> None:
    if state.status == ONLINE:
        state.left_online_us = moment_us
        state.touched |= LEFT_ONLINE
    state.status, state.since_us, state.reason = status, moment_us, reason
    state.touched |= SINCE


def _ended_for_good(state: LoginState, event: Event) -> bool:
    """Whether the login of ``event`` has already ended although the SDK still sends callbacks for it.

    A login with an expired token ends with CONNECTED *after* DISCONNECTED / TOKEN_EXPIRED, and yet every call fails
    with 6000121 (observed in zego-zim-web 2.29.0). So where ``login`` calls are reported, only another call begins a
    login; a new session id implies a call whose report was lost.
    """
    if not (state.ended and state.reports_login):
        return False
    return event.session_id is None or event.session_id == state.ended_session_id


_NOT_COMPARED: Final = {*MOMENTS, "outages", "last_seq", "last_id", "touched"}
_decisive: Final = attrgetter(*(name for name in LoginState.__struct_fields__ if name not in _NOT_COMPARED))


def settled(state: LoginState) -> LoginState:
    """A copy of ``state`` without its order and counters: the part that later events depend on."""
    settled_state = copy(state)
    settled_state.outages = settled_state.last_seq = settled_state.touched = 0
    settled_state.last_id = b""
    return settled_state


def unsettled(settled_state: LoginState, state: LoginState) -> LoginState:
    """A copy of ``settled_state`` with the order and the counters of ``state``."""
    whole = copy(settled_state)
    whole.outages, whole.touched, whole.last_seq, whole.last_id = (
        state.outages,
        state.touched,
        state.last_seq,
        state.last_id,
    )
    return whole


def carried(before: LoginState, after: LoginState, touched: int, changed: LoginState) -> LoginState | None:
    """Replays the events between ``before`` and ``after`` on ``changed`` without applying them; all states are settled.

    ``touched``: the moments that those events set. None if they would have to be applied again.
    """
    same_way = (before.since_us is None) == (changed.since_us is None)
    if not same_way or _decisive(before) != _decisive(changed):
        return None
    result = copy(after)
    for name, bit in MOMENTS.items():
        if not touched & bit:
            setattr(result, name, getattr(changed, name))
    return result


def fold(client_events: Iterable[Event]) -> LoginState:
    """The state after all of a client's events, given in any order; a repeated id counts once."""
    by_order = {event.order: event for event in client_events}
    state = LoginState()
    for order in sorted(by_order):
        apply(state, by_order[order])
    return state
