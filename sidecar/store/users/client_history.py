"""A client's history: its events in order, cut into blocks with the login state at the end of each.

A late event is inserted in its block, and what follows is applied again only until the state is what it was before.
Where only moments differ, whole blocks are passed over (:func:`login_state.carried`). So a late event costs a bounded
number of reads, however long the history, and the result equals that of all events in order.

Of a block only as many events are read as this takes; blocks that were opened stay in memory for the next transactions
(``recent_blocks.py``).

A block is closed with every :data:`BLOCK_EVENTS` events that arrive; the newest events, in no block yet, are the tail.
Blocks are in ``client_blocks``. Of a client without late events none is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa

from sidecar.domain.events import Event
from sidecar.domain.login_state import LoginState, Transition, carried, settled, unsettled
from sidecar.store.mapping import Client
from sidecar.store.users.block_index import BlockIndex
from sidecar.store.users.client_block import BEGIN, Block, Order
from sidecar.store.users.client_events import ClientEvents

BLOCK_EVENTS: Final = 16
# How many later events a late one may change at most; those after them stay as they were.
FOLLOWED_MOST: Final = 100_000
# The position of no event.
_DELETED: Final = 0


class KnownBlocks:
    """What is known of a client's blocks, to be kept in memory between transactions.

    ``tail`` is the tail with its events, if they were needed, as long as the client's last event is at ``head``.
    ``events`` is how many events the blocks hold.
    """

    def __init__(self, client: Client) -> None:
        self.client_key = client.client_key
        self.index = BlockIndex(client)
        self.tail: Block | None = None
        self.head: int | None = None
        self.events = 0

    @property
    def size(self) -> int:
        """How many blocks and events are known."""
        return len(self.index) + self.events


class ClientHistory:
    """The history of one client within one transaction.

    ``applied`` are the client's events of this transaction with their positions; the caller appends to it. ``head`` is
    the client's last position before them, and ``oldest`` the position of the log's oldest event. ``work`` is how many
    events were applied.
    """

    def __init__(
        self,
        connection: sa.Connection,
        client: Client,
        head: int | None,
        applied: Sequence[tuple[int, Event]],
        *,
        known: KnownBlocks,
        oldest: int,
    ) -> None:
        self._connection = connection
        self._client = client
        self._events = ClientEvents(connection, client, head, applied)
        self._oldest = oldest
        self.known = known
        self._blocks = known.index
        self._changed: dict[Order, Block] = {}
        self._tail = known.tail if known.head == client.last_position else None
        self.work = 0
        if self._tail is None and known.tail is not None:
            known.tail.close()
            self._account(known.tail)

    def insert(self, event: Event, position: int) -> Transition | None:
        """Inserts a late event, and brings the client's state up to date; the event's transition.

        None if events that it would have to be ordered with were deleted: then it changes nothing.
        """
        block = self._blocks.at_or_after(self._connection, event.order) or self._tail_block()
        if not self._open(block):
            return None
        old = block.end
        transition = block.insert(event, position, self._events.at)
        self._account(block)
        if block is not self._tail:
            self._changed[block.order] = block
            if len(block.positions or ()) >= 2 * BLOCK_EVENTS:
                self._split(block)
        self._propagate(block, old)
        return transition

    def append(self, event: Event, position: int) -> None:
        """To be called once the newest event was applied to the client's state."""
        if self._tail is not None and self._tail.is_open:
            state = self._client.state
            self._tail.append(event, position, settled(state), state.touched)
            self._account(self._tail)
        else:
            self._tail = None

    def close(self, position: int) -> None:
        """Closes the tail as a block; its last event to arrive is at ``position``."""
        client, last = self._client, self._blocks.last(self._connection)
        if client.state.order > (last.order if last else BEGIN):
            block = self._tail_block()
            self._blocks.append(block)
            self._changed[block.order] = block
        client.state.touched = 0
        client.tail_events, client.closed_position = 0, position
        self._tail = None

    def rows(self) -> list[tuple[Any, ...]]:
        """The rows of blocks to write, once the events of this transaction are written."""
        arrived = None
        for block in self._changed.values():
            if block.positions is None:
                arrived = self._events.arrived() if arrived is None else arrived
                begin = self._begin_of(block)
                found = [position for order, position in arrived if begin < order <= block.order]
                block.positions = found or [_DELETED]
        self.known.tail, self.known.head = self._tail, self._client.last_position
        return [self._blocks.row(block) for block in self._changed.values()]

    def _tail_block(self) -> Block:
        if self._tail is None:
            state = self._client.state
            self._tail = Block(state.order, settled(state), state.touched)
        return self._tail

    def _preceding(self, block: Block) -> Block | None:
        if block is self._tail:
            return self._blocks.last(self._connection)
        return self._blocks.before(self._connection, block)

    def _begin_of(self, block: Block) -> Order:
        before = self._preceding(block)
        return before.order if before else BEGIN

    def _open(self, block: Block, start: LoginState | None = None) -> bool:
        """Opens a block, which begins with the state ``start``; False if one of its events was deleted."""
        if block.is_open:
            return True
        events: Sequence[tuple[int, Event]] | None = ()
        if block.positions is None:
            events = self._events.between(self._begin_of(block), block.order)
        elif min(block.positions, default=self._oldest) < self._oldest:
            events = None
        if events is None:
            return False
        if start is None:
            before = self._preceding(block)
            start = before.end if before else LoginState()
        block.open(start, events)
        return True

    def _account(self, block: Block) -> None:
        """Counts what was done in a block since the last time."""
        self.work += block.steps
        self.known.events += len(block.events) - block.held
        self._client.state.outages += block.outages
        block.steps, block.outages, block.held = 0, 0, len(block.events)
        if block is self._tail:
            self._client.state.touched = block.touched

    def _split(self, block: Block) -> None:
        """Makes the first half of a block one of its own."""
        head = block.split(self._events.at)
        self._account(block)
        self._account(head)
        self._blocks.add_before(block, head)
        self._changed[head.order] = head

    def _propagate(self, block: Block, old: LoginState) -> None:
        """Changes the blocks after ``block``, which ended with ``old`` before, as far as anything differs."""
        followed = 0
        new = block.end
        while block is not self._tail and new != old:
            block = self._blocks.after(self._connection, block) or self._tail_block()
            before, touched = block.end, block.touched
            end = carried(old, before, touched, new)
            if end is not None:
                block.carry(new, end)
            elif followed <= FOLLOWED_MOST and self._open(block, old):
                block.restart(new, self._events.at)
                followed += len(block.positions or ())
            else:
                block.close()  # it no longer begins with the end of the block before
                self._account(block)
                return
            self.work += 1
            self._account(block)
            if block is not self._tail and (block.end != before or block.touched != touched):
                self._changed[block.order] = block
            old, new = before, block.end
        if new != old:
            self._client.state = unsettled(new, self._client.state)
