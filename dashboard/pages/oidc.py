"""Signing in by OpenID Connect: to the provider, and back from it."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final

from aiohttp import web

from dashboard.pages.sign_in import sign_in_page
from dashboard.site import Page, Site
from sidecar import access
from sidecar.access import routing
from sidecar.access.oidc import CALLBACK, LOGOUT, PATH, OidcError, ProviderError
from sidecar.domain.paths import safe_path
from sidecar.web.forms import read_open_form


def _routes(site: Site) -> list[web.AbstractRouteDef]:
    """``/sign-in/oidc``, which the sign-in page leads to, and where the provider leads back to and ends sessions."""
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

    async def log_out(request: web.Request) -> web.Response:
        """The provider's own call; it wants JSON, and nothing to be kept (Back-Channel Logout 1.0, section 2.8)."""
        answer, status = {}, 200
        try:
            await oidc.log_out((await read_open_form(request)).get("logout_token", ""))
        except ProviderError as error:
            answer, status = {"error": "temporarily_unavailable", "error_description": str(error)}, error.status
        except OidcError as error:
            answer, status = {"error": "invalid_request", "error_description": error.text.sentence}, 400
        return web.json_response(answer, status=status, headers={"Cache-Control": "no-store"})

    return [
        routing.get(PATH, begin, routing.OPEN, allow_head=False),
        routing.get(CALLBACK, finish, routing.OPEN, allow_head=False),
        routing.post(LOGOUT, log_out, routing.OPEN),
    ]


PAGE: Final = Page(routes=_routes)
