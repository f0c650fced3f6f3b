"""Silences: which there are, and a new one, with what it would hide before it does."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from dashboard.alert_words import DURATIONS
from dashboard.asked import Asked, Loader, View
from dashboard.live import whole
from dashboard.visitor import Visitor, form_token
from sidecar.alerting import Engine
from sidecar.alerting.asked import NotPossibleError, SilenceRequest, silence_of
from sidecar.clock import Clock
from sidecar.domain.alerting.alert import Alert
from sidecar.store import Store, alert_log

_SHOWN: Final = 200
_FIELDS: Final = ("kind", "user_id", "app_id", "duration", "reason")


def pages(store: Store, clock: Clock) -> dict[str, Loader]:
    """``/silences``."""

    async def silences(asked: Asked) -> View:
        return View(name="silences.html", values=await _values(store, clock(), asked.own_app))

    return {"/silences": silences}


def routes(store: Store, engine: Engine, clock: Clock, visitor: Visitor) -> list[web.AbstractRouteDef]:
    """What the forms do."""

    async def shown(
        request: web.Request, given: dict[str, str], problem: str | None = None, hidden: list[Alert] | None = None
    ) -> web.Response:
        values = await _values(store, clock(), visitor.app_of(request))
        values |= {"given": dict.fromkeys(_FIELDS, "") | given, "problem": problem, "hidden": hidden}
        view = View(name="silences.html", status=400 if problem else 200, values=values)
        return whole(view, here="/silences", stream=None, token=form_token(request), trouble=store.problem)

    async def silence(request: web.Request) -> web.Response:
        given = await visitor.form(request)
        who, own, now_us = visitor.who(request), visitor.app_of(request), clock()
        matchers: dict[str, Any] = {
            name: given[name].strip() for name in ("kind", "user_id", "app_id") if given.get(name, "").strip()
        }
        previews = given.get("do") == "preview"
        reason = "preview" if previews else given.get("reason", "")
        try:
            asked = SilenceRequest(matchers=matchers, reason=reason, duration=given.get("duration", ""))
            wanted = silence_of(asked, who, now_us, own)
        except NotPossibleError as error:
            return await shown(request, given, str(error))
        if previews:
            hidden = await store.read(alert_log.hidden_by, wanted)
            return await shown(request, given, hidden=hidden)
        await store.write(lambda c: engine.silence(c, wanted, now_us))
        raise web.HTTPSeeOther("/silences")

    async def end(request: web.Request) -> web.Response:
        await visitor.form(request)
        wanted, own = int(request.match_info["id"]), visitor.app_of(request)
        await store.write(lambda c: engine.end_silence(c, wanted, clock(), own))
        raise web.HTTPSeeOther("/silences")

    return [web.post("/silences", silence), web.post("/silences/{id:[0-9]{1,18}}/end", end)]


async def _values(store: Store, now_us: int, own: int | None) -> dict[str, Any]:
    found = [one for one in await store.read(alert_log.silences) if own in {None, one.app_id}]
    return {
        "tab": "silences",
        "now_us": now_us,
        "silences": found[:_SHOWN],
        "durations": DURATIONS,
        "given": dict.fromkeys(_FIELDS, ""),
        "problem": None,
        "hidden": None,
    }
