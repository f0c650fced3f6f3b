"""``/v1/alerts/undelivered``: lists messages that were given up on, and sends one again."""

from __future__ import annotations

from aiohttp import web

from sidecar import access
from sidecar.access import audit, routing
from sidecar.access.policy import Action
from sidecar.alerting import AlertReaction
from sidecar.alerting.tables import message_rows
from sidecar.api import json_views
from sidecar.clock import Clock
from sidecar.store import Store
from sidecar.web.params import check_every_app, check_query, id_in_path, limit_of
from sidecar.web.problem import Problem


def routes(store: Store, reaction: AlertReaction, clock: Clock) -> list[web.AbstractRouteDef]:
    """The calls about undelivered messages, which may concern several apps: not for a token that is bound to one."""

    async def undelivered(request: web.Request) -> web.Response:
        check_query(request, "limit")
        check_every_app(access.apps_of(request))
        found = await store.read(message_rows.dead, limit_of(request))
        return json_views.response({"messages": [json_views.message_view(one) for one in found]})

    async def send_again(request: web.Request) -> web.Response:
        check_every_app(access.apps_of(request))
        recorded = audit.of(request).after(reaction.send_again)
        if not await store.write(recorded, id_in_path(request), clock()):
            raise Problem(404, "no such undelivered message, or its receiver was removed from the settings")
        return web.Response(status=202)

    return [
        routing.get("/v1/alerts/undelivered", undelivered, Action.SEE_USERS),
        routing.post("/v1/alerts/undelivered/{id:[0-9]+}/send", send_again, Action.CHANNELS),
    ]
