"""Several alerts at once: what would be done to those that were chosen, and then it is done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from dashboard.alert_words import DURATIONS
from dashboard.asked import is_number
from dashboard.page import render
from dashboard.views.alerts import SHOWN, about, silence
from dashboard.visitor import Visitor, form_token
from sidecar.alerting import Engine
from sidecar.alerting.asked import NotPossibleError
from sidecar.clock import Clock
from sidecar.domain.alerting.alert import FIRING, Alert
from sidecar.store import Store, alert_log


def routes(store: Store, engine: Engine, clock: Clock, visitor: Visitor) -> list[web.AbstractRouteDef]:
    """``/alerts/several``: GET shows what would be done, POST does it."""

    async def shown(request: web.Request, chosen: Sequence[Alert], do: str, problem: str | None = None) -> web.Response:
        return render(
            "several.html",
            400 if problem else 200,
            tab="alerts",
            now_us=clock(),
            here="/alerts",
            alerts=chosen,
            do="silence" if do == "silence" else "ack",
            problem=problem,
            durations=DURATIONS,
            form_token=form_token(request),
        )

    async def chosen_of(texts: Sequence[Any], own: int | None) -> list[Alert]:
        """Those that still fire and may be seen."""
        ids = [int(text) for text in texts if isinstance(text, str) and is_number(text)][:SHOWN]
        found = await store.read(alert_log.several, ids)
        return [one for one in found if one.state == FIRING and own in {None, one.subject.app_id}]

    async def preview(request: web.Request) -> web.Response:
        chosen = await chosen_of(request.query.getall("alert", []), visitor.app_of(request))
        return await shown(request, chosen, request.query.get("do", ""))

    async def do(request: web.Request) -> web.Response:
        given = await visitor.form(request)
        chosen = await chosen_of((await request.post()).getall("alert", []), visitor.app_of(request))
        who, own, now_us = visitor.who(request), visitor.app_of(request), clock()
        if given.get("do") == "silence":
            try:
                for one in chosen:
                    await silence(request, store, engine, visitor, now_us, about=about(one))
            except NotPossibleError as error:
                return await shown(request, chosen, "silence", str(error))
        else:
            ids = [one.id for one in chosen]
            await store.write(lambda c: [engine.acknowledge(c, wanted, who, now_us, own) for wanted in ids])
        raise web.HTTPSeeOther("/alerts?state=firing")

    return [web.get("/alerts/several", preview), web.post("/alerts/several", do)]
