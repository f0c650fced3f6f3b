"""An edge: a Zimwatch that takes events where they arise, and passes them on to another, its centre."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Callable, Sequence
from random import Random
from typing import Final
from urllib.parse import urlsplit

from sidecar.clock import Clock
from sidecar.domain.edges import NAME_CHARACTERS
from sidecar.forwarding.centre import Centre
from sidecar.forwarding.edge_metrics import edge_gauges
from sidecar.forwarding.forwarder import Forwarder, Status
from sidecar.forwarding.heartbeat_fold import HeartbeatFold
from sidecar.http_client import HttpClient
from sidecar.lifecycle import Background, Task
from sidecar.settings import Settings
from sidecar.store import Store
from sidecar.store.log import forwarding

__all__ = ["Status", "edge_gauges", "edge_name", "forwarding_to_centre"]

# How long what waits may still be sent when Zimwatch stops.
FINISH_S: Final = 1.0
_UNFIT: Final = re.compile(r"[^A-Za-z0-9._-]+")


def edge_name(settings: Settings, machine: str) -> str | None:
    """The name of this edge at its centre: that of the settings, or of the machine; None where it is no edge."""
    if settings.forward.url is None:
        return None
    return settings.forward.name or (_UNFIT.sub("-", machine).strip("-._")[:NAME_CHARACTERS] or "edge")


@contextlib.asynccontextmanager
async def forwarding_to_centre(
    settings: Settings,
    store: Store,
    background: Background,
    *,
    name: str | None,
    clock: Clock,
    steady: Clock,
    http: Callable[[Sequence[str]], HttpClient],
    chance: Random,
) -> AsyncIterator[Callable[[], Status | None]]:
    """Passes events on for as long as the context is open, where this is an edge; gives the status.

    ``name``: see :func:`edge_name`.
    """
    url = settings.forward.url
    if url is None or name is None:
        yield lambda: None
        return
    await store.write(forwarding.begin)
    fold = HeartbeatFold()
    store.heartbeats.listen(fold.note)
    # Whoever set the address means it, be it private or not.
    allowed = [*settings.alerts.allowed_hosts, urlsplit(url).hostname or ""]
    async with http(allowed) as calls:
        centre = Centre(settings.forward, name, calls, clock)
        forwarder = Forwarder(store, centre, fold, clock=clock, steady=steady, chance=chance)
        # Not needed: an edge takes events as long as it can commit them.
        task = Task(name="forwarding", run=forwarder.run, stop=forwarder.stop, is_needed=False)
        async with background.running(task, finish_s=FINISH_S):
            yield lambda: forwarder.status
