"""Erases and exports a user, and shows erasures."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec
from aiohttp import web

from sidecar import access
from sidecar.access import audit, routing, user_path
from sidecar.access.policy import Action
from sidecar.alerting.payloads import time_text
from sidecar.api import json_views
from sidecar.clock import Clock
from sidecar.domain.erasure_texts import NOT_REACHED
from sidecar.store import Store
from sidecar.store.access.audit_values import User
from sidecar.store.care import erasures, user_export
from sidecar.store.care.erasures import Erasure, TooManyErasuresError
from sidecar.web.params import check_app, id_in_path, number, user_in_path
from sidecar.web.problem import Problem

# How long the answer waits for the erasure, which a background task does.
_LOOKS: Final = 20
_LOOK_EVERY_S: Final = 0.25


def routes(store: Store, clock: Clock) -> list[web.AbstractRouteDef]:
    """``DELETE /v1/users/{app_id}/{user_id}``, ``GET /v1/erasures/{id}``, ``GET /v1/user-export``."""

    async def erase(request: web.Request) -> web.Response:
        app_id, user_id = user_in_path(request)
        check_app(access.apps_of(request), app_id)
        try:
            recorded = audit.of(request).after(erasures.ask, about=User(app_id, user_id))
            asked = await store.write(recorded, app_id, user_id, clock())
        except TooManyErasuresError as error:
            raise Problem(503, str(error)) from None
        if (done := await _finished(store, asked)) is not None:
            return json_views.response(certificate(done))
        return json_views.response({"id": asked, "finished_at": None, "url": f"/v1/erasures/{asked}"}, 202)

    async def erasure(request: web.Request) -> web.Response:
        found = await store.read(erasures.one, id_in_path(request))
        if found is None:
            raise Problem(404, "no such erasure")
        check_app(access.apps_of(request), found.app_id)
        return json_views.response(certificate(found))

    async def export(request: web.Request) -> web.StreamResponse:
        app_id, user_id = number(request.query.get("app_id"), "app_id"), request.query.get("user_id", "")
        if app_id is None or not user_id:
            raise Problem(400, "app_id and user_id must be given")
        check_app(access.apps_of(request), app_id)
        response = web.StreamResponse(
            headers={
                "Content-Type": "application/json",
                "Content-Disposition": 'attachment; filename="zimwatch-user.json"',
                "Cache-Control": "no-store",
                "X-Content-Type-Options": "nosniff",
            }
        )
        await response.prepare(request)
        async for part in user_export.parts(store, app_id, user_id, time_text(clock())):
            await response.write(part)
        await response.write_eof()
        return response

    return [
        routing.delete(user_path.USER, erase, Action.ERASE),
        routing.get("/v1/erasures/{id:[0-9]+}", erasure, Action.ERASE),
        routing.get("/v1/user-export", export, Action.EXPORT_USER, allow_head=False),
    ]


async def _finished(store: Store, asked: int) -> Erasure | None:
    """The erasure, once it is finished; None where that takes long."""
    for _ in range(_LOOKS):
        found = await store.read(erasures.one, asked)
        if found is not None and found.finished_at_us is not None:
            return found
        await asyncio.sleep(_LOOK_EVERY_S)
    return None


def certificate(of: Erasure) -> dict[str, Any]:
    """What was removed, when, and what cannot be reached; the user only by a pseudonym."""
    moments = {"asked_at": of.asked_at_us, "began_at": of.began_at_us, "finished_at": of.finished_at_us}
    return {
        "id": of.id,
        "app_id": of.app_id,
        "pseudonym": of.pseudonym,
        **{name: None if at_us is None else time_text(at_us) for name, at_us in moments.items()},
        "removed": msgspec.to_builtins(of.removed),
        "not_reached": [str(sentence()) for sentence in NOT_REACHED],
    }
