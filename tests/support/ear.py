"""Everything that Zimwatch calls, on loopback: keeps each request whole, by the first part of its path."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import web

from tests.support.small_server import served

_ANSWERS: Final = {
    "slack": '{"ok": true, "channel": "C1", "ts": "1.1"}',
    "oidc": '{"issuer": "another one"}',
    "zego": '{"Code": 1, "Message": "no"}',
}


class Ear:
    """``heard``: the bytes of all requests at ``/<place>/…``, with their headers."""

    def __init__(self) -> None:
        self.url = ""
        self.heard: dict[str, bytes] = defaultdict(bytes)
        self._more = asyncio.Condition()

    async def take(self, request: web.Request) -> web.Response:
        place = request.path.split("/")[1]
        head = "\n".join(f"{name}: {value}" for name, value in request.headers.items())
        body = await request.read()  # unpacked
        async with self._more:
            self.heard[place] += f"{request.method} {request.path_qs}\n{head}\n".encode() + body
            self._more.notify_all()
        return web.Response(text=_ANSWERS.get(place, ""), content_type="application/json")

    async def wait_for(self, *places: str, within_s: float = 30) -> None:
        """Until each place was called."""
        async with asyncio.timeout(within_s), self._more:
            await self._more.wait_for(lambda: all(self.heard.get(one) for one in places))


@contextlib.asynccontextmanager
async def hearing() -> AsyncIterator[Ear]:
    """Runs it until the context ends."""
    ear = Ear()
    async with served(web.route("*", "/{any:.*}", ear.take), client_max_size=1 << 24) as ear.url:
        yield ear
