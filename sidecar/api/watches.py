"""``/v1/watches``: lists, creates and ends watches of users."""

from __future__ import annotations

from aiohttp import web

from sidecar import access
from sidecar.access import audit, routing
from sidecar.access.policy import Action
from sidecar.alerting import AlertReaction, watch_form
from sidecar.alerting.tables import user_watch_rows
from sidecar.alerting.watch_form import WatchRequest, watch_of
from sidecar.api import json_views
from sidecar.clock import Clock
from sidecar.store import Store
from sidecar.web import request_body
from sidecar.web.params import id_in_path
from sidecar.web.problem import Problem


def routes(store: Store, reaction: AlertReaction, clock: Clock) -> list[web.AbstractRouteDef]:
    """The calls about watches."""

    async def watches(request: web.Request) -> web.Response:
        found = await store.read(user_watch_rows.lasting, clock(), access.apps_of(request))
        return json_views.response({"watches": [json_views.watch_view(one) for one in found]})

    async def create(request: web.Request) -> web.Response:
        given = request_body.decode(await request_body.read(request), WatchRequest)
        who, own = access.who(request, given.author), access.apps_of(request)
        wanted = watch_of(given, who, clock(), tuple(reaction.policy.receivers), own)
        recorded = audit.of(request).after(user_watch_rows.add, about=watch_form.named)
        return json_views.response(json_views.watch_view(await watch_form.create(store, recorded, wanted)), 201)

    async def end(request: web.Request) -> web.Response:
        recorded = audit.of(request).after(user_watch_rows.end, about=watch_form.named)
        ended = await store.write(recorded, id_in_path(request), clock(), access.apps_of(request))
        if ended is None:
            raise Problem(404, "no such watch, or it has ended already")
        return web.Response(status=204)

    return [
        routing.get("/v1/watches", watches, Action.SEE_USERS),
        routing.post("/v1/watches", create, Action.WATCH),
        routing.delete("/v1/watches/{id:[0-9]+}", end, Action.WATCH),
    ]
