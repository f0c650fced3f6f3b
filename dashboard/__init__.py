"""The dashboard's pages, for support staff and whoever looks over their shoulder."""

from __future__ import annotations

from aiohttp import web

from dashboard import alerts, views
from dashboard.visitor import Visitor
from sidecar.alerting import Engine
from sidecar.clock import Clock
from sidecar.store import Store

__all__ = ["Visitor", "routes"]


def routes(store: Store, engine: Engine, clock: Clock, visitor: Visitor) -> list[web.AbstractRouteDef]:
    """Every page over an open store; ``visitor`` tells who asks, and what they may see."""
    return [*views.routes(store, clock, visitor.app_of), *alerts.routes(store, engine, clock, visitor)]
