"""The canary: an account that Zimwatch itself keeps logged in, to see whether ZIM can be reached from here."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sidecar.canary.canary import Canary
from sidecar.canary.status import CanaryStatus
from sidecar.canary.token import TokenError, token_source
from sidecar.clock import Clock
from sidecar.sdk import Sink, ZimClient, create
from sidecar.settings import CanarySettings

__all__ = ["Canary", "CanaryStatus", "TokenError", "canary_from"]


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
