"""Cursors of what follows the log."""

from __future__ import annotations

import asyncio

import sqlalchemy as sa

from sidecar.store import Store, log_positions


def cursor(connection: sa.Connection, name: str) -> int:
    """Up to which position it has followed the log."""
    found = connection.exec_driver_sql("SELECT position FROM followers WHERE name = ?", (name,)).scalar_one()
    return int(found)


async def caught_up(store: Store, name: str) -> int:
    """Waits until it has followed all there is; the newest position."""
    newest = await store.read(log_positions.newest_position)
    async with asyncio.timeout(10):
        while await store.read(cursor, name) < newest:  # noqa: ASYNC110 - another thread moves it
            await asyncio.sleep(0.005)
    return newest
