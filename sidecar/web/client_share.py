"""A limit on the concurrent requests of one client behind a trusted proxy, whose connections it shares with others."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator

from aiohttp import web

from sidecar.access.proxies import Address, address, is_trusted, public_request
from sidecar.settings import ServerSettings
from sidecar.web.problem import Problem


class ClientShare:
    """Counts requests in progress, streams among them, by the client address that a trusted proxy forwards."""

    def __init__(self, server: ServerSettings) -> None:
        self._server = server
        self._under_way: Counter[Address] = Counter()

    @contextlib.contextmanager
    def counted(self, request: web.Request) -> Iterator[None]:
        """Counts the request until the context ends; 429 where its client has reached the limit."""
        client = self._client(request)
        if client is None:
            yield
            return
        if self._under_way[client] >= self._server.max_connections_per_client:
            raise Problem(429, "too many concurrent requests from this client", {"Retry-After": "1"})
        self._under_way[client] += 1
        try:
            yield
        finally:
            self._under_way[client] -= 1
            if not self._under_way[client]:
                del self._under_way[client]

    def _client(self, request: web.Request) -> Address | None:
        """None where it is unknown, or connects directly, so that its connections are counted instead."""
        if not self._server.trusted_proxies or not is_trusted(address(request.remote or ""), self._server):
            return None
        client = public_request(request, self._server).client
        return None if is_trusted(client, self._server) else client
