"""Silences, and a form for a new one with a preview of the alerts that it would match."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from dashboard.live import whole
from dashboard.page_request import Loader, PageRequest, View
from dashboard.site import Page, Site
from dashboard.text.alert_texts import DURATIONS
from dashboard.text.app_names import apps
from sidecar import access
from sidecar.access import audit, routing
from sidecar.access.policy import Action
from sidecar.alerting.silence_form import NotPossibleError, SilenceRequest, create, named, silence_of
from sidecar.alerting.tables import silence_rows
from sidecar.domain.alerts.alert import Alert
from sidecar.domain.app_ids import AppIds
from sidecar.domain.texts import Text
from sidecar.store import Store
from sidecar.web.forms import form_token, read_form

_FIELDS: Final = ("kind", "user_id", "app_id", "duration", "reason")


def _views(site: Site) -> dict[str, Loader]:
    """``/silences``."""
    store, clock = site.store, site.clock

    async def silences(page_request: PageRequest) -> View:
        return View(name="silences.html", values=await _values(store, clock(), page_request.own_apps))

    return {"/silences": silences}


def _routes(site: Site) -> list[web.AbstractRouteDef]:
    """The forms: a new silence, its preview, and the end of one."""
    store, reaction, clock = site.store, site.reaction, site.clock

    async def shown(
        request: web.Request, given: dict[str, str], problem: Text | None = None, hidden: list[Alert] | None = None
    ) -> web.Response:
        values = await _values(store, clock(), access.apps_of(request))
        values |= {"given": dict.fromkeys(_FIELDS, "") | given, "problem": problem, "hidden": hidden}
        view = View(name="silences.html", status=400 if problem else 200, values=values)
        return whole(view, here="/silences", stream=None, token=form_token(request), trouble=store.problem)

    async def silence(request: web.Request) -> web.Response:
        given = await read_form(request)
        who, own, now_us = access.who(request), access.apps_of(request), clock()
        matchers: dict[str, Any] = {
            name: given[name].strip() for name in ("kind", "user_id", "app_id") if given.get(name, "").strip()
        }
        if "app_id" in matchers:
            matchers["app_id"] = apps().id_of(matchers["app_id"])
        previews = given.get("do") == "preview"
        reason = "preview" if previews else given.get("reason", "")
        try:
            form = SilenceRequest(matchers=matchers, reason=reason, duration=given.get("duration", ""))
            wanted = silence_of(form, who, now_us, own)
            if previews:
                hidden = await store.read(silence_rows.alerts_hidden_by, wanted)
                return await shown(request, given, hidden=hidden)
            await create(store, audit.of(request).after(reaction.silence, about=named), wanted)
        except NotPossibleError as error:
            return await shown(request, given, error.text)
        raise web.HTTPSeeOther("/silences")

    async def end(request: web.Request) -> web.Response:
        await read_form(request)
        wanted, own = int(request.match_info["id"]), access.apps_of(request)
        await store.write(audit.of(request).after(reaction.end_silence), wanted, clock(), own)
        raise web.HTTPSeeOther("/silences")

    return [
        routing.post("/silences", silence, Action.SILENCE),
        routing.post("/silences/{id:[0-9]{1,18}}/end", end, Action.SILENCE),
    ]


PAGE: Final = Page(needed=Action.SEE_USERS, views=_views, routes=_routes)


async def _values(store: Store, now_us: int, own: AppIds) -> dict[str, Any]:
    found = await store.read(silence_rows.listed, own)
    return {
        "tab": "silences",
        "now_us": now_us,
        "silences": found,
        "durations": DURATIONS,
        "given": dict.fromkeys(_FIELDS, ""),
        "problem": None,
        "hidden": None,
    }
