"""A server of a few routes on loopback, for what a test has called."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web


@contextlib.asynccontextmanager
async def served(
    *routes: web.AbstractRouteDef, port: int = 0, shutdown_timeout: float = 60, **options: Any
) -> AsyncIterator[str]:
    """Serves the routes until the context ends: the address, without a slash. ``options`` are the application's."""
    application = web.Application(**options)
    application.add_routes(routes)
    runner = web.AppRunner(application, shutdown_timeout=shutdown_timeout)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
