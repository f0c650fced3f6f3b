"""``GET /v1/rejected``: events that were rejected recently, with the reason of each."""

from __future__ import annotations

from aiohttp import web

from sidecar import access
from sidecar.access import routing
from sidecar.access.policy import Action
from sidecar.api import json_views
from sidecar.store import Store
from sidecar.store.log import rejected_events
from sidecar.web.params import check_query, limit_of


def routes(store: Store) -> list[web.AbstractRouteDef]:
    """The one call."""

    async def rejected(request: web.Request) -> web.Response:
        check_query(request, "limit")
        found = await store.read(rejected_events.newest, limit_of(request), access.apps_of(request))
        return json_views.response({"rejected": [json_views.rejected_view(one) for one in found]})

    return [routing.get("/v1/rejected", rejected, Action.SEE_USERS)]
