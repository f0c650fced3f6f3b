"""The login state of one client: what its events, taken in the order of ``seq``, say of its user.

Pure: the same events in any order of arrival, with any of them repeated, give the same state, because
:func:`fold` puts them in order first and :func:`apply` is called with an event that is newer than all before.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from sidecar.domain import connection, events
from sidecar.domain.events import Event
from sidecar.domain.status import NOT_LOGGED_IN, OFFLINE, ONLINE, STATUS_OF_STATE, Status

# Types that move the state below; the others are on the record and change nothing here.
SHAPES_STATE = frozenset({events.CONNECTION_STATE_CHANGED, events.LOGIN, events.TOKEN_RENEWED})


class LoginState(msgspec.Struct, kw_only=True, array_like=True, gc=False):
    """One client of one user.

    ``since_us`` and ``reason`` tell when and by which connection event ``status`` became what it is; both are None
    while the callback has never come. ``left_online_us`` is when it last stopped being online. ``outages`` counts
    changes to offline: the SDK sends RECONNECTING once for every retry, so events are no measure.
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
    # A session that KICKED_OUT, TOKEN_EXPIRED or UNREGISTERED has ended: see _ended_for_good.
    ended: bool = False
    ended_session_id: bytes | None = None
    login_at_us: int | None = None
    token_expires_at_us: int | None = None
    last_seq: int = 0
    last_id: bytes = b""

    @property
    def order(self) -> tuple[int, bytes]:
        """The order of the newest event in it."""
        return (self.last_seq, self.last_id)


Transition = tuple[str | None, int | None]
"""What the connection state was before an event, and for how many microseconds it had been so (never negative)."""
UNKNOWN: Final[Transition] = (None, None)


def transition(state: LoginState, event: Event) -> Transition:
    """The transition that ``event`` is about to make in ``state``."""
    since = state.connection_state_since_us
    # A client's clock may be set back between two events: then no time is known to have passed.
    return state.connection_state, None if since is None else max(0, event.occurred_at_us - since)


def apply(state: LoginState, event: Event) -> None:
    """Moves ``state`` on by ``event``, which must be newer (by ``order``) than every event already in it."""
    if event.type == events.CONNECTION_STATE_CHANGED:
        _apply_connection(state, event)
    elif event.type == events.LOGIN:
        state.reports_login = True
        state.ended = False
        state.login_at_us = event.occurred_at_us
        state.token_expires_at_us = event.details.get("token_expires_at_us")
    elif event.type == events.TOKEN_RENEWED and event.details.get("code", 0) == 0:
        state.token_expires_at_us = event.details.get("token_expires_at_us") or state.token_expires_at_us
    if event.session_id is not None:
        state.session_id = event.session_id
    state.last_seq, state.last_id = event.seq, event.id


def _apply_connection(state: LoginState, event: Event) -> None:
    name = event.connection_state
    if name != state.connection_state:
        state.connection_state = name
        state.connection_state_since_us = event.occurred_at_us
    status = STATUS_OF_STATE.get(name or "")
    if status is None or (status != NOT_LOGGED_IN and _ended_for_good(state, event)):
        return
    if status != state.status or state.since_us is None:
        if state.status == ONLINE:
            state.left_online_us = event.occurred_at_us
        if status == OFFLINE:
            state.outages += 1
        state.status, state.since_us, state.reason = status, event.occurred_at_us, event.connection_event
    if status == NOT_LOGGED_IN and event.connection_event in connection.ENDS_LOGIN:
        state.ended = True
        state.ended_session_id = event.session_id
    elif status != NOT_LOGGED_IN:
        state.ended = False


def _ended_for_good(state: LoginState, event: Event) -> bool:
    """Whether the login that ``event`` speaks of is over although the SDK still speaks.

    A login with a token that has already expired ends with CONNECTED *after* DISCONNECTED / TOKEN_EXPIRED, and yet
    every call fails with 6000121 (seen in zego-zim-web 2.29.0). So where ``login`` calls are reported, only
    another one begins a login; another session id tells of a call whose report was lost.
    """
    if not (state.ended and state.reports_login):
        return False
    return event.session_id is None or event.session_id == state.ended_session_id


def fold(client_events: Iterable[Event]) -> LoginState:
    """The state after all of a client's events, whatever the order they are given in; a repeated id counts once."""
    state = LoginState()
    for event in sorted(client_events, key=lambda event: event.order):
        if event.order > state.order:
            apply(state, event)
    return state
