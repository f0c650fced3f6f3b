"""The canary: an account that Zimwatch itself keeps logged in, to see whether ZIM can be reached from here."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

import structlog

from sidecar.canary.canary import Canary
from sidecar.canary.canary_status import CanaryStatus
from sidecar.canary.canary_token import TokenError, token_source
from sidecar.clock import Clock
from sidecar.http_client import HttpClient
from sidecar.ingest import StoreSink
from sidecar.lifecycle import Background, Task
from sidecar.sdk import Sink, ZimClient, create
from sidecar.settings import CanarySettings
from sidecar.store import Store, duties

__all__ = ["Canary", "CanaryStatus", "TokenError", "canary_beside", "canary_from"]

log = structlog.stdlib.get_logger(__name__)


def canary_from(
    settings: CanarySettings,
    environ: Mapping[str, str],
    *,
    clock: Clock,
    allowed_hosts: Sequence[str] = (),
    http: Callable[[Sequence[str]], HttpClient] = HttpClient,
    sink: Sink | None = None,
    changed: Callable[[CanaryStatus], None] = lambda _status: None,
) -> Canary:
    """The canary of the settings, which must be on, with the real SDK; its events go into ``sink``.

    ``allowed_hosts``: private hosts that ``token_url`` may have.
    """

    async def client(app_id: int) -> ZimClient:
        return await create(app_id, network=settings.network, environ=environ)

    token = token_source(settings, environ, allowed_hosts, http)
    return Canary(settings, client=client, token=token, clock=clock, sink=sink, changed=changed)


@contextlib.asynccontextmanager
async def canary_beside(
    settings: CanarySettings,
    environ: Mapping[str, str],
    store: Store,
    clock: Clock,
    background: Background,
    *,
    allowed_hosts: Sequence[str] = (),
    http: Callable[[Sequence[str]], HttpClient] = HttpClient,
) -> AsyncIterator[Callable[[], CanaryStatus | None]]:
    """Runs the canary, if it is on, beside the server; its events go into ``store``. Gives a function for its status.

    An error of the canary never stops the server.
    """
    if not settings.is_on:
        yield lambda: None
        return

    def changed(status: CanaryStatus) -> None:
        log.info("canary", reachable=status.reachable, problem=status.problem and str(status.problem))

    sink = StoreSink(store, clock)
    canary = canary_from(
        settings, environ, clock=clock, allowed_hosts=allowed_hosts, http=http, sink=sink, changed=changed
    )
    events = Task(name="canary events", run=sink.run, is_needed=False)
    job = store.duties.job(duties.CANARY, canary.run)
    logins = Task(name="canary", run=job.run, is_needed=False)
    # The last events of the canary are stored after it has logged out.
    async with background.running(events), background.running(logins):
        yield lambda: canary.status if store.duties.term(duties.CANARY) is not None else None
