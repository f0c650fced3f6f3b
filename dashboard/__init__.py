"""The dashboard's pages, for support staff and whoever looks over their shoulder."""

from __future__ import annotations

from aiohttp import web

from dashboard import views
from dashboard.errors import error_page
from dashboard.views import AppOf, CanaryOf
from sidecar.clock import Clock
from sidecar.store import Store

__all__ = ["error_page", "routes"]


def routes(store: Store, clock: Clock, app_of: AppOf, canary: CanaryOf = lambda: None) -> list[web.AbstractRouteDef]:
    """Every page over an open store; ``app_of`` tells which app a request may see, ``canary`` how that stands."""
    return views.routes(store, clock, app_of, canary)
