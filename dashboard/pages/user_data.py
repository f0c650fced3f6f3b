"""What is held of a user: the buttons to export and to erase it, and the certificate of an erasure."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from dashboard.page import render
from dashboard.site import Page, Site
from dashboard.text.language import gettext as _
from sidecar import access
from sidecar.access import audit, routing
from sidecar.access.policy import Action
from sidecar.domain.erasure_texts import NOT_REACHED
from sidecar.store.access.audit_values import User
from sidecar.store.care import erasures
from sidecar.store.care.erasures import TooManyErasuresError
from sidecar.web.forms import form_token, read_form
from sidecar.web.params import check_app, is_number


def _routes(site: Site) -> list[web.AbstractRouteDef]:
    """``/user-data``, ``/erasures`` and ``/erasures/{id}``."""
    store, clock = site.store, site.clock

    def shown(request: web.Request, app_id: int, user_id: str, problem: str | None = None) -> web.Response:
        return render(
            "user_data.html",
            400 if problem else 200,
            tab="users",
            now_us=clock(),
            here="/users",
            app_id=app_id,
            user_id=user_id,
            problem=problem,
            form_token=form_token(request),
        )

    async def form(request: web.Request) -> web.Response:
        return shown(request, *_target(request, request.query.get("app_id", ""), request.query.get("user_id", "")))

    async def erase(request: web.Request) -> web.Response:
        given = await read_form(request)
        app_id, user_id = _target(request, given.get("app_id", ""), given.get("user_id", ""))
        if given.get("again", "").strip() != user_id.strip():
            return shown(request, app_id, user_id, _("That is not the id of this user. Nothing was erased."))
        try:
            recorded = audit.of(request).after(erasures.ask, about=User(app_id, user_id))
            number = await store.write(recorded, app_id, user_id, clock())
        except TooManyErasuresError as error:
            return shown(request, app_id, user_id, str(error))
        raise web.HTTPSeeOther(f"/erasures/{number}")

    async def certificate(request: web.Request) -> web.Response:
        found = await store.read(erasures.one, int(request.match_info["id"]))
        if found is None:
            raise web.HTTPNotFound(text=_("There is no such erasure."))
        check_app(access.apps_of(request), found.app_id)
        values: dict[str, Any] = {"erasure": found, "not_reached": [sentence() for sentence in NOT_REACHED]}
        return render("erasure.html", tab="users", now_us=clock(), here=request.path, **values)

    return [
        routing.get("/user-data", form, Action.EXPORT_USER),
        routing.post("/erasures", erase, Action.ERASE),
        routing.get("/erasures/{id:[0-9]{1,18}}", certificate, Action.ERASE),
    ]


def _target(request: web.Request, app_id: str, user_id: str) -> tuple[int, str]:
    if not is_number(app_id) or not user_id:
        raise web.HTTPNotFound(text=_("There is no such user."))
    check_app(access.apps_of(request), int(app_id))
    return int(app_id), user_id


PAGE: Final = Page(routes=_routes)
