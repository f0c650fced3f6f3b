"""Ends a long response, such as a stream, once its request has lost its access."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol, cast

import msgspec
from aiohttp import web

from sidecar.access.authentication import Authenticator
from sidecar.errors import ZimwatchError


class EndedError(ZimwatchError):
    """The request has lost its access; the text is the reason."""

    def message(self, reason: str) -> bytes:
        """The reason, worded by the caller, as a server-sent event."""
        return b"event: end\ndata: %s\n\n" % msgspec.json.encode({"reason": reason})


class _Connection(Protocol):
    on_lost: Callable[[], None] | None


class Watch:
    """Waits for something to send, and checks the request's token or session every ``every_s`` seconds."""

    def __init__(self, authenticator: Authenticator, request: web.Request, every_s: float) -> None:
        self._authenticator = authenticator
        self._request = request
        self._connection = cast("_Connection", request.protocol)
        self._every_s = every_s
        self._next_s = asyncio.get_running_loop().time() + every_s

    async def wait(self, awake: asyncio.Event) -> bool:
        """True once ``awake`` is set, False where it is time to keep the connection alive.

        EndedError; ConnectionError as soon as the reader disconnects, so that nothing more is done for it.
        """
        now_s = asyncio.get_running_loop().time
        self._connection.on_lost = awake.set
        self._check_reader()
        if not awake.is_set() or now_s() >= self._next_s:
            try:
                await asyncio.wait_for(awake.wait(), self._next_s - now_s())
            except TimeoutError:
                self._next_s = now_s() + self._every_s
                if reason := await self._authenticator.reason_to_end(self._request):
                    raise EndedError(reason) from None
                return False
        self._check_reader()
        awake.clear()
        return True

    def _check_reader(self) -> None:
        if self._request.transport is None:
            raise ConnectionResetError("the reader disconnected")
