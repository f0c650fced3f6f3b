"""``POST /v1/admin/reload``: the settings are read again."""

from __future__ import annotations

from aiohttp import web

from sidecar import access
from sidecar.access import audit, routing
from sidecar.access.policy import Action
from sidecar.api import json_views
from sidecar.errors import SettingsError
from sidecar.reload import Reload
from sidecar.web.params import check_every_app
from sidecar.web.problem import Problem

_NOT_VALID = "the settings are not valid, and nothing was changed"


def routes(reload: Reload | None) -> list[web.AbstractRouteDef]:
    """The call."""

    async def read_again(request: web.Request) -> web.Response:
        check_every_app(access.apps_of(request))
        if reload is None:
            return json_views.response({"changed": [], "after_restart": []})
        try:
            changes = await reload.run()
            audit.of(request).details["changed"] = " ".join(changes.changed)
        except SettingsError as error:
            raise Problem(409, _NOT_VALID, more={"problems": error.problems}) from None
        return json_views.response({"changed": changes.changed, "after_restart": changes.after_restart})

    return [routing.post("/v1/admin/reload", read_again, Action.RELOAD)]
