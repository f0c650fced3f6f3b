"""The dashboard's pages, for support staff and whoever looks over their shoulder."""

from __future__ import annotations

from aiohttp import web

from dashboard import views
from dashboard.errors import error_page
from dashboard.views import AppOf
from sidecar.clock import Clock
from sidecar.store import Store

__all__ = ["error_page", "routes"]


def routes(store: Store, clock: Clock, app_of: AppOf) -> list[web.AbstractRouteDef]:
    """Every page over an open store; ``app_of`` tells which app a request may see."""
    return views.routes(store, clock, app_of)
