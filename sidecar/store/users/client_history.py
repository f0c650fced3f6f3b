"""A client's history: its events in order, cut into blocks with the login state at the end of each.

A late event is inserted in its block, and what follows is applied again only until the state is what it was before.
Where only moments differ, whole blocks are passed over (:func:`login_state.carried`). So a late event costs a bounded
number of reads, however long the history, and the result equals that of all events in order.

A block is closed with every :data:`BLOCK_EVENTS` events that arrive; the newest events, in no block yet, are the tail.
Blocks are in ``client_blocks``. Of a client without late events none is read.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, Final

import sqlalchemy as sa

from sidecar.domain.events import Event
from sidecar.domain.login_state import LoginState, Transition, carried, settled
from sidecar.store.mapping import Client
from sidecar.store.users.block_index import BlockIndex
from sidecar.store.users.client_block import BEGIN, Block, OpenBlock, Order
from sidecar.store.users.client_events import ClientEvents

BLOCK_EVENTS: Final = 16
# How many later events a late one may change at most; those after them stay as they were.
FOLLOWED_MOST: Final = 100_000
# The position of no event.
_DELETED: Final = 0


class ClientHistory:
    """The history of one client within one transaction.

    ``applied`` are the client's events of this transaction with their positions; the caller appends to it. ``head`` is
    the client's last position before them. ``work`` is how many events were read and applied.
    """

    def __init__(
        self, connection: sa.Connection, client: Client, head: int | None, applied: Sequence[tuple[int, Event]]
    ) -> None:
        self._client = client
        self._blocks = BlockIndex(connection, client)
        self._events = ClientEvents(connection, client, head, applied)
        self._tail: Block | None = None
        self.work = 0

    def insert(self, event: Event, position: int) -> Transition | None:
        """Inserts a late event, and brings the client's state up to date; the event's transition.

        None if events that it would have to be ordered with were deleted: then it changes nothing.
        """
        block = self._block_of(event.order)
        opened = self._open(block)
        if opened is None:
            return None
        old = block.end
        with self._changing(block, opened):
            transition = opened.insert(event, position)
        if block is not self._tail and len(opened.events) >= 2 * BLOCK_EVENTS:
            self._split(opened)
        self._propagate(block, old)
        return transition

    def append(self) -> None:
        """To be called once the newest event was applied to the client's state."""
        self._tail = None

    def close(self, position: int) -> None:
        """Closes the tail as a block; its last event to arrive is at ``position``."""
        client, last = self._client, self._blocks.last()
        order = client.state.order
        if order > (last.order if last else BEGIN):
            opened = self._tail.opened if self._tail else None
            self._blocks.append(Block(order, settled(client.state), client.state.touched, None, opened))
        client.state.touched = 0
        client.tail_events, client.closed_position = 0, position
        self._tail = None

    def rows(self) -> list[tuple[Any, ...]]:
        """The rows of blocks to write, once the events of this transaction are written."""
        arrived = None
        found = []
        for block in self._blocks.changed.values():
            positions = block.positions
            if positions is None:
                arrived = self._events.arrived() if arrived is None else arrived
                begin = self._begin_of(block)
                positions = [position for order, position in arrived if begin < order <= block.order] or [_DELETED]
            found.append(self._blocks.row(block, positions))
        return found

    def _block_of(self, order: Order) -> Block:
        """The block that an event of this order belongs to, or the tail."""
        last = self._blocks.last()
        if last is None or order > last.order:
            return self._tail_block()
        return self._blocks.at_or_after(order) or self._tail_block()

    def _tail_block(self) -> Block:
        if self._tail is None:
            state = self._client.state
            self._tail = Block(state.order, settled(state), state.touched, None)
        return self._tail

    def _preceding(self, block: Block) -> Block | None:
        return self._blocks.last() if block is self._tail else self._blocks.before(block.order)

    def _begin_of(self, block: Block) -> Order:
        before = self._preceding(block)
        return before.order if before else BEGIN

    def _open(self, block: Block, start: LoginState | None = None) -> OpenBlock | None:
        """Opens a block that began with the state ``start``; None if one of its events was deleted."""
        if block.opened is None:
            events = self._events_of(block)
            if events is None:
                return None
            if start is None:
                before = self._preceding(block)
                start = before.end if before else LoginState()
            block.opened = OpenBlock(start, events)
            self.work += len(events)
        return block.opened

    def _events_of(self, block: Block) -> list[tuple[int, Event]] | None:
        if block.positions is not None:
            return self._events.at(block.positions)
        return self._events.between(self._begin_of(block), block.order)

    @contextlib.contextmanager
    def _changing(self, block: Block, opened: OpenBlock) -> Iterator[None]:
        outages, steps = opened.outages, opened.steps
        yield
        self.work += opened.steps - steps
        self._client.state.outages += opened.outages - outages
        if block is self._tail:
            self._client.state.touched = opened.touched
        else:
            self._blocks.changed[block.order] = block

    def _split(self, opened: OpenBlock) -> None:
        head = opened.split(len(opened.events) // 2)
        self._blocks.add(Block(head.events[-1].order, head.end, head.touched, head.positions, head))

    def _propagate(self, block: Block, old: LoginState) -> None:
        """Changes the blocks after ``block``, which ended with ``old`` before, as far as anything differs."""
        followed = 0
        new = block.end
        while block is not self._tail and new != old:
            block = self._blocks.after(block) or self._tail_block()
            before = block.end
            end = carried(old, before, block.touched, new)
            if end is not None and block.opened is None:
                block.carried_end = end
                if block is not self._tail:
                    self._blocks.changed[block.order] = block
            else:
                opened = self._open(block, old) if followed <= FOLLOWED_MOST else None
                if opened is None:
                    return
                with self._changing(block, opened):
                    opened.restart(new)
                followed += 0 if end is not None else len(opened.events)
            self.work += 1
            old, new = before, block.end
        if block is self._tail:
            _take_over(self._client.state, block.end)


def _take_over(state: LoginState, end: LoginState) -> None:
    """Copies a settled state to ``state``, but for the fields that a settled state does not have."""
    kept = state.outages, state.touched, state.last_seq, state.last_id
    for name in LoginState.__struct_fields__:
        setattr(state, name, getattr(end, name))
    state.outages, state.touched, state.last_seq, state.last_id = kept
