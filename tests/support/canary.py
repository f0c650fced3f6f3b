"""The dashboard with a canary that knows what a test wants it to know."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web

from sidecar import alerting, web_application
from sidecar.canary import CanaryStatus
from sidecar.clock import now_us
from sidecar.domain.app_ids import AppIds
from sidecar.settings import Settings
from sidecar.store import Store
from sidecar.web.server import Runner


@contextlib.asynccontextmanager
async def overview_with(status: CanaryStatus, folder: Path) -> AsyncIterator[str]:
    """The overview's address."""
    store = Store.open(f"sqlite:///{folder / 'zimwatch.db'}", clock=now_us)

    async def no_metrics(_apps: AppIds) -> tuple[bytes, str]:
        return b"", ""

    built = web_application.build(
        Settings(), store, alerting.reaction_of(Settings()), now_us, metrics_text=no_metrics, canary=lambda: status
    )
    runner = Runner(built, Settings().server, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()
        await store.close()
