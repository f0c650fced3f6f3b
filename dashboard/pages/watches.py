"""The forms of watches, which the page of a user has: a new one, and the end of one."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from dashboard.site import Page, Site
from sidecar import access
from sidecar.access import audit, routing
from sidecar.access.policy import Action
from sidecar.alerting import watch_form
from sidecar.alerting.silence_form import NotPossibleError
from sidecar.alerting.tables import user_watch_rows
from sidecar.alerting.watch_form import WatchRequest, watch_of
from sidecar.domain.app_ids import AppIds
from sidecar.domain.paths import user_path
from sidecar.web.forms import read_form
from sidecar.web.params import is_number
from sidecar.web.problem import Problem


def _routes(site: Site) -> list[web.AbstractRouteDef]:
    store, reaction, clock = site.store, site.reaction, site.clock

    async def watch(request: web.Request) -> web.Response:
        given = await read_form(request)
        app_id = given.get("app_id", "")
        if not is_number(app_id):
            raise web.HTTPNotFound
        wanted = WatchRequest(
            app_id=int(app_id),
            user_id=given.get("user_id", ""),
            receiver=given.get("receiver") or None,
            duration=given.get("duration", ""),
        )
        receivers = tuple(reaction.policy.receivers)
        try:
            made = watch_of(wanted, access.who(request), clock(), receivers, access.apps_of(request))
            recorded = audit.of(request).after(user_watch_rows.add, about=watch_form.named)
            await watch_form.create(store, recorded, made)
        except NotPossibleError as error:
            raise Problem(400, error.text) from None
        raise web.HTTPSeeOther(user_path(made.app_id, made.user_id))

    async def end(request: web.Request) -> web.Response:
        await read_form(request)
        wanted, own = int(request.match_info["id"]), access.apps_of(request)
        recorded = audit.of(request).after(user_watch_rows.end, about=watch_form.named)
        ended = await store.write(recorded, wanted, clock(), own)
        raise web.HTTPSeeOther("/alerts" if ended is None else user_path(ended.app_id, ended.user_id))

    return [
        routing.post("/watches", watch, Action.WATCH),
        routing.post("/watches/{id:[0-9]{1,18}}/end", end, Action.WATCH),
    ]


async def watched(site: Site, app_id: int, user_id: str, own: AppIds) -> dict[str, Any]:
    """Who watches a user, and the receivers that a watch may name, which are none with access to some apps."""
    watches = await site.store.read(user_watch_rows.of_user, app_id, user_id, site.clock())
    names = tuple(site.reaction.policy.receivers)
    return {"watches": watches, "receivers": names if own is None else (), "notifies_nobody": own is None and not names}


PAGE: Final = Page(routes=_routes)
