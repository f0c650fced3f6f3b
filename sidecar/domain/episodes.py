"""Episodes of a client: its logins, outages and sessions, each from one event to another.

Pure. An event counts once ``settle_us`` went by after its receipt, together with all that was received until then: so
each order of arrival within that time gives the same episodes. What comes later changes none: an episode, which its
first event identifies, has the end that settled first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Final, Literal

import msgspec

from sidecar.domain import events, sdk_words

Kind = Literal["login", "outage", "session"]
KINDS: Final[tuple[Kind, ...]] = ("login", "outage", "session")
LogKind = Literal["change", "login", "outage", "session"]
LOG_KINDS: Final[tuple[LogKind, ...]] = ("change", *KINDS)
"""What is logged: each change of a connection, and episodes."""
TYPES: Final = (events.CONNECTION_STATE_CHANGED, events.LOGIN, events.LOGIN_RESULT, events.LOGOUT)
"""The types of events that episodes follow from."""


class Reported(msgspec.Struct, frozen=True, gc=False):
    """An event, as far as episodes follow from it. ``starts_trace``: it is the first of its trace to arrive."""

    position: int
    id: bytes
    type: str
    moment_us: int
    received_at_us: int
    client_id: bytes
    seq: int
    app_id: int
    session_id: bytes | None
    user_id: str | None
    connection_state: str | None
    connection_event: str | None
    platform: str | None
    sdk_name: str | None
    sdk_version: str | None
    starts_trace: bool | None
    code: int | None

    @property
    def order(self) -> tuple[int, bytes]:
        """As that of :class:`sidecar.domain.events.Event`."""
        return (self.seq, self.id)

    @property
    def trace_id(self) -> bytes:
        """The session, or the client without one."""
        return self.session_id or self.client_id

    @property
    def is_change(self) -> bool:
        """Whether it is a callback of onConnectionStateChanged."""
        return self.type == events.CONNECTION_STATE_CHANGED

    @property
    def has_failed(self) -> bool:
        """Whether it reports that a login failed, or was ended by another than the user."""
        return self.connection_event in sdk_words.FAILURES or (self.type == events.LOGIN_RESULT and bool(self.code))


class Episode(msgspec.Struct, frozen=True):
    """What began with ``start`` and ended with ``end``."""

    kind: Kind
    start: Reported
    end: Reported

    @property
    def has_failed(self) -> bool:
        """Whether the login was refused, or the outage or session ended by another than the user or the network."""
        failing = self.kind == "login" and self.end.connection_state != sdk_words.CONNECTED
        return failing or self.end.has_failed


class Found(msgspec.Struct):
    """What an event means: the episodes that it ends, and whether a session begins with it, after which other."""

    ended: Sequence[Episode] = ()
    begins_session: bool = False
    previous_session_id: bytes | None = None


def found_at(event: Reported, known: Iterable[Reported], settle_us: int) -> Found:
    """What a settled event means. ``known`` are events of its client, of which later than it settled none counts."""
    settled_us = event.received_at_us + settle_us
    history = sorted({one for one in known if one.received_at_us <= settled_us} | {event}, key=attrgetter("order"))
    found = _fold(history, event)
    for other in history:
        # Where a later one settled before this one came, it has ended or begun already what this one would.
        if other.order > event.order and other.received_at_us + settle_us < event.received_at_us:
            until_us = other.received_at_us + settle_us
            before = _fold([one for one in history if one.received_at_us <= until_us], other)
            taken = {(one.kind, one.start.id) for one in before.ended}
            found.ended = [one for one in found.ended if (one.kind, one.start.id) not in taken]
            if before.begins_session and other.trace_id == event.trace_id:
                found.begins_session = False
    return found


class _Open:
    """What has begun and not ended, in one trace."""

    def __init__(self) -> None:
        self.starts: dict[Kind, Reported] = {}
        self.logged_out = False

    def apply(self, event: Reported) -> Found:
        """Applies the next event."""
        begins = "session" not in self.starts and self._may_begin(event)
        if begins:
            self.starts["session"] = event
        if event.type == events.LOGIN:
            self.starts.setdefault("login", event)
        elif event.connection_state == sdk_words.RECONNECTING and "session" in self.starts:
            self.starts.setdefault("outage", event)
        ended = [Episode(kind, self.starts.pop(kind), event) for kind in self._ended_by(event) if kind in self.starts]
        if event.type == events.LOGOUT:
            self.starts.clear()
        self.logged_out = event.type == events.LOGOUT or (self.logged_out and not begins)
        return Found(ended, begins)

    def _may_begin(self, event: Reported) -> bool:
        if event.type == events.LOGIN:
            return True
        # A late RECONNECTING after a logout is of the login before it.
        states = {sdk_words.CONNECTING, sdk_words.CONNECTED} | (set() if self.logged_out else {sdk_words.RECONNECTING})
        return event.is_change and event.connection_state in states

    def _ended_by(self, event: Reported) -> Sequence[Kind]:
        if event.connection_state == sdk_words.CONNECTED and event.is_change:
            return ("login", "outage")
        if event.connection_state == sdk_words.DISCONNECTED and event.is_change:
            return KINDS
        if event.type == events.LOGIN_RESULT and event.has_failed and "login" in self.starts:
            return KINDS
        return ("outage", "session") if event.type == events.LOGOUT else ()


def _fold(history: Sequence[Reported], last: Reported) -> Found:
    """What ``last`` means after the events before it, which are in order."""
    now, trace_id, session_id, previous_id = _Open(), b"", None, None
    for event in history:
        if event.trace_id != trace_id:
            now, trace_id = _Open(), event.trace_id
        if event.session_id is not None and event.session_id != session_id:
            session_id, previous_id = event.session_id, session_id
        found = now.apply(event)
        if event == last:
            found.previous_session_id = previous_id
            return found
    return Found()
