"""The timeline of a user as a picture: one lane a device, a bar for each state, a mark for each event.

Pure: from events and sessions to positions in a drawing ``WIDTH`` units wide; the template draws it as SVG.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from dashboard.story import BAD, GOOD, LOGIN, PLAIN, Told, moment_of, told
from dashboard.times import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from sidecar.domain import connection, events
from sidecar.domain.events import Event
from sidecar.domain.status import NOT_LOGGED_IN, STATUS_OF_STATE
from sidecar.store.records import SessionRow, StoredEvent

WIDTH: Final = 1000
LEFT: Final = 168
RIGHT: Final = 984
LANE: Final = 46
TOP: Final = 26
WINDOWS: Final = {
    "5m": 5 * MINUTE_US,
    "15m": 15 * MINUTE_US,
    "1h": HOUR_US,
    "6h": 6 * HOUR_US,
    "24h": DAY_US,
    "7d": 7 * DAY_US,
}
# The window that is shown unless one is asked for has this many of the newest events in it.
_EVENTS_SHOWN: Final = 12
_FUTURE: Final = 0.07
_TICKS: Final = (MINUTE_US, 5 * MINUTE_US, 10 * MINUTE_US, 30 * MINUTE_US, HOUR_US, 4 * HOUR_US, DAY_US)
_TICKS_MOST: Final = 8
# A kick-out follows the login that causes it within this time; clocks of two devices differ.
_CAUSE_BEFORE_US: Final = 120 * SECOND_US
_CAUSE_AFTER_US: Final = 10 * SECOND_US
_MARK_GAP: Final = 7.0
Place = Callable[[int], float]


class Bar(msgspec.Struct, frozen=True):
    """A state from ``x`` on; ``kind`` is a status or ``connecting``."""

    x: float
    width: float
    kind: str
    begin_us: int
    end_us: int


class Token(msgspec.Struct, frozen=True):
    """A token's life; ``ends_inside``: its end lies within the drawing."""

    x: float
    width: float
    end_us: int
    ends_inside: bool
    is_over: bool


class Mark(msgspec.Struct, frozen=True):
    """An event, or several that stand too close together to be told apart (``count``)."""

    x: float
    position: int
    told: Told
    at_us: int
    count: int


class Lane(msgspec.Struct, frozen=True):
    """One device, or what ZEGO's server said. ``y`` is its top."""

    letter: str
    client_id: bytes
    session: SessionRow | None
    is_server: bool
    y: float
    bars: list[Bar]
    tokens: list[Token]
    marks: list[Mark]


class Joined(msgspec.Struct, frozen=True):
    """A kick-out and the login that caused it; ``y`` are the middles of the bars."""

    from_x: float
    from_y: float
    to_x: float
    to_y: float
    by: str


class Tick(msgspec.Struct, frozen=True):
    """A moment on the scale; ``form`` is how it is written: ``day``, ``minute`` or ``second``."""

    x: float
    at_us: int
    form: str


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """All of it."""

    lanes: list[Lane]
    joined: list[Joined]
    ticks: list[Tick]
    now_x: float | None
    height: float
    begin_us: int
    end_us: int
    window: str
    quiet_lanes: int


def letters(sessions: Sequence[SessionRow], stored: Sequence[StoredEvent]) -> dict[bytes, str]:
    """A short name for each client: A, B … Z, AA …, in the order in which the devices are shown."""
    clients = list(dict.fromkeys([*(row.client_id for row in sessions), *(one.event.client_id for one in stored)]))
    return {client_id: _letter(number) for number, client_id in enumerate(clients)}


def kicked_by(stored: Sequence[StoredEvent]) -> dict[int, StoredEvent]:
    """For each kick-out, by its position, the login on another device that caused it, as far as it is known."""
    causes = [one for one in stored if _may_kick(one.event)]
    found = {}
    for one in stored:
        if one.event.connection_event != connection.KICKED_OUT:
            continue
        at_us = moment_of(one.event)
        near = [
            cause
            for cause in causes
            if cause.event.client_id != one.event.client_id
            and -_CAUSE_AFTER_US <= at_us - moment_of(cause.event) <= _CAUSE_BEFORE_US
        ]
        if near:
            found[one.position] = min(near, key=lambda cause: abs(at_us - moment_of(cause.event)))
    return found


def picture(
    sessions: Sequence[SessionRow], stored: Sequence[StoredEvent], *, now_us: int, window: str | None
) -> Picture:
    """The drawing for the time up to ``now_us``; ``stored`` are the newest events, newest first."""
    window, end_us = _window(stored, now_us, window)
    span_us = WINDOWS[window]
    begin_us = end_us - span_us
    edge_us = end_us + int(span_us * _FUTURE)

    def x_of(us: int) -> float:
        held = min(max(us, begin_us), edge_us)
        return round(LEFT + (RIGHT - LEFT) * (held - begin_us) / (edge_us - begin_us), 1)

    by_client: dict[bytes, list[StoredEvent]] = defaultdict(list)
    for one in sorted(stored, key=lambda one: (moment_of(one.event), one.event.seq)):
        by_client[one.event.client_id].append(one)
    rows = {row.client_id: row for row in sessions}
    lanes: list[Lane] = []
    quiet = 0
    for client_id, letter in letters(sessions, stored).items():
        own, row = by_client[client_id], rows.get(client_id)
        seen = [one for one in own if begin_us <= moment_of(one.event) <= edge_us]
        if not seen and (row is None or row.status == NOT_LOGGED_IN):
            quiet += 1
            continue
        y = float(TOP + LANE * len(lanes))
        bars = [
            Bar(x_of(one), max(1.5, round(x_of(two) - x_of(one), 1)), kind, one, two)
            for one, two, kind in _states(own, row, begin_us, end_us)
        ]
        tokens = [
            Token(
                x_of(one),
                round(x_of(min(two, edge_us)) - x_of(one), 1),
                ends,
                ends <= edge_us and two == ends,
                ends <= end_us,
            )
            for one, two, ends in _tokens(own, row, begin_us, edge_us)
        ]
        said_by_server = any(one.event.type == events.SERVER_USER_ACTION for one in own)
        lanes.append(Lane(letter, client_id, row, said_by_server, y, bars, tokens, _marks(seen, x_of)))
    return Picture(
        lanes=lanes,
        joined=_joined(lanes, stored, x_of, begin_us, edge_us),
        ticks=_ticks(begin_us, end_us, x_of),
        now_x=x_of(end_us),
        height=float(TOP + LANE * len(lanes) + 6),
        begin_us=begin_us,
        end_us=end_us,
        window=window,
        quiet_lanes=quiet,
    )


def _letter(number: int) -> str:
    text = ""
    number += 1
    while number:
        number, digit = divmod(number - 1, 26)
        text = chr(ord("A") + digit) + text
    return text


def _may_kick(event: Event) -> bool:
    return event.type == events.LOGIN or event.connection_state == connection.CONNECTED


def _window(stored: Sequence[StoredEvent], now_us: int, asked: str | None) -> tuple[str, int]:
    """The window that is asked for, or the shortest with enough in it; and where it ends."""
    end_us = now_us
    moments = [moment_of(one.event) for one in stored]
    if moments and max(moments) < now_us - WINDOWS["7d"]:
        # Long quiet: it ends a little after the newest event instead.
        end_us = max(moments) + MINUTE_US
    if asked in WINDOWS:
        return asked, end_us
    wanted = min(_EVENTS_SHOWN, len(moments))
    for name, span_us in WINDOWS.items():
        if sum(1 for one in moments if one >= end_us - span_us) >= wanted:
            return name, end_us
    return "7d", end_us


def _states(
    own: Sequence[StoredEvent], row: SessionRow | None, begin_us: int, end_us: int
) -> list[tuple[int, int, str]]:
    """(begin, end, kind) of each state within the window, oldest first; what is unknown is left out."""
    changes = [
        (moment_of(one.event), "connecting" if one.event.connection_state == connection.CONNECTING else status)
        for one in own
        if one.event.connection_state is not None
        and (
            (status := STATUS_OF_STATE.get(one.event.connection_state)) is not None
            or one.event.connection_state == connection.CONNECTING
        )
    ]
    if not changes and row is not None and row.since_us is not None:
        changes = [(row.since_us, row.status)]
    found: list[tuple[int, int, str]] = []
    for number, (at_us, kind) in enumerate(changes):
        until_us = changes[number + 1][0] if number + 1 < len(changes) else end_us
        if found and found[-1][2] == kind:
            found[-1] = (found[-1][0], until_us, str(kind))
        else:
            found.append((at_us, until_us, str(kind)))
    return [(max(one, begin_us), min(two, end_us), kind) for one, two, kind in found if two > begin_us and one < end_us]


def _tokens(
    own: Sequence[StoredEvent], row: SessionRow | None, begin_us: int, edge_us: int
) -> list[tuple[int, int, int]]:
    """(begin, end of the bar, end of the token) of each token known, oldest first."""
    began = [
        (moment_of(one.event), int(ends))
        for one in own
        if one.event.type in {events.LOGIN, events.TOKEN_RENEWED}
        and one.event.details.get("code", 0) == 0
        and (ends := one.event.details.get("token_expires_at_us")) is not None
    ]
    if not began and row is not None and row.token_expires_at_us is not None:
        began = [(row.login_at_us or begin_us, row.token_expires_at_us)]
    found = []
    for number, (at_us, ends_us) in enumerate(began):
        next_us = began[number + 1][0] if number + 1 < len(began) else ends_us
        until_us = min(ends_us, next_us)
        if until_us > begin_us and at_us < edge_us:
            found.append((max(at_us, begin_us), until_us, ends_us))
    return found


def _marks(seen: Sequence[StoredEvent], x_of: Place) -> list[Mark]:
    """Events as marks. Of those that lie on each other one is drawn, the gravest."""
    grave = {BAD: 3, LOGIN: 2, GOOD: 1, PLAIN: 0}
    marks: list[Mark] = []
    for one in seen:
        said, x = told(one.event), x_of(moment_of(one.event))
        mark = Mark(x, one.position, said, moment_of(one.event), 1)
        last = marks[-1] if marks else None
        if last is not None and x - last.x < _MARK_GAP:
            kept = mark if grave[said.kind] > grave[last.told.kind] else last
            marks[-1] = msgspec.structs.replace(kept, x=last.x, count=last.count + 1)
        else:
            marks.append(mark)
    return marks


def _joined(
    lanes: Sequence[Lane], stored: Sequence[StoredEvent], x_of: Place, begin_us: int, edge_us: int
) -> list[Joined]:
    by_client = {lane.client_id: lane for lane in lanes}
    found = []
    positions = {one.position: one for one in stored}
    for position, cause in kicked_by(stored).items():
        kicked = positions[position]
        source, target = by_client.get(cause.event.client_id), by_client.get(kicked.event.client_id)
        at_us = moment_of(kicked.event)
        if source is None or target is None or not begin_us <= at_us <= edge_us:
            continue
        found.append(Joined(x_of(moment_of(cause.event)), source.y + 14, x_of(at_us), target.y + 14, source.letter))
    return found


def _ticks(begin_us: int, end_us: int, x_of: Place) -> list[Tick]:
    step_us = next((step for step in _TICKS if (end_us - begin_us) / step <= _TICKS_MOST), _TICKS[-1])
    first = -(-begin_us // step_us) * step_us
    form = "day" if step_us == DAY_US else "minute"
    return [Tick(x_of(at_us), at_us, form) for at_us in range(first, end_us + 1, step_us)]
