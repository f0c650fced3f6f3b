"""Tokens: a list, and forms to make, rotate and revoke them. A secret is in the page that answers, and in no other."""

from __future__ import annotations

import secrets  # noqa: TID251 - a value that no other page has
from collections import OrderedDict
from typing import Any, Final

from aiohttp import web

from dashboard.live import whole
from dashboard.page_request import Loader, PageRequest, View
from dashboard.site import Page, Site
from dashboard.text.app_names import apps
from dashboard.text.language import marked
from sidecar import access
from sidecar.access import Principal, audit, routing, token_actions, token_form
from sidecar.access.policy import GRANTS, Action
from sidecar.access.refusals import NotAllowedError
from sidecar.access.token_form import RotateRequest, TokenFormError, TokenRequest
from sidecar.domain.texts import Sentence, Text
from sidecar.store.access.tokens import TokenRefusedError, named
from sidecar.store.values import Token
from sidecar.web.forms import form_token, read_form

PATH: Final = "/tokens"
SCOPES: Final = {
    "ingest": marked("ingest: send events"),
    "read": marked("read: what support may see"),
    "write": marked("write: what an operator may"),
    "forward": marked("forward: another Zimwatch sends events"),
}
EXPIRES: Final = {
    "30d": marked("30 days"),
    "90d": marked("90 days"),
    "365d": marked("a year"),
    "": marked("as long as possible"),
}
OVERLAPS: Final = {
    "0s": marked("old one ends at once"),
    "1h": marked("old one ends in 1 hour"),
    "24h": marked("old one ends in 24 hours"),
    "7d": marked("old one ends in 7 days"),
}
_FIELDS: Final = ("scope", "name", "apps", "origins", "expires")
_SENT_MOST: Final = 1_000
_NO_SUCH: Final = Sentence("token.no_such", "there is no such token")
_ERRORS: Final = (TokenFormError, NotAllowedError, TokenRefusedError)


def _views(site: Site) -> dict[str, Loader]:
    """``/tokens``."""

    async def tokens(page_request: PageRequest) -> View:  # noqa: ARG001 - it depends on the principal alone
        return await _view(site, access.acting())

    return {PATH: tokens}


class _Sent:
    """The forms that were sent: a page that is loaded again sends its form again, which must not make another token."""

    def __init__(self) -> None:
        self._once: OrderedDict[str, None] = OrderedDict()

    async def read(self, request: web.Request) -> dict[str, str]:
        """The fields of the form; HTTP 303 to the list where it was sent before."""
        given = await read_form(request)
        once = given.pop("once", "")
        if once in self._once:
            raise web.HTTPSeeOther(PATH)
        if once:
            self._once[once] = None
        if len(self._once) > _SENT_MOST:
            self._once.popitem(last=False)
        return given


def _routes(site: Site) -> list[web.AbstractRouteDef]:
    """The forms."""
    store, clock = site.store, site.clock
    sent = _Sent()

    async def shown(request: web.Request, **more: Any) -> web.Response:  # noqa: ANN401 - values of the template
        view = await _view(site, access.principal_of(request), **more)
        return whole(view, here=PATH, stream=None, token=form_token(request), trouble=store.problem)

    async def make(request: web.Request) -> web.Response:
        given = await sent.read(request)
        try:
            made = await token_actions.make(store, access.principal_of(request), _request_of(given), clock())
        except _ERRORS as error:
            return await shown(request, given=given, problem=error.text)
        audit.of(request).subjects = (named(made),)
        return await shown(request, made=made)

    async def rotate(request: web.Request) -> web.Response:
        given, token_id = await sent.read(request), int(request.match_info["id"])
        wanted = RotateRequest(overlap=given.get("overlap", token_form.OVERLAP))
        try:
            made = await token_actions.rotate(store, access.principal_of(request), token_id, wanted, clock())
        except _ERRORS as error:
            return await shown(request, problem=error.text)
        if made is None:
            return await shown(request, problem=_NO_SUCH())
        audit.of(request).details["successor"] = made[0].id
        return await shown(request, made=made)

    async def revoke(request: web.Request) -> web.Response:
        await read_form(request)
        token_id = int(request.match_info["id"])
        if not await token_actions.revoke(store, access.principal_of(request), token_id, clock()):
            audit.of(request).is_settled = True  # nothing was done
        raise web.HTTPSeeOther(PATH)

    return [
        routing.post(PATH, make, Action.TOKENS),
        routing.post(PATH + "/{id:[0-9]{1,18}}/rotate", rotate, Action.TOKENS),
        routing.post(PATH + "/{id:[0-9]{1,18}}/revoke", revoke, Action.TOKENS),
    ]


PAGE: Final = Page(needed=Action.TOKENS, views=_views, routes=_routes)


def _request_of(given: dict[str, str]) -> TokenRequest:
    """TokenFormError for apps that are no numbers; a name of an app counts as its number."""
    given_apps = [one.strip() for one in given.get("apps", "").replace("\n", ",").split(",") if one.strip()]
    app_ids = []
    for name in given_apps:
        found = apps().id_of(name)
        if not (found.isascii() and found.isdigit() and len(found) <= token_form.APP_DIGITS):
            raise TokenFormError(token_form.NO_APP(given=name[:40]))
        app_ids.append(int(found))
    return TokenRequest(
        scope=given.get("scope", ""),
        name=given.get("name", ""),
        apps=app_ids or None,
        origins=given.get("origins", "").replace(",", " ").split(),
        expires=given.get("expires") or None,
    )


async def _view(
    site: Site,
    maker: Principal,
    *,
    given: dict[str, str] | None = None,
    problem: Text | None = None,
    made: tuple[Token, str] | None = None,
) -> View:
    now_us = site.clock()
    found = await token_actions.listed(site.store, maker, now_us)
    own = "" if maker.apps is None else ", ".join(map(str, sorted(maker.apps)))
    usual = {"scope": "ingest", "name": "", "apps": own, "origins": "", "expires": "90d"}
    replaced = {one.replaced_by: one.id for one in found if one.replaced_by is not None}
    rows = [
        (one, one.state(now_us), replaced.get(one.id), token_form.may_rotate(maker, one)) for one in reversed(found)
    ]
    return View(
        name="tokens.html",
        is_live=False,
        status=400 if problem else 200,
        with_secret=made is not None,
        values={
            "tab": "settings",
            "now_us": now_us,
            "tokens": rows,
            "scopes": {scope: SCOPES[scope] for scope in GRANTS.get(maker.role, ())},
            "lifetimes": EXPIRES,
            "overlaps": OVERLAPS,
            "given": usual | {name: text for name, text in (given or {}).items() if name in _FIELDS},
            "once": secrets.token_urlsafe(16),
            "problem": problem,
            "made": made,
        },
    )
