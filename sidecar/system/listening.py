"""The listening socket of the server."""

from __future__ import annotations

import socket
from typing import Final

from aiohttp import web

BACKLOG: Final = 128


def site(runner: web.AppRunner, host: str, port: int) -> web.BaseSite:
    """Listens on ``host`` once it is started. ``::`` takes IPv4 too, as operators expect; a plain socket would not."""
    if host == "::" and socket.has_dualstack_ipv6():
        address, family = (host, port), socket.AF_INET6
        both = socket.create_server(address, family=family, dualstack_ipv6=True, backlog=BACKLOG)
        return web.SockSite(runner, both)
    return web.TCPSite(runner, host, port, backlog=BACKLOG)
