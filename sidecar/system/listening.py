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


def refusal(host: str, port: int) -> str | None:
    """Why nothing can listen there now; None where it can."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.strerror
    return None
