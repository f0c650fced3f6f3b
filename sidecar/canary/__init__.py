"""The canary: an account that Zimwatch itself keeps logged in, to see whether ZIM can be reached from here."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping

import structlog

from sidecar.canary.canary import Canary
from sidecar.canary.status import CanaryStatus
from sidecar.canary.token import TokenError, token_source
from sidecar.clock import Clock
from sidecar.ingest import StoreSink
from sidecar.sdk import Sink, ZimClient, create
from sidecar.settings import CanarySettings
from sidecar.store import Store

__all__ = ["Canary", "CanaryStatus", "TokenError", "canary_beside", "canary_from"]

log = structlog.stdlib.get_logger(__name__)


def canary_from(
    settings: CanarySettings,
    environ: Mapping[str, str],
    *,
    clock: Clock,
    sink: Sink | None = None,
    changed: Callable[[CanaryStatus], None] = lambda _status: None,
) -> Canary:
    """The canary of the settings, which must be on, through the real SDK; its events go into ``sink``."""

    async def client(app_id: int) -> ZimClient:
        return await create(app_id, network=settings.network, environ=environ)

    return Canary(
        settings, client=client, token=token_source(settings, environ), clock=clock, sink=sink, changed=changed
    )


@contextlib.asynccontextmanager
async def canary_beside(
    settings: CanarySettings, environ: Mapping[str, str], store: Store, clock: Clock
) -> AsyncIterator[Callable[[], CanaryStatus | None]]:
    """Runs the canary beside a server, where it is on, its events going into ``store``; gives what tells how it stands.

    Whatever becomes of the canary, the server goes on.
    """
    if not settings.is_on:
        yield lambda: None
        return

    def changed(status: CanaryStatus) -> None:
        log.info("canary", reachable=status.reachable, problem=status.problem)

    sink = StoreSink(store, clock)
    canary = canary_from(settings, environ, clock=clock, sink=sink, changed=changed)
    events = asyncio.create_task(sink.run(), name="canary events")
    life = asyncio.create_task(canary.run(), name="canary")
    for task in (events, life):
        task.add_done_callback(_told)
    try:
        yield lambda: canary.status
    finally:
        for task in (life, events):  # the last events of the canary are stored after it has logged out
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def _told(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("the canary has failed, and stays away until the next start", exc_info=error)
