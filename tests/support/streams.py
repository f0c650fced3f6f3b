"""Reads server-sent events from a response."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping

import aiohttp
import msgspec
from yarl import URL


class Message(msgspec.Struct, frozen=True):
    """One server-sent event."""

    id: str
    data: str


class Stream:
    """An open stream. A comment is passed over."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def next(self, *, within_s: float = 30) -> Message:
        """The next message; TimeoutError where none comes."""
        found: dict[str, list[str]] = {"id": [], "data": []}
        async with asyncio.timeout(within_s):
            while True:
                line = (await self.response.content.readline()).decode().rstrip("\n")
                if line:
                    name, _, value = line.partition(": ")
                    found.get(name, []).append(value)
                elif found["data"]:
                    return Message("".join(found["id"]), "\n".join(found["data"]))

    async def next_with(self, text: str, *, within_s: float = 30) -> Message:
        """The next message that holds ``text``."""
        async with asyncio.timeout(within_s):
            while text not in (message := await self.next(within_s=within_s)).data:
                pass
        return message


@contextlib.asynccontextmanager
async def streaming(
    http: aiohttp.ClientSession, path: str | URL, headers: Mapping[str, str] | None = None
) -> AsyncIterator[Stream]:
    """Opens the stream at ``path`` until the context ends. A line may hold a whole page."""
    timeout = aiohttp.ClientTimeout(total=None)
    async with http.get(path, headers=headers, timeout=timeout, read_bufsize=1 << 22) as response:
        response.raise_for_status()
        yield Stream(response)
