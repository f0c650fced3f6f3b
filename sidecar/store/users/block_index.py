"""The blocks of one client by order: those that are known, and those of the table."""

from __future__ import annotations

from bisect import bisect_left
from operator import attrgetter
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from sidecar.domain.login_state import LoginState
from sidecar.store import mapping, schema
from sidecar.store.mapping import Client
from sidecar.store.users.client_block import Block, Order

BLOCKS_UPSERT: Final = mapping.upsert(schema.client_blocks)
_COLUMNS: Final = mapping.columns(schema.client_blocks)
_OF_CLIENT: Final = f"SELECT {_COLUMNS} FROM client_blocks WHERE user_key = ? AND client_id = ?"
_AT_OR_AFTER: Final = f"{_OF_CLIENT} AND (last_seq, last_id) >= (?, ?) ORDER BY last_seq, last_id LIMIT 1"
_BEFORE: Final = f"{_OF_CLIENT} AND (last_seq, last_id) < (?, ?) ORDER BY last_seq DESC, last_id DESC LIMIT 1"
_LAST: Final = f"{_OF_CLIENT} ORDER BY last_seq DESC, last_id DESC LIMIT 1"
_order_of: Final = attrgetter("order")
_pack: Final = msgspec.msgpack.Encoder().encode
_unpack_state: Final = msgspec.msgpack.Decoder(LoginState).decode
_unpack_positions: Final = msgspec.msgpack.Decoder(list[int]).decode


class BlockIndex:
    """The closed blocks of a client: each is read from the table once, when it is needed first.

    A known block is ``joined`` if the table has none between it and the known one before it, or none before it.
    """

    def __init__(self, client: Client) -> None:
        self._key = (client.user_key, client.client_id)
        self._known: list[Block] = []
        self._is_last_known = client.closed_position is None  # then there are no blocks yet

    def __len__(self) -> int:
        return len(self._known)

    def append(self, block: Block) -> None:
        """Adds a new block behind all others."""
        block.joined = True
        self._known.append(block)

    def add_before(self, block: Block, new: Block) -> None:
        """Adds a new block before a known one."""
        new.joined, block.joined = block.joined, True
        self._known.insert(self._place(block.order), new)

    def last(self, connection: sa.Connection) -> Block | None:
        """The last block."""
        if not self._is_last_known:
            self._stored(connection, _LAST)
            self._is_last_known = True
        return self._known[-1] if self._known else None

    def at_or_after(self, connection: sa.Connection, order: Order) -> Block | None:
        """The first block that ends at ``order`` or after it."""
        at = self._place(order)
        if at < len(self._known):
            if self._known[at].joined:
                return self._known[at]
        elif self._is_last_known:
            return None
        return self._stored(connection, _AT_OR_AFTER, order)

    def after(self, connection: sa.Connection, block: Block) -> Block | None:
        """The block after a known one."""
        found = self.at_or_after(connection, (block.order[0], block.order[1] + b"\0"))
        if found is None:
            self._is_last_known = True
        else:
            found.joined = True
        return found

    def before(self, connection: sa.Connection, block: Block) -> Block | None:
        """The block before a known one."""
        if not block.joined:
            self._stored(connection, _BEFORE, block.order)
            block.joined = True
        at = self._place(block.order)
        return self._known[at - 1] if at else None

    def row(self, block: Block) -> tuple[Any, ...]:
        """A row of ``client_blocks``, once the positions are known."""
        positions = block.positions
        assert positions is not None  # noqa: S101 - see above
        return (*self._key, *block.order, max(positions), block.touched, _pack(positions), _pack(block.end))

    def _place(self, order: Order) -> int:
        return bisect_left(self._known, order, key=_order_of)

    def _stored(self, connection: sa.Connection, sql: str, order: Order | None = None) -> Block | None:
        """The block that a statement finds, which is known from then on."""
        driver: Any = connection.connection.driver_connection
        row = driver.execute(sql, (*self._key, *(order or ()))).fetchone()
        if row is None:
            return None
        found: Order = (row[2], row[3])
        at = self._place(found)
        if at == len(self._known) or self._known[at].order != found:
            self._known.insert(at, Block(found, _unpack_state(row[7]), row[5], _unpack_positions(row[6])))
        return self._known[at]
