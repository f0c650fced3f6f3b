"""A block of a client's history: events in their order, and the login state at the end of them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from copy import copy
from operator import attrgetter
from typing import Final

from sidecar.domain import login_state
from sidecar.domain.events import Event
from sidecar.domain.login_state import LoginState, Transition

Order = tuple[int, bytes]
"""``seq`` and id of an event; of a block, those of its last event."""
BEGIN: Final[Order] = (0, b"")
order_of: Final = attrgetter("order")


class OpenBlock:
    """The events of a block, the state before each, and the outages that each counted and the moments it touched.

    ``steps`` is how many events were applied.
    """

    def __init__(self, start: LoginState, events: Sequence[tuple[int, Event]]) -> None:
        self.events = [event for _, event in events]
        self.positions = [position for position, _ in events]
        self.befores: list[LoginState] = []
        self.counted: list[tuple[int, int]] = []
        self.end = start
        for event in self.events:
            self.befores.append(self.end)
            self.end, counted = _applied(self.end, event)
            self.counted.append(counted)
        self.outages = sum(outages for outages, _ in self.counted)
        self.steps = len(events)

    @property
    def touched(self) -> int:
        """The moments that any of the events touched; see :attr:`LoginState.touched`."""
        touched = 0
        for _, one in self.counted:
            touched |= one
        return touched

    def insert(self, event: Event, position: int) -> Transition:
        """Inserts the event where its order places it; its transition there."""
        at = bisect_left(self.events, event.order, key=order_of)
        before = self.befores[at] if at < len(self.events) else self.end
        self.events.insert(at, event)
        self.positions.insert(at, position)
        self.befores.insert(at, before)
        after, counted = _applied(before, event)
        self.counted.insert(at, counted)
        self.outages += counted[0]
        self.steps += 1
        self._apply_from(at + 1, after)
        return login_state.transition(before, event)

    def restart(self, start: LoginState) -> None:
        """Applies the events to another state."""
        self._apply_from(0, start)

    def split(self, at: int) -> OpenBlock:
        """Removes the first ``at`` events; they are returned as a block."""
        head = OpenBlock(self.befores[0], list(zip(self.positions[:at], self.events[:at], strict=True)))
        for whole in (self.events, self.positions, self.befores, self.counted):
            del whole[:at]
        self.outages -= head.outages
        return head

    def _apply_from(self, at: int, state: LoginState) -> None:
        """Applies the events from this index on to ``state``, until the state is what it was before."""
        for index in range(at, len(self.events)):
            if state == self.befores[index]:
                return
            self.befores[index] = state
            self.outages -= self.counted[index][0]
            state, counted = _applied(state, self.events[index])
            self.counted[index] = counted
            self.outages += counted[0]
            self.steps += 1
        self.end = state


class Block:
    """The events up to ``order`` and after the block before, opened if they were needed.

    ``positions`` are None for a block closed in this transaction, until it is written or opened.
    """

    def __init__(
        self,
        order: Order,
        end: LoginState,
        touched: int,
        positions: list[int] | None,
        opened: OpenBlock | None = None,
    ) -> None:
        self.order = order
        self.opened = opened
        self.carried_end = end
        self._touched = touched
        self._positions = positions

    @property
    def end(self) -> LoginState:
        """The settled state after its last event."""
        return self.opened.end if self.opened else self.carried_end

    @property
    def touched(self) -> int:
        """The moments that its events touched."""
        return self.opened.touched if self.opened else self._touched

    @property
    def positions(self) -> list[int] | None:
        """The positions of its events, in their order."""
        return self.opened.positions if self.opened else self._positions


def _applied(state: LoginState, event: Event) -> tuple[LoginState, tuple[int, int]]:
    """The settled state after an event; the outages that it counted and the moments that it touched."""
    after = copy(state)
    login_state.apply(after, event)
    counted = (after.outages, after.touched)
    after.outages = after.touched = after.last_seq = 0
    after.last_id = b""
    return after, counted
