"""The dashboard's pages, for support staff and whoever looks over their shoulder."""

from __future__ import annotations

import msgspec
from aiohttp import web

from dashboard import export, language, live, static_files
from dashboard.errors import error_page
from dashboard.export import UserView
from dashboard.language import middleware
from dashboard.views import alerts, hand_off, overview, settings, several, silences, user, users
from dashboard.views.overview import CanaryOf
from dashboard.views.settings import InForce, Shown
from dashboard.views.user import EventView
from dashboard.visitor import Visitor
from sidecar.alerting import Engine
from sidecar.clock import Clock
from sidecar.store import Store

__all__ = ["Around", "InForce", "Shown", "Visitor", "error_page", "middleware", "routes"]


class Around(msgspec.Struct, frozen=True, kw_only=True):
    """What the pages need of the rest: whose request it is, how the API writes things, and the settings as shown."""

    visitor: Visitor
    user_view: UserView
    event_view: EventView
    in_force: InForce
    trace_url_template: str | None
    canary: CanaryOf


def routes(store: Store, engine: Engine, clock: Clock, around: Around) -> list[web.AbstractRouteDef]:
    """Every page over an open store."""
    pages = {
        **overview.pages(store, clock, around.canary),
        **users.pages(store, clock),
        **user.pages(store, clock, event_view=around.event_view, trace_url_template=around.trace_url_template),
        **settings.pages(store, clock, around.in_force),
        **alerts.pages(store, engine, clock),
        **silences.pages(store, clock),
    }
    return [
        *live.routes(store, pages, around.visitor.app_of),
        *export.routes(store, clock, around.visitor.app_of, around.user_view),
        *hand_off.routes(store),
        *alerts.routes(store, engine, clock, around.visitor),
        *several.routes(store, engine, clock, around.visitor),
        *settings.routes(store, clock, around.in_force, around.visitor),
        *silences.routes(store, engine, clock, around.visitor),
        web.get("/language", language.choose),
        *static_files.routes(),
    ]
