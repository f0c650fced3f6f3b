"""``/v1/silences``: lists, creates and ends silences."""

from __future__ import annotations

from aiohttp import web

from sidecar import access
from sidecar.access import audit, routing
from sidecar.access.policy import Action
from sidecar.alerting import AlertReaction, silence_form
from sidecar.alerting.silence_form import SilenceRequest, silence_of
from sidecar.alerting.tables import silence_rows
from sidecar.api import json_views
from sidecar.clock import Clock
from sidecar.store import Store
from sidecar.web import request_body
from sidecar.web.params import id_in_path
from sidecar.web.problem import Problem


def routes(store: Store, reaction: AlertReaction, clock: Clock) -> list[web.AbstractRouteDef]:
    """The calls about silences."""

    async def silences(request: web.Request) -> web.Response:
        found = await store.read(silence_rows.listed, access.apps_of(request))
        return json_views.response({"silences": [json_views.silence_view(one, clock()) for one in found]})

    async def create(request: web.Request) -> web.Response:
        now_us = clock()
        given = request_body.decode(await request_body.read(request), SilenceRequest)
        wanted = silence_of(given, access.who(request, given.author), now_us, access.apps_of(request))
        hidden = await store.read(silence_rows.alerts_hidden_by, wanted)
        hides = [json_views.alert_view(alert, reaction.policy.base) for alert in hidden]
        if request.query.get("dry_run") in {"1", "true"}:
            preview = json_views.silence_view(wanted, now_us) | {"id": None}
            return json_views.response({"silence": preview, "hides": hides})
        recorded = audit.of(request).after(reaction.silence, about=silence_form.named)
        created = await silence_form.create(store, recorded, wanted)
        return json_views.response(json_views.silence_view(created, now_us) | {"hides": hides}, 201)

    async def end(request: web.Request) -> web.Response:
        recorded = audit.of(request).after(reaction.end_silence)
        if not await store.write(recorded, id_in_path(request), clock(), access.apps_of(request)):
            raise Problem(404, "no such silence, or it has ended already")
        return web.Response(status=204)

    return [
        routing.get("/v1/silences", silences, Action.SEE_USERS),
        routing.post("/v1/silences", create, Action.SILENCE),
        routing.delete("/v1/silences/{id:[0-9]+}", end, Action.SILENCE),
    ]
