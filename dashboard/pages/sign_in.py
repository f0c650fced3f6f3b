"""Sign-in and sign-out: a form, and a cookie for a session in the database."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

from aiohttp import web

from dashboard.page import render, with_secret
from dashboard.site import Page, Site
from dashboard.text.translate import translate
from sidecar import access
from sidecar.access import routing
from sidecar.access.oidc import PATH, OidcError
from sidecar.domain.paths import safe_path
from sidecar.web.forms import read_open_form


def _routes(site: Site) -> list[web.AbstractRouteDef]:
    """``/sign-in`` and ``/sign-out``.

    Neither form has a token: the origin of a POST is checked before, so that no other site can sign a browser in or out
    (login CSRF).
    """
    authenticator, door = site.authenticator, site.sign_in

    async def form(request: web.Request) -> web.Response:
        return await sign_in_page(authenticator, request, safe_path(request.query.get("next", "")))

    async def sign_in(request: web.Request) -> web.Response:
        given = await read_open_form(request)
        name, following = given.get("name", ""), safe_path(given.get("next", request.query.get("next", "")))
        response = web.Response(status=303, headers={"Location": following})
        try:
            ticket = await door.by_form(request, response, name, given.get("password", ""))
        except access.RefusedError as error:
            return await sign_in_page(authenticator, request, following, problem=error, name=name)
        return response if ticket is None else _code_page(ticket, following)

    async def code(request: web.Request) -> web.Response:
        given = await read_open_form(request)
        ticket, following = given.get("ticket", ""), safe_path(given.get("next", ""))
        response = web.Response(status=303, headers={"Location": following})
        try:
            await door.by_code(request, response, ticket, given.get("code", ""))
        except access.RefusedError as error:
            return _code_page(ticket, following, problem=error)
        return response

    async def sign_out(request: web.Request) -> web.Response:
        response = web.Response(status=303, headers={"Location": "/sign-in"})
        oidc = authenticator.oidc
        if oidc is not None and (leads_on := await oidc.leave(request)) is not None:
            # A page, not a redirect: browsers hold what follows a form to the form-action of its page.
            response = render("signed_out.html", leads_on=leads_on, provider=oidc.client.settings.button)
        await authenticator.sessions.end(request, response)
        return response

    return [
        routing.get("/sign-in", form, routing.OPEN),
        routing.post("/sign-in", sign_in, routing.OPEN),
        routing.post("/sign-in/code", code, routing.OPEN),
        routing.post("/sign-out", sign_out, routing.OPEN),
    ]


PAGE: Final = Page(routes=_routes)


async def sign_in_page(
    authenticator: access.Authenticator,
    request: web.Request,
    following: str,
    *,
    problem: access.RefusedError | None = None,
    name: str = "",
) -> web.Response:
    """The page with the form; ``following`` is the page that it leads to."""
    oidc = authenticator.oidc
    response = render(
        "sign_in.html",
        problem.status if problem else 200,
        tab="",
        here="/sign-in?" + urlencode({"next": following}),
        following=following,
        provider=oidc.client.settings.button if oidc else None,
        provider_path=f"{PATH}?{urlencode({'next': following})}",
        problem=translate(problem.text) if problem else None,
        is_of_form=not isinstance(problem, OidcError),
        ended=authenticator.why_signed_out(request) if problem is None else None,
        known=await authenticator.principal_or_none(request),
        name=name[: access.NAME_CHARACTERS],
        name_characters=access.NAME_CHARACTERS,
    )
    response.headers.extend(problem.headers if problem else ())
    return response


def _code_page(ticket: str, following: str, *, problem: access.RefusedError | None = None) -> web.Response:
    """The second form, for a one-time code."""
    response = render(
        "sign_in_code.html",
        problem.status if problem else 200,
        ticket=ticket,
        following=following,
        here="/sign-in?" + urlencode({"next": following}),
        problem=translate(problem.text) if problem else None,
    )
    response.headers.extend(problem.headers if problem else ())
    return with_secret(response)
