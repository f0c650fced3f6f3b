"""The dashboard: pages for support staff and engineers.

To add a page: a module in ``pages`` that declares a ``PAGE``, named in ``PAGES``; its templates ``x.html`` and
``live/x.html``; and a line in ``navigation``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from dashboard import (
    export,
    live,
    root,
    static_files,
)
from dashboard.error_page import error_page
from dashboard.page import compile_templates
from dashboard.pages import (
    account,
    accounts,
    alerts,
    audit,
    bulk_actions,
    findings,
    new_password,
    oidc,
    overview,
    rejected,
    settings,
    share_link,
    sign_in,
    silences,
    token04,
    tokens,
    user,
    user_data,
    users,
    watches,
)
from dashboard.site import InForce, Shown, Site
from dashboard.text import app_names, language
from sidecar.access import routing
from sidecar.domain.apps import Apps

__all__ = ["InForce", "Shown", "Site", "error_page", "middleware", "prepare", "routes"]

PAGES: Final = (
    overview.PAGE,
    users.PAGE,
    user.PAGE,
    user_data.PAGE,
    alerts.PAGE,
    bulk_actions.PAGE,
    silences.PAGE,
    findings.PAGE,
    watches.PAGE,
    settings.PAGE,
    audit.PAGE,
    rejected.PAGE,
    share_link.PAGE,
    sign_in.PAGE,
    oidc.PAGE,
    new_password.PAGE,
    account.PAGE,
    accounts.PAGE,
    token04.PAGE,
    tokens.PAGE,
)


def middleware(path: str, apps: Callable[[], Apps]) -> Middleware:
    """Sets the language of each request, the ``path`` that the dashboard is reached under, and what apps are called."""

    @web.middleware
    async def prepare(request: web.Request, handler: Handler) -> web.StreamResponse:
        language.set_language(language.wanted(request))
        root.set_root(path)
        app_names.set_apps(apps())
        return await handler(request)

    return prepare


async def prepare() -> None:
    """Compiles templates and catalogues, which the first page would wait for. Other tasks run in between."""
    await compile_templates()
    language.load_catalogues()


def routes(site: Site) -> list[web.AbstractRouteDef]:
    """Every page, the exports and the static files."""
    views = {path: (load, page.needed) for page in PAGES for path, load in page.views(site).items()}
    return [
        *live.routes(site.store, views, site.server, site.hub),
        *export.routes(site),
        *(route for page in PAGES for route in page.routes(site)),
        routing.get("/language", language.choose, routing.OPEN),
        *static_files.routes(),
    ]
