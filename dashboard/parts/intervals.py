"""The intervals of one device within a window of time: its states and its tokens. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from sidecar.domain import events, login_state, sdk_words
from sidecar.domain.login_state import LoginState
from sidecar.domain.session import Session
from sidecar.domain.status import NOT_LOGGED_IN
from sidecar.store.values import StoredEvent


def states(own: Sequence[StoredEvent], row: Session | None, begin_us: int, end_us: int) -> list[tuple[int, int, str]]:
    """(begin, end, kind) of each state within the window, oldest first; unknown time is left out."""
    changes: list[tuple[int, str]] = []
    state = LoginState()
    for one in sorted(own, key=lambda one: one.event.order):
        login_state.apply(state, one.event)
        is_connecting = (
            state.status == NOT_LOGGED_IN and state.connection_state == sdk_words.CONNECTING and not state.logged_out
        )
        if is_connecting or (state.since_us is not None and one.event.type in login_state.STATE_EVENTS):
            # A clock that was set back between two events does not hide the later one.
            at_us = max(one.event.moment_us, changes[-1][0]) if changes else one.event.moment_us
            changes.append((at_us, "connecting" if is_connecting else state.status))
    if not changes and row is not None and row.since_us is not None:
        changes = [(row.since_us, row.status)]
    found: list[tuple[int, int, str]] = []
    ends = [*(at_us for at_us, _ in changes[1:]), end_us]
    for (at_us, kind), until_us in zip(changes, ends, strict=False):
        if found and found[-1][2] == kind:
            found[-1] = (found[-1][0], until_us, kind)
        else:
            found.append((at_us, until_us, kind))
    return [(max(one, begin_us), min(two, end_us), kind) for one, two, kind in found if two > begin_us and one < end_us]


def tokens(own: Sequence[StoredEvent], row: Session | None, begin_us: int, edge_us: int) -> list[tuple[int, int, int]]:
    """(begin, end of the bar, end of the token) of each known token, oldest first."""
    began = [
        (one.event.moment_us, int(ends))
        for one in own
        if one.event.type in {events.LOGIN, events.TOKEN_RENEWED}
        and one.event.details.get("code", 0) == 0
        and (ends := one.event.details.get("token_expires_at_us")) is not None
    ]
    if not began and row is not None and row.token_expires_at_us is not None:
        began = [(row.login_at_us or begin_us, row.token_expires_at_us)]
    followed = [*(at_us for at_us, _ in began[1:]), edge_us]
    return [
        (max(at_us, begin_us), min(ends_us, until_us), ends_us)
        for (at_us, ends_us), until_us in zip(began, followed, strict=False)
        if min(ends_us, until_us) > begin_us and at_us < edge_us
    ]
