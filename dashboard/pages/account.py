"""The signed-in person: role, password, one-time codes, and the browsers that are signed in."""

from __future__ import annotations

from typing import Final

import segno
from aiohttp import web

from dashboard.page import render, with_secret
from dashboard.pages.new_password import check_repeated
from dashboard.site import Page, Site
from dashboard.text.translate import translate
from sidecar import access
from sidecar.access import one_time_codes, routing
from sidecar.access.policy import Action
from sidecar.errors import ZimwatchError
from sidecar.store.access import browser_sessions, second_factor
from sidecar.store.values import Account, BrowserSession, OutsideIdentity
from sidecar.web.forms import form_token, read_form

ACCOUNT: Final = "/account"


def _routes(site: Site) -> list[web.AbstractRouteDef]:
    """``/account`` and what one does there. What belongs to accounts alone answers 404 to others."""
    return [*_password_routes(site), *_code_routes(site), *_session_routes(site)]


PAGE: Final = Page(routes=_routes)


def _password_routes(site: Site) -> list[web.AbstractRouteDef]:

    async def show(request: web.Request) -> web.Response:
        return await _page(site, request)

    async def change_password(request: web.Request) -> web.Response:
        given, account = await read_form(request), _account(site, request)
        response = _back()
        try:
            check_repeated(given)
            new = given.get("password", "")
            await site.own_account.change_password(request, response, account.name, given.get("present", ""), new)
        except (access.AccountFormError, access.RefusedError) as error:
            return await _page(site, request, problem=error)
        return response

    return [
        routing.get(ACCOUNT, show, Action.SEE_COUNTS),
        routing.post("/account/password", change_password, Action.SEE_COUNTS),
    ]


def _code_routes(site: Site) -> list[web.AbstractRouteDef]:
    own = site.own_account

    async def codes(request: web.Request) -> web.Response:
        return _codes_page(request, _account(site, request), one_time_codes.new_secret())

    async def turn_on(request: web.Request) -> web.Response:
        given, account = await read_form(request), _account(site, request)
        secret, response = given.get("secret", ""), web.Response()
        if not one_time_codes.is_secret(secret):
            return _back("/account/codes")
        try:
            recovery = await own.turn_codes_on(
                request, response, account.name, given.get("password", ""), secret=secret, code=given.get("code", "")
            )
        except (access.AccountFormError, access.RefusedError) as error:
            return _codes_page(request, account, secret, problem=error)
        page = with_secret(render("recovery_codes.html", tab="account", recovery=recovery))
        page.cookies.update(response.cookies)
        return page

    async def turn_off(request: web.Request) -> web.Response:
        given, account = await read_form(request), _account(site, request)
        response = _back()
        try:
            await own.turn_codes_off(request, response, account.name, given.get("password", ""))
        except access.RefusedError as error:
            return await _page(site, request, problem=error)
        return response

    return [
        routing.get("/account/codes", codes, Action.SEE_COUNTS),
        routing.post("/account/codes", turn_on, Action.SEE_COUNTS),
        routing.post("/account/codes/off", turn_off, Action.SEE_COUNTS),
    ]


def _session_routes(site: Site) -> list[web.AbstractRouteDef]:
    async def end_all(request: web.Request) -> web.Response:
        await read_form(request)
        session = _session(site, request)
        if session is not None and _has_own_sessions(session):
            await site.store.write(browser_sessions.end_of, browser_sessions.owner_key(session.owner))
        response = _back("/sign-in")
        await site.authenticator.sessions.end(request, response)
        return response

    async def end_one(request: web.Request) -> web.Response:
        await read_form(request)
        session, ended = _session(site, request), int(request.match_info["session"])
        if session is not None and _has_own_sessions(session):
            await site.store.write(browser_sessions.end_of, browser_sessions.owner_key(session.owner), ended)
        return _back()

    return [
        routing.post("/account/sessions/end", end_all, Action.SEE_COUNTS),
        routing.post(r"/account/sessions/{session:\d{1,18}}/end", end_one, Action.SEE_COUNTS),
    ]


def _back(to: str = ACCOUNT) -> web.Response:
    return web.Response(status=303, headers={"Location": to})


def _session(site: Site, request: web.Request) -> BrowserSession | None:
    principal = request.get(access.PRINCIPAL)
    if principal is None or principal.session_id is None:
        return None
    return site.authenticator.sessions.current(request)


def _account(site: Site, request: web.Request) -> Account:
    session = _session(site, request)
    if session is None or not isinstance(session.owner, Account):
        raise web.HTTPNotFound
    return session.owner


def _has_own_sessions(session: BrowserSession) -> bool:
    """Whether all sessions of its owner are one person's: a token may be shared."""
    return isinstance(session.owner, Account | OutsideIdentity)


async def _page(site: Site, request: web.Request, *, problem: ZimwatchError | None = None) -> web.Response:
    session, principal = _session(site, request), request.get(access.PRINCIPAL)
    owner = None if session is None else session.owner
    sessions = [] if session is None else [session]
    if session is not None and _has_own_sessions(session):
        found = await site.store.read(browser_sessions.list_of, browser_sessions.owner_key(session.owner))
        sessions = [one for one in found if not site.authenticator.sessions.is_over(one)]
    account = owner if isinstance(owner, Account) else None
    left = 0 if account is None else await site.store.read(second_factor.recovery_codes_left, account.id)
    response = render(
        "account.html",
        status_of(problem),
        tab="account",
        here=ACCOUNT,
        now_us=site.clock(),
        principal=principal,
        account=account,
        session=session,
        sessions=sessions,
        is_own=session is not None and _has_own_sessions(session),
        recovery_codes_left=left,
        problem=None if problem is None else translate(problem.text),
        form_token=form_token(request),
    )
    return with_headers(response, problem)


def _codes_page(
    request: web.Request, account: Account, secret: str, *, problem: ZimwatchError | None = None
) -> web.Response:
    address = one_time_codes.address(secret, account.name)
    response = render(
        "account_codes.html",
        status_of(problem),
        tab="account",
        here="/account/codes",
        secret=secret,
        secret_in_groups=" ".join(secret[at : at + 4] for at in range(0, len(secret), 4)),
        picture=segno.make(address, error="m", micro=False).svg_data_uri(scale=5, border=3, light="#fff"),
        problem=None if problem is None else translate(problem.text),
        form_token=form_token(request),
    )
    return with_secret(with_headers(response, problem))


def status_of(problem: ZimwatchError | None) -> int:
    """The status of a page that shows the problem of its form."""
    return 200 if problem is None else problem.status if isinstance(problem, access.RefusedError) else 400


def with_headers(response: web.Response, problem: ZimwatchError | None) -> web.Response:
    """With the headers that the problem requires, such as Retry-After; a browser opens no dialog of its own."""
    if isinstance(problem, access.RefusedError):
        response.headers.extend(problem.headers)
    return response
