"""Links by which a person sets a password: of the first account, and of one that an administrator made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from aiohttp import web

from dashboard.page import render, with_secret
from dashboard.site import Page, Site
from dashboard.text.language import gettext as _
from dashboard.text.translate import translate
from sidecar import access
from sidecar.access import audit, routing
from sidecar.access.first_run import PATH as FIRST_ACCOUNT
from sidecar.domain.texts import Sentence
from sidecar.errors import ZimwatchError
from sidecar.web.forms import read_open_form

SET_PASSWORD: Final = "/set-password"  # noqa: S105 - a path
_DIFFERENT: Final = Sentence("account.different", "the two passwords are not the same")


def _routes(site: Site) -> list[web.AbstractRouteDef]:
    """``/first-account/{secret}`` and ``/set-password/{secret}``. The secret is the proof."""
    own, first_run = site.own_account, site.first_run

    async def first(request: web.Request) -> web.Response:
        try:
            first_run.check(request.match_info["secret"])
        except access.AccountFormError as error:
            return _page(_("Make the first account"), problem=error, is_valid=False)
        return _page(_("Make the first account"))

    async def make_first(request: web.Request) -> web.Response:
        async def make(secret: str, name: str, password: str) -> None:
            account = await first_run.make(secret, name, password)
            trail = audit.of(request)
            trail.subjects = (account.called,)
            trail.details |= {"did": "add", "role": account.role}

        return await _done(request, make, title=_("Make the first account"))

    async def link(request: web.Request) -> web.Response:
        try:
            account = await own.of_link(request.match_info["secret"])
        except access.AccountFormError as error:
            return _page(_("Set your password"), problem=error, is_valid=False)
        return _page(_("Set your password"), name=account.name, is_named=True)

    async def set_password(request: web.Request) -> web.Response:
        async def change(secret: str, _name: str, password: str) -> None:
            await own.set_by_link(request, secret, password)

        return await _done(request, change, title=_("Set your password"), is_named=True)

    return [
        routing.get(f"{FIRST_ACCOUNT}/{{secret}}", first, routing.OPEN),
        routing.post(f"{FIRST_ACCOUNT}/{{secret}}", make_first, routing.OPEN),
        routing.get(f"{SET_PASSWORD}/{{secret}}", link, routing.OPEN),
        routing.post(f"{SET_PASSWORD}/{{secret}}", set_password, routing.OPEN),
    ]


PAGE: Final = Page(routes=_routes)


def check_repeated(given: Mapping[str, str]) -> None:
    """AccountFormError where a new password was not typed twice."""
    if given.get("password", "") != given.get("repeated", ""):
        raise access.AccountFormError(_DIFFERENT())


async def _done(
    request: web.Request, change: Callable[[str, str, str], Awaitable[None]], *, title: str, is_named: bool = False
) -> web.Response:
    given = await read_open_form(request)
    name, password = given.get("name", ""), given.get("password", "")
    try:
        check_repeated(given)
        await change(request.match_info["secret"], name, password)
    except (access.AccountFormError, access.RefusedError) as error:
        return _page(title, problem=error, name=name, is_named=is_named)
    return web.Response(status=303, headers={"Location": "/sign-in"})


def _page(
    title: str, *, problem: ZimwatchError | None = None, is_valid: bool = True, name: str = "", is_named: bool = False
) -> web.Response:
    status = 200 if problem is None else problem.status if isinstance(problem, access.RefusedError) else 400
    response = render(
        "new_password.html",
        status if is_valid else 404,
        title=title,
        problem=None if problem is None else translate(problem.text),
        is_valid=is_valid,
        name=name,
        is_named=is_named,
    )
    if isinstance(problem, access.RefusedError):
        response.headers.extend(problem.headers)
    return with_secret(response)
