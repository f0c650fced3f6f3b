"""Listens for TLS, and answers a request that is not encrypted with a sentence.

Connections that have not finished their handshake are bounded in number and in time, as others are: the oldest goes
first.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Sequence
from typing import Final

import structlog
from aiohttp import web

_HANDSHAKE: Final = b"\x16"  # the first byte of a ClientHello (RFC 8446, section 5.1)
_BACKLOG: Final = 128
_NO_DESCRIPTOR_PAUSE_S: Final = 0.1
SENTENCE: Final = b"This port speaks HTTPS: use https:// in place of http://.\n"
"""The answer to a request in clear text."""
_PLAIN: Final = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(SENTENCE), SENTENCE)
)

_log = structlog.stdlib.get_logger(__name__)


class TlsSite(web.BaseSite):
    """A site of an aiohttp runner. ``most`` connections may be in their handshake, each for ``handshake_s``."""

    __slots__ = ("_handshake_s", "_host", "_most", "_port")

    def __init__(
        self, runner: web.AppRunner, host: str, port: int, context: ssl.SSLContext, *, most: int, handshake_s: float
    ) -> None:
        super().__init__(runner, ssl_context=context)
        self._host = host
        self._port = port
        self._most = most
        self._handshake_s = handshake_s

    @property
    def name(self) -> str:
        """Its address."""
        return f"https://{self._host}:{self._port}"

    async def start(self) -> None:
        """Listens from now on; OSError where it cannot."""
        await super().start()
        sockets = await _listening(self._host, self._port)
        self._server = _Acceptor(self, sockets)  # type: ignore[assignment]


class _Acceptor:
    """Accepts connections; has of asyncio's server what a site uses."""

    def __init__(self, site: TlsSite, sockets: Sequence[socket.socket]) -> None:
        self.sockets = sockets
        self._site = site
        self._greeting: dict[asyncio.Task[None], None] = {}
        self._accepting = [asyncio.create_task(self._accept(one), name="accepting") for one in sockets]

    def close(self) -> None:
        """Accepts no more; handshakes in progress end."""
        for task in (*self._accepting, *self._greeting):
            task.cancel()
        for one in self.sockets:
            one.close()

    async def wait_closed(self) -> None:
        """As asyncio's server has it."""

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(listening)
            except OSError as error:  # no descriptor is free: those in use will be
                _log.warning("a connection could not be accepted", problem=error.strerror)
                await asyncio.sleep(_NO_DESCRIPTOR_PAUSE_S)
                continue
            if len(self._greeting) >= self._site._most:  # noqa: SLF001 - of the same module
                next(iter(self._greeting)).cancel()
            task = asyncio.create_task(self._greet(connection), name="handshake")
            self._greeting[task] = None
            task.add_done_callback(lambda done: self._greeting.pop(done, None))

    async def _greet(self, connection: socket.socket) -> None:
        """Hands a connection that begins a handshake to the server, and answers any other."""
        loop, site = asyncio.get_running_loop(), self._site
        handed = False
        try:
            async with asyncio.timeout(site._handshake_s):  # noqa: SLF001 - of the same module
                first = await _first_byte(loop, connection)
            if first == _HANDSHAKE:
                handed = True
                await loop.connect_accepted_socket(
                    site._runner.server,  # type: ignore[arg-type]  # noqa: SLF001 - aiohttp's own sites use it
                    connection,
                    ssl=site._ssl_context,  # noqa: SLF001 - same
                    ssl_handshake_timeout=site._handshake_s,  # noqa: SLF001 - of the same module
                )
            elif first:
                with contextlib.suppress(BlockingIOError):
                    connection.recv(65_536)  # unread data would have the answer lost to a reset
                await loop.sock_sendall(connection, _PLAIN)
        except (OSError, TimeoutError):  # ssl.SSLError is an OSError
            pass
        finally:
            if not handed:
                connection.close()


async def _first_byte(loop: asyncio.AbstractEventLoop, connection: socket.socket) -> bytes:
    """The first byte, which stays to be read; empty where the connection ends before."""
    readable = asyncio.Event()
    loop.add_reader(connection, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(connection)
    return connection.recv(1, socket.MSG_PEEK)


async def _listening(host: str, port: int) -> list[socket.socket]:
    """A socket for each address of the host; ``::`` takes IPv4 too."""
    if host == "::" and socket.has_dualstack_ipv6():
        both = socket.create_server((host, port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=_BACKLOG)
        both.setblocking(False)
        return [both]
    infos = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    try:
        for family, address in dict.fromkeys((info[0], info[4]) for info in infos):
            one = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
            one.setblocking(False)
            sockets.append(one)
            if port == 0:
                break  # another address would have another port
    except OSError:
        for one in sockets:
            one.close()
        raise
    return sockets
