"""Finds the blocks of one client by order, in the table and among those that the transaction has closed."""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from sidecar.domain.login_state import LoginState
from sidecar.store import mapping, schema
from sidecar.store.mapping import Client
from sidecar.store.users.client_block import Block, Order, order_of

BLOCKS_UPSERT: Final = mapping.upsert(schema.client_blocks)
_COLUMNS: Final = mapping.columns(schema.client_blocks)
_OF_CLIENT: Final = f"SELECT {_COLUMNS} FROM client_blocks WHERE user_key = ? AND client_id = ?"
_AT_OR_AFTER: Final = f"{_OF_CLIENT} AND (last_seq, last_id) >= (?, ?) ORDER BY last_seq, last_id LIMIT 1"
_BEFORE: Final = f"{_OF_CLIENT} AND (last_seq, last_id) < (?, ?) ORDER BY last_seq DESC, last_id DESC LIMIT 1"
_LAST: Final = f"{_OF_CLIENT} ORDER BY last_seq DESC, last_id DESC LIMIT 1"
_pack: Final = msgspec.msgpack.Encoder().encode
_unpack_state: Final = msgspec.msgpack.Decoder(LoginState).decode
_unpack_positions: Final = msgspec.msgpack.Decoder(list[int]).decode


class BlockIndex:
    """The closed blocks of a client. ``changed`` are those to be written."""

    def __init__(self, connection: sa.Connection, client: Client) -> None:
        self._connection = connection
        self._client = client
        # Blocks that were read from the table, and new ones; both by their order.
        self._read: list[Block] = []
        self._new: list[Block] = []
        self.changed: dict[Order, Block] = {}
        self._last: Block | None = None
        self._is_last_known = False

    def add(self, block: Block) -> None:
        """Adds a new block."""
        insort(self._new, block, key=order_of)
        self.changed[block.order] = block

    def append(self, block: Block) -> None:
        """Adds a new block behind all others."""
        self.add(block)
        self._last, self._is_last_known = block, True

    def last(self) -> Block | None:
        """The last block."""
        if not self._is_last_known:
            self._last, self._is_last_known = self._stored(_LAST), True
        return self._last

    def at_or_after(self, order: Order) -> Block | None:
        """The first block that ends at ``order`` or after it."""
        at = bisect_left(self._new, order, key=order_of)
        new = self._new[at] if at < len(self._new) else None
        stored = self._stored(_AT_OR_AFTER, order)
        if new is None or stored is None:
            return new or stored
        return min(new, stored, key=order_of)

    def after(self, block: Block) -> Block | None:
        """The next block."""
        return self.at_or_after((block.order[0], block.order[1] + b"\0"))

    def before(self, order: Order) -> Block | None:
        """The last block that ends before ``order``."""
        at = bisect_left(self._new, order, key=order_of)
        new = self._new[at - 1] if at else None
        stored = self._stored(_BEFORE, order)
        if new is None or stored is None:
            return new or stored
        return max(new, stored, key=order_of)

    def row(self, block: Block, positions: list[int]) -> tuple[Any, ...]:
        """A row of ``client_blocks``."""
        key = (self._client.user_key, self._client.client_id, *block.order)
        return (*key, max(positions), block.touched, _pack(positions), _pack(block.end))

    def _stored(self, sql: str, order: Order | None = None) -> Block | None:
        driver: Any = self._connection.connection.driver_connection
        row = driver.execute(sql, (self._client.user_key, self._client.client_id, *(order or ()))).fetchone()
        if row is None:
            return None
        found: Order = (row[2], row[3])
        at = bisect_left(self._read, found, key=order_of)
        if at < len(self._read) and self._read[at].order == found:
            return self._read[at]
        block = Block(found, _unpack_state(row[7]), row[5], _unpack_positions(row[6]))
        self._read.insert(at, block)
        return block
