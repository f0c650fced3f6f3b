"""The HTTP server, with a bounded number of connections, in all and for each client.

So a client that opens connections and sends nothing, or a little at a time, holds neither memory nor descriptors for
long, and locks nobody out.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
import structlog
from aiohttp import web

from sidecar.access.proxies import address, is_trusted
from sidecar.domain.units import SECOND_US
from sidecar.settings import ServerSettings, duration_us
from sidecar.system.tls_listening import TlsSite
from sidecar.web import problem
from sidecar.web.connection import Connection, unhandled
from sidecar.web.problem import Problem

RequestHandled = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_log = structlog.stdlib.get_logger(__name__)

# A path with the longest user id has 30 KiB, and htmx and Referer repeat it.
LINE_BYTES: Final = 65_536
FIELD_BYTES: Final = 40_960
# The next request of a browser or proxy reuses the connection within this time.
KEEP_ALIVE_S: Final = 75.0
# How long the rest of a refused request is read, so that its sender sees the response.
LINGER_S: Final = 2.0
# Descriptors left for database files, the relay's pipes, receivers and collectors.
RESERVED_DESCRIPTORS: Final = 128
_CONTINUE: Final = "100-continue"


class Limits(msgspec.Struct, frozen=True):
    """``most`` connections, of which one address has ``most_of_client`` where addresses are known."""

    most: int
    most_of_client: int
    head_s: float
    body_s: float

    @classmethod
    def of(cls, server: ServerSettings) -> Limits:
        """From the settings, and the number of descriptors that this process may have."""
        return cls(
            most=_within_descriptors(server.max_connections),
            most_of_client=server.max_connections_per_client,
            head_s=duration_us(server.header_timeout) / SECOND_US,
            body_s=duration_us(server.body_timeout) / SECOND_US,
        )


def _within_descriptors(wanted: int) -> int:
    """As many of the ``wanted`` as leave a reserve; raises this process's own limit as far as it may."""
    with contextlib.suppress(ImportError):  # Windows has neither
        import resource  # noqa: PLC0415

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        needed = wanted + RESERVED_DESCRIPTORS
        if resource.RLIM_INFINITY != soft < needed:
            soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            if soft < needed:
                most = max(soft - RESERVED_DESCRIPTORS, soft // 2)
                _log.warning("fewer connections than set: the limit of open files is too low", connections=most)
                return most
    return wanted


class Runner(web.AppRunner):
    """Serves an application over a bounded number of connections."""

    def __init__(self, application: web.Application, server: ServerSettings, *, shutdown_timeout: float) -> None:
        options: dict[str, Any] = {
            "keepalive_timeout": KEEP_ALIVE_S,
            "lingering_time": LINGER_S,
            "max_line_size": LINE_BYTES,
            "max_field_size": FIELD_BYTES,
            "auto_decompress": False,  # sidecar.ingest.body inflates within a limit
        }
        super().__init__(
            application, access_log=None, handle_signals=False, shutdown_timeout=shutdown_timeout, **options
        )
        self._settings = server

    def tls_site(self, host: str, port: int, context: ssl.SSLContext) -> TlsSite:
        """Listens for TLS on ``host`` once it is started."""
        limits = Limits.of(self._settings)
        return TlsSite(self, host, port, context, most=limits.most, handshake_s=limits.head_s)

    async def _make_server(self) -> web.Server:
        unbounded = await super()._make_server()
        return BoundedServer(unbounded, self._settings)


class BoundedServer(web.Server):
    """Opens connections up to a limit, and keeps the open ones in the order of opening."""

    def __init__(self, unbounded: web.Server, server: ServerSettings) -> None:
        options = unbounded._kwargs  # noqa: SLF001 - the runner's options, as the application completed them
        super().__init__(_handling(unbounded.request_handler), request_factory=unbounded.request_factory, **options)
        self._limits = Limits.of(server)
        self.head_s, self.body_s = self._limits.head_s, self._limits.body_s
        self._settings = server
        self._open: dict[Connection, str] = {}
        self._by_client: dict[str, int] = {}

    def __call__(self) -> Connection:
        """A connection that is about to be opened."""
        return Connection(self, self, loop=self._loop, **self._kwargs)

    def opened(self, connection: Connection) -> bool:
        """Takes a slot, if need be by closing another connection; False where none is free."""
        client = self._client(connection)
        if client and self._by_client.get(client, 0) >= self._limits.most_of_client:
            return False
        if len(self._open) >= self._limits.most and not self._close_one():
            return False
        self._open[connection] = client
        if client:
            self._by_client[client] = self._by_client.get(client, 0) + 1
        return True

    def closed(self, connection: Connection) -> None:
        """Frees the slot of the connection, if it has one."""
        client = self._open.pop(connection, "")
        if client:
            left = self._by_client.pop(client) - 1
            if left:
                self._by_client[client] = left

    def _client(self, connection: Connection) -> str:
        """The address, where it is known to be a client's: proxies are named, and the peer is none of them."""
        if not self._settings.trusted_proxies or not isinstance(connection.peername, tuple):
            return ""
        peer = address(str(connection.peername[0]))
        return "" if peer is None or is_trusted(peer, self._settings) else str(peer)

    def _close_one(self) -> bool:
        """Closes the oldest unused connection, else the oldest idle one, else the oldest that is still sending."""
        for may_close in (Connection.is_unused, Connection.is_idle, Connection.is_sending):
            for one in self._open:
                if may_close(one):
                    self.closed(one)
                    one.force_close()
                    return True
        return False


def _handling(handler: RequestHandled) -> RequestHandled:
    """As ``handler``, with problem documents also for what aiohttp answers before any middleware."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get("Expect", _CONTINUE).lower() != _CONTINUE:
            return unhandled(Problem(417, f"Expect must be {_CONTINUE}"))
        try:
            return await handler(request)
        except web.HTTPException as error:
            return unhandled(problem.of(error))

    return handle
