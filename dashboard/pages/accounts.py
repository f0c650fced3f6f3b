"""Accounts of people, for administrators: list, add, change the role, disable, and make a link to set a password."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import sqlalchemy as sa
from aiohttp import web

from dashboard.page import render, with_secret
from dashboard.pages.account import status_of
from dashboard.pages.new_password import SET_PASSWORD
from dashboard.site import Page, Site
from dashboard.text.translate import translate
from sidecar import access
from sidecar.access import account_admin, audit, routing
from sidecar.access.policy import PEOPLE, Action, Role
from sidecar.access.proxies import public_request
from sidecar.domain.texts import Sentence
from sidecar.store.access import account_links, accounts
from sidecar.store.values import Account
from sidecar.web.forms import form_token, read_form
from sidecar.web.params import check_every_app, is_number

ACCOUNTS: Final = "/accounts"
_NO_APPS: Final = Sentence("accounts.no_apps", "apps: give AppIDs, or the word %(every)s for every app")
_FIRST: Final = Sentence("accounts.first", "the first account has to be an administrator of every app")
_ACTION: Final = Sentence("accounts.action", "unknown action")
EVERY: Final = "every"
"""Stands for every app in a form: an empty field must not mean more than it had."""
_SHOWN: Final = 40


def _routes(site: Site) -> list[web.AbstractRouteDef]:
    """``/accounts``. Only who sees every app manages accounts, or one could give away more than one has."""
    store, clock = site.store, site.clock

    async def show(request: web.Request) -> web.Response:
        check_every_app(access.apps_of(request))
        return await _page(site, request)

    async def add(request: web.Request) -> web.Response:
        given = await read_form(request)
        check_every_app(access.apps_of(request))
        try:
            account, secret = await store.write(_add, given, clock())
            trail = audit.of(request)
            trail.subjects = (account.called,)
            trail.details |= {"did": "add", "role": account.role}
        except access.AccountError as error:
            return await _page(site, request, problem=error, given=given)
        return await _page(site, request, link=_link(site, request, account, secret))

    async def change(request: web.Request) -> web.Response:
        given = await read_form(request)
        check_every_app(access.apps_of(request))
        account_id, wanted = int(request.match_info["account"]), given.get("do", "")

        def write(connection: sa.Connection) -> tuple[Account, str | None]:
            account = accounts.of_id(connection, account_id)
            if account is None:
                raise web.HTTPNotFound
            return account, _change(connection, account, wanted, given, clock())

        try:
            account, secret = await store.write(write)
            trail = audit.of(request)
            trail.subjects = (account.called,)
            trail.details |= {"did": wanted} | ({"role": given["role"]} if wanted == "role" else {})
        except access.AccountError as error:
            return await _page(site, request, problem=error)
        if secret is not None:
            return await _page(site, request, link=_link(site, request, account, secret))
        return web.Response(status=303, headers={"Location": ACCOUNTS})

    return [
        routing.get(ACCOUNTS, show, Action.ACCOUNTS),
        routing.post(ACCOUNTS, add, Action.ACCOUNTS),
        routing.post(r"/accounts/{account:\d{1,18}}", change, Action.ACCOUNTS),
    ]


PAGE: Final = Page(routes=_routes)


def _add(connection: sa.Connection, given: Mapping[str, str], now_us: int) -> tuple[Account, str]:
    """The new account of the form, and the secret of its link. AccountError."""
    role, apps = given.get("role", ""), _apps(given)
    if (role != Role.ADMIN or apps is not None) and not accounts.list_all(connection):
        raise access.AccountError(_FIRST())
    account = account_admin.create(connection, given.get("name", ""), role, apps, now_us)
    return account, account_links.create(connection, account.id, now_us)


def _change(
    connection: sa.Connection, account: Account, wanted: str, given: Mapping[str, str], now_us: int
) -> str | None:
    """Does what the form says; the secret of a new link, if that was it. AccountError."""
    match wanted:
        case "role":
            account_admin.change(connection, account.name, given.get("role", ""), _apps(given), now_us)
        case "disable":
            account_admin.disable(connection, account.name, now_us)
        case "enable":
            account_admin.enable(connection, account.name)
        case "codes-off":
            account_admin.turn_codes_off(connection, account.name)
        case "link" if account.disabled_at_us is None:
            return account_links.create(connection, account.id, now_us)
        case _:
            raise access.AccountError(_ACTION())
    return None


def _apps(given: Mapping[str, str]) -> frozenset[int] | None:
    """The apps of the form, separated by blanks or commas; None for the word every. AccountError."""
    named = given.get("apps", "").replace(",", " ").split()
    if named == [EVERY]:
        return None
    if not named:
        raise access.AccountError(_NO_APPS(every=EVERY))
    for one in named:
        if not is_number(one):
            raise access.AccountError(account_admin.NO_APP(given=one[:_SHOWN]))
    return frozenset(map(int, named))


def _link(site: Site, request: web.Request, account: Account, secret: str) -> tuple[str, str]:
    return account.name, f"{public_request(request, site.server).url}{SET_PASSWORD}/{secret}"


async def _page(
    site: Site,
    request: web.Request,
    *,
    problem: access.AccountError | None = None,
    link: tuple[str, str] | None = None,
    given: Mapping[str, str] | None = None,
) -> web.Response:
    response = render(
        "accounts.html",
        status_of(problem),
        tab="settings",
        here=ACCOUNTS,
        now_us=site.clock(),
        people=await site.store.read(accounts.list_all),
        roles=PEOPLE,
        every=EVERY,
        problem=None if problem is None else translate(problem.text),
        link=link,
        given=given or {},
        form_token=form_token(request),
    )
    return response if link is None else with_secret(response)
