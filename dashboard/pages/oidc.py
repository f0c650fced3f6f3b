"""Signing in by OpenID Connect: to the provider, and back from it."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final

from aiohttp import web

from dashboard.pages.sign_in import sign_in_page
from dashboard.site import Page, Site
from sidecar import access
from sidecar.access import routing
from sidecar.access.oidc import CALLBACK, PATH
from sidecar.domain.paths import safe_path


def _routes(site: Site) -> list[web.AbstractRouteDef]:
    """``/sign-in/oidc``, which a link on the sign-in page leads to, and the address that the provider leads back to."""
    authenticator, oidc = site.authenticator, site.authenticator.oidc
    if oidc is None:
        return []

    async def begin(request: web.Request) -> web.Response:
        response, following = web.Response(status=303), safe_path(request.query.get("next", ""))
        return await done(request, response, following, oidc.begin(request, response, following))

    async def finish(request: web.Request) -> web.Response:
        response = web.Response(status=303)
        return await done(request, response, "/", oidc.finish(request, response))

    async def done(request: web.Request, response: web.Response, following: str, step: Awaitable[None]) -> web.Response:
        try:
            await step
        except access.RefusedError as error:
            return await sign_in_page(authenticator, request, following, problem=error)
        return response

    return [
        routing.get(PATH, begin, routing.OPEN, allow_head=False),
        routing.get(CALLBACK, finish, routing.OPEN, allow_head=False),
    ]


PAGE: Final = Page(routes=_routes)
