"""The timeline of a user as a drawing: a lane per device, a bar per state, a mark per event.

Pure. From events and sessions to positions in a drawing 1000 units wide; the template draws it as SVG.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from dashboard.parts import intervals
from dashboard.parts.event_sentence import (
    BAD,
    GOOD,
    LOGIN,
    PLAIN,
    EventSentence,
    event_sentence,
)
from sidecar.domain import events, sdk_words
from sidecar.domain.kick import Cause, cause_of
from sidecar.domain.session import Session
from sidecar.domain.status import NOT_LOGGED_IN
from sidecar.domain.units import DAY_US, HOUR_US, MINUTE_US
from sidecar.store.values import StoredEvent

LEFT: Final = 168
RIGHT: Final = 984
LANE: Final = 46
TOP: Final = 26
# More are not drawn: the live devices come first, and a drawing of forty is no overview.
MOST_LANES: Final = 12
WINDOWS: Final = {
    "5m": 5 * MINUTE_US,
    "15m": 15 * MINUTE_US,
    "1h": HOUR_US,
    "6h": 6 * HOUR_US,
    "24h": DAY_US,
    "7d": 7 * DAY_US,
}
# The default window holds at least this many of the newest events.
_EVENTS_SHOWN: Final = 12
_FUTURE: Final = 0.07
_TICKS: Final = {
    "5m": MINUTE_US,
    "15m": 5 * MINUTE_US,
    "1h": 10 * MINUTE_US,
    "6h": HOUR_US,
    "24h": 4 * HOUR_US,
    "7d": DAY_US,
}
_GRAVITY: Final = (PLAIN, GOOD, LOGIN, BAD)
_MARK_GAP: Final = 7.0
Place = Callable[[int], float]


class Bar(msgspec.Struct, frozen=True):
    """A state; ``kind`` is a status or ``connecting``."""

    x: float
    width: float
    kind: str
    begin_us: int
    end_us: int


class Token(msgspec.Struct, frozen=True):
    """The lifetime of a token; ``ends_inside``: its end lies within the drawing."""

    x: float
    width: float
    end_us: int
    ends_inside: bool
    is_over: bool


class Mark(msgspec.Struct, frozen=True):
    """An event, or ``count`` events that are too close together to be drawn apart, one of which ``is_unproven``."""

    x: float
    position: int
    sentence: EventSentence
    at_us: int
    count: int
    is_unproven: bool


class Lane(msgspec.Struct, frozen=True):
    """One device, or the events of ZEGO's server; ``y`` is its top."""

    letter: str
    client_id: bytes
    session: Session | None
    is_server: bool
    y: float
    bars: list[Bar]
    tokens: list[Token]
    marks: list[Mark]


class Joined(msgspec.Struct, frozen=True):
    """The line from a login to the kick-out that it caused, between the middles of their bars."""

    from_x: float
    from_y: float
    to_x: float
    to_y: float
    by: str


class Tick(msgspec.Struct, frozen=True):
    """A moment on the scale; ``form`` is its format: ``day`` or ``minute``."""

    x: float
    at_us: int
    form: str


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """The whole drawing."""

    lanes: list[Lane]
    joined: list[Joined]
    ticks: list[Tick]
    now_x: float | None
    height: float
    begin_us: int
    end_us: int
    window: str
    quiet_lanes: int
    more_lanes: int = 0


def letters(sessions: Sequence[Session], stored: Sequence[StoredEvent]) -> dict[bytes, str]:
    """A short name for each client: A, B … Z, AA …, in the order in which the devices are shown."""
    clients = list(dict.fromkeys([*(row.client_id for row in sessions), *(one.event.client_id for one in stored)]))
    return {client_id: _letter(number) for number, client_id in enumerate(clients)}


def kicked_by(stored: Sequence[StoredEvent], causes: Mapping[int, Cause] | None = None) -> dict[int, StoredEvent]:
    """The login on another device that caused each kick-out, if known, by the position of the kick-out."""
    events_of = {one.event.id: one for one in stored}
    return {
        position: events_of[cause.login.id]
        for position, cause in (causes_of_kicks(stored) if causes is None else causes).items()
        if cause.login is not None
    }


def causes_of_kicks(stored: Sequence[StoredEvent]) -> dict[int, Cause]:
    """The cause of each kick-out, by its position."""
    known = [one.event for one in stored]
    return {
        one.position: cause_of(one.event, known) for one in stored if one.event.connection_event == sdk_words.KICKED_OUT
    }


def picture(
    sessions: Sequence[Session],
    stored: Sequence[StoredEvent],
    *,
    now_us: int,
    window: str | None,
    causes: Mapping[int, Cause] | None = None,
) -> Picture:
    """The drawing for the time up to ``now_us``; ``stored`` are the newest events, newest first.

    ``causes`` are those of the kicks, where the caller has them.
    """
    window, end_us = _window(stored, now_us, window)
    span_us = WINDOWS[window]
    begin_us = end_us - span_us
    edge_us = end_us + int(span_us * _FUTURE)

    def x_of(us: int) -> float:
        held = min(max(us, begin_us), edge_us)
        return round(LEFT + (RIGHT - LEFT) * (held - begin_us) / (edge_us - begin_us), 1)

    by_client: dict[bytes, list[StoredEvent]] = defaultdict(list)
    for one in sorted(stored, key=lambda one: (one.event.moment_us, one.event.seq)):
        by_client[one.event.client_id].append(one)
    rows = {row.client_id: row for row in sessions}
    lanes: list[Lane] = []
    quiet = more = 0
    for client_id, letter in letters(sessions, stored).items():
        own, row = by_client[client_id], rows.get(client_id)
        seen = [one for one in own if begin_us <= one.event.moment_us <= edge_us]
        if not seen and (row is None or row.status == NOT_LOGGED_IN):
            quiet += 1
            continue
        if len(lanes) == MOST_LANES:
            more += 1
            continue
        y = float(TOP + LANE * len(lanes))
        bars = [
            Bar(x_of(one), max(1.5, round(x_of(two) - x_of(one), 1)), kind, one, two)
            for one, two, kind in intervals.states(own, row, begin_us, end_us)
        ]
        tokens = [
            Token(
                x_of(one),
                round(x_of(two) - x_of(one), 1),
                ends,
                ends <= edge_us and two == ends,
                ends <= end_us,
            )
            for one, two, ends in intervals.tokens(own, row, begin_us, edge_us)
        ]
        is_server = any(one.event.type == events.SERVER_USER_ACTION for one in own)
        lanes.append(Lane(letter, client_id, row, is_server, y, bars, tokens, _marks(seen, x_of)))
    return Picture(
        lanes=lanes,
        joined=_joined(lanes, stored, kicked_by(stored, causes), x_of, (begin_us, edge_us)),
        ticks=_ticks(_TICKS[window], begin_us, end_us, x_of),
        now_x=x_of(end_us),
        height=float(TOP + LANE * len(lanes) + 6),
        begin_us=begin_us,
        end_us=end_us,
        window=window,
        quiet_lanes=quiet,
        more_lanes=more,
    )


def _letter(number: int) -> str:
    text = ""
    number += 1
    while number:
        number, digit = divmod(number - 1, 26)
        text = chr(ord("A") + digit) + text
    return text


def _window(stored: Sequence[StoredEvent], now_us: int, requested: str | None) -> tuple[str, int]:
    """The requested window, or the shortest with enough events; and its end."""
    end_us = now_us
    moments = [one.event.moment_us for one in stored]
    if moments and max(moments) < now_us - WINDOWS["7d"]:
        # Without recent events it ends shortly after the newest one.
        end_us = max(moments) + MINUTE_US
    if requested in WINDOWS:
        return requested, end_us
    wanted = min(_EVENTS_SHOWN, len(moments))
    for name, span_us in WINDOWS.items():
        if sum(1 for one in moments if one >= end_us - span_us) >= wanted:
            return name, end_us
    return "7d", end_us


def _marks(seen: Sequence[StoredEvent], x_of: Place) -> list[Mark]:
    """Events as marks. Of overlapping ones the most severe is drawn."""
    marks: list[Mark] = []
    for one in seen:
        sentence, x = event_sentence(one.event), x_of(one.event.moment_us)
        mark = Mark(x, one.position, sentence, one.event.moment_us, 1, one.event.proven is False)
        last = marks[-1] if marks else None
        if last is not None and x - last.x < _MARK_GAP:
            kept = mark if _GRAVITY.index(sentence.kind) > _GRAVITY.index(last.sentence.kind) else last
            marks[-1] = msgspec.structs.replace(
                kept, x=last.x, count=last.count + 1, is_unproven=last.is_unproven or mark.is_unproven
            )
        else:
            marks.append(mark)
    return marks


def _joined(
    lanes: Sequence[Lane],
    stored: Sequence[StoredEvent],
    kicks: Mapping[int, StoredEvent],
    x_of: Place,
    within_us: tuple[int, int],
) -> list[Joined]:
    by_client = {lane.client_id: lane for lane in lanes}
    found = []
    positions = {one.position: one for one in stored}
    for position, cause in kicks.items():
        kicked = positions[position]
        source, target = by_client.get(cause.event.client_id), by_client.get(kicked.event.client_id)
        at_us = kicked.event.moment_us
        if source is None or target is None or not within_us[0] <= at_us <= within_us[1]:
            continue
        found.append(Joined(x_of(cause.event.moment_us), source.y + 14, x_of(at_us), target.y + 14, source.letter))
    return found


def _ticks(step_us: int, begin_us: int, end_us: int, x_of: Place) -> list[Tick]:
    first_us = -(-begin_us // step_us) * step_us
    form = "day" if step_us == DAY_US else "minute"
    return [Tick(x_of(at_us), at_us, form) for at_us in range(first_us, end_us + 1, step_us)]
