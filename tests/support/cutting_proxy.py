"""A TCP proxy before a PostgreSQL server that ends connections half-way through a commit."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from typing import Final

_READ_BYTES: Final = 65_536


class CuttingProxy:
    """Passes on what both sides send.

    ``cuts``: how many connections it ended at their ``COMMIT``, of which it passed on every second one: the client
    cannot know whether it took effect.
    """

    def __init__(self, port: int, chance: random.Random, share: float) -> None:
        """``port`` is the server's; ``share`` of all commits are cut, once :attr:`is_cutting` is set."""
        self._port = port
        self._chance = chance
        self._share = share
        self.is_cutting = False
        self.cuts = 0
        self._open: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of a client."""
        try:
            to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:  # the server restarts
            writer.close()
            return
        ways = [
            asyncio.create_task(self._pass_on(reader, to_writer, cuts=True)),
            asyncio.create_task(self._pass_on(to_reader, writer, cuts=False)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for end in (writer, to_writer):
                end.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, cuts: bool) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_READ_BYTES):
                is_cut = cuts and self.is_cutting and b"COMMIT" in data and self._chance.random() < self._share
                if is_cut:
                    self.cuts += 1
                if not is_cut or self.cuts % 2:
                    writer.write(data)
                    await writer.drain()
                if is_cut:
                    return


@contextlib.asynccontextmanager
async def cutting(port: int, chance: random.Random, share: float) -> AsyncIterator[tuple[int, CuttingProxy]]:
    """The proxy, and the port on which it listens."""
    proxy = CuttingProxy(port, chance, share)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], proxy
