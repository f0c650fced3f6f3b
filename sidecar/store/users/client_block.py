"""A block of a client's history: events in their order, and the login state at the end of them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Final

from sidecar.domain import login_state
from sidecar.domain.events import Event
from sidecar.domain.login_state import LoginState, Transition

Order = tuple[int, bytes]
"""``seq`` and id of an event; of a block, those of its last event."""
Read = Callable[[Sequence[int]], Sequence[tuple[int, Event]]]
"""Reads the events at these positions, in the same order."""
BEGIN: Final[Order] = (0, b"")
# How many events are read first; then each time as many again as were read.
READ_FIRST: Final = 4


class Block:
    """The events up to ``order`` and after the block before.

    ``end`` is the settled state after them, and ``touched`` the moments that they touched (:class:`LoginState`).
    ``positions`` are those of the events, in their order; None for the tail and for a block closed in this transaction,
    until it is written or opened. ``joined``: see :class:`sidecar.store.users.block_index.BlockIndex`.

    Once it is open, ``events`` are those that were read so far, from the first one on: no more are read than are
    needed. Since its owner noted them last, events were applied ``steps`` times and count so many more ``outages``;
    ``held`` is how many events it had then.
    """

    __slots__ = (
        "_befores",
        "_counted",
        "_orders",
        "_reached",
        "end",
        "events",
        "held",
        "joined",
        "order",
        "outages",
        "positions",
        "steps",
        "touched",
    )

    def __init__(self, order: Order, end: LoginState, touched: int, positions: list[int] | None = None) -> None:
        self.order = order
        self.end = end
        self.touched = touched
        self.positions = positions
        self.joined = False
        self.steps = self.outages = self.held = 0
        self.events: list[Event] = []
        # For each event its order, the state before it, and the outages that it counted and moments that it touched.
        self._orders: list[Order] = []
        self._befores: list[LoginState] = []
        self._counted: list[tuple[int, int]] = []
        # The state after these events.
        self._reached: LoginState | None = None

    @property
    def is_open(self) -> bool:
        """Whether events can be inserted."""
        return self._reached is not None

    def open(self, start: LoginState, events: Sequence[tuple[int, Event]] = ()) -> None:
        """Opens a block that begins with the state ``start``; without positions, ``events`` are all its events."""
        self._reached = start
        if self.positions is None:
            self.positions = [position for position, _ in events]
            self._add(events)

    def close(self) -> None:
        """Forgets the events."""
        self.events, self._orders, self._befores, self._counted, self._reached = [], [], [], [], None

    def insert(self, event: Event, position: int, read: Read) -> Transition:
        """Inserts the event where its order places it; its transition there."""
        order = event.order
        while (not self._orders or self._orders[-1] < order) and self._read_on(read):
            pass
        at = bisect_left(self._orders, order)
        before = self._state_before(at)
        after, counted = _applied(before, event)
        self.events.insert(at, event)
        self._orders.insert(at, order)
        self._all_positions.insert(at, position)
        self._befores.insert(at, before)
        self._counted.insert(at, counted)
        self.outages += counted[0]
        self.touched |= counted[1]
        self.steps += 1
        self._apply_from(at + 1, after, read)
        return login_state.transition(before, event)

    def append(self, event: Event, position: int, end: LoginState, touched: int) -> None:
        """Adds a newer event to the tail, once it is open; ``end`` and ``touched`` are as they are after it."""
        self._all_positions.append(position)
        self._add([(position, event)])
        self.order, self.end, self.touched = event.order, end, touched

    def restart(self, start: LoginState, read: Read) -> None:
        """Applies the events to another state than they began with."""
        self._apply_from(0, start, read)

    def carry(self, start: LoginState, end: LoginState) -> None:
        """As :meth:`restart` where only moments differ: then ``end`` is known, and nothing is read."""
        if self.is_open:
            self._apply_from(0, start, None)
        self.end = end

    def split(self, read: Read) -> Block:
        """Removes the first half of its events; they are returned as a block."""
        while self._read_on(read):
            pass
        at, positions = len(self.events) // 2, self._all_positions
        head = Block(self._orders[at - 1], self._befores[at], _touched(self._counted[:at]), positions[:at])
        head.events, head._orders, head._befores = self.events[:at], self._orders[:at], self._befores[:at]
        head._counted, head._reached = self._counted[:at], head.end
        for whole in (self.events, self._orders, self._befores, self._counted, positions):
            del whole[:at]
        self.touched = _touched(self._counted)
        return head

    @property
    def _all_positions(self) -> list[int]:
        assert self.positions is not None  # noqa: S101 - it is open
        return self.positions

    def _state_before(self, at: int) -> LoginState:
        """The state before the event at this index, or after the last one that was read."""
        state = self._befores[at] if at < len(self.events) else self._reached
        assert state is not None  # noqa: S101 - it is open
        return state

    def _apply_from(self, at: int, state: LoginState, read: Read | None) -> None:
        """Applies the events from this index on to ``state``, until the state is what it was before."""
        index = at
        lost = 0
        while index < len(self.events) or (read is not None and self._read_on(read)):
            if state == self._befores[index]:
                break
            self._befores[index] = state
            before = self._counted[index]
            state, counted = _applied(state, self.events[index])
            self._counted[index] = counted
            self.outages += counted[0] - before[0]
            self.touched |= counted[1]
            lost |= before[1] & ~counted[1]
            self.steps += 1
            index += 1
        else:
            self._reached = state
            if read is not None:
                self.end = state
        if lost and read is not None:
            self._no_longer_touches(lost, read)

    def _no_longer_touches(self, moments: int, read: Read) -> None:
        """Brings ``touched`` up to date once an event touches these moments no longer: perhaps another one does."""
        while moments & ~_touched(self._counted):
            if not self._read_on(read):
                self.touched = _touched(self._counted)
                return

    def _read_on(self, read: Read) -> bool:
        """Reads some more events; whether there were any."""
        first = len(self.events)
        positions = self._all_positions[first : first + max(first, READ_FIRST)]
        if not positions:
            return False
        self._add(read(positions))
        return True

    def _add(self, events: Sequence[tuple[int, Event]]) -> None:
        """Adds events behind those that were read."""
        for _, event in events:
            before = self._state_before(len(self.events))
            self.events.append(event)
            self._orders.append(event.order)
            self._befores.append(before)
            self._reached, counted = _applied(before, event)
            self._counted.append(counted)
        self.steps += len(events)


def _touched(counted: Sequence[tuple[int, int]]) -> int:
    touched = 0
    for _, moments in counted:
        touched |= moments
    return touched


def _applied(state: LoginState, event: Event) -> tuple[LoginState, tuple[int, int]]:
    """The settled state after an event; the outages that it counted and the moments that it touched."""
    after: LoginState = state.__copy__()  # type: ignore[attr-defined]  # copy.copy takes four times as long
    login_state.apply(after, event)
    counted = (after.outages, after.touched)
    after.outages = after.touched = after.last_seq = 0
    after.last_id = b""
    return after, counted
