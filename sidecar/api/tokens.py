"""``/v1/tokens``: lists, makes, rotates and revokes tokens. A secret is in the answer that makes it alone."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from sidecar import access
from sidecar.access import audit, routing, token_actions
from sidecar.access.policy import Action
from sidecar.access.token_form import RotateRequest, TokenRequest
from sidecar.api import json_views
from sidecar.clock import Clock
from sidecar.store import Store
from sidecar.store.access import tokens
from sidecar.store.values import Token
from sidecar.web import request_body
from sidecar.web.params import id_in_path
from sidecar.web.problem import Problem

# Compressed, a secret beside what the request says could be found from sizes (BREACH).
_SECRET: Final = {"Cache-Control": "no-store, no-transform"}
_NO_SUCH: Final = "no such token"


def routes(store: Store, clock: Clock) -> list[web.AbstractRouteDef]:
    """The calls about tokens."""

    async def listed(request: web.Request) -> web.Response:
        now_us = clock()
        found = await token_actions.listed(store, access.principal_of(request), now_us)
        return json_views.response({"tokens": [json_views.token_view(one, now_us) for one in found]})

    async def make(request: web.Request) -> web.Response:
        given, now_us = request_body.decode(await request_body.read(request), TokenRequest), clock()
        made = await token_actions.make(store, access.principal_of(request), given, now_us)
        audit.of(request).subjects = (tokens.named(made),)
        return _made(*made, now_us)

    async def rotate(request: web.Request) -> web.Response:
        raw, now_us = await request_body.read(request), clock()
        given = request_body.decode(raw, RotateRequest) if raw else RotateRequest()
        made = await token_actions.rotate(store, access.principal_of(request), id_in_path(request), given, now_us)
        if made is None:
            raise Problem(404, _NO_SUCH)
        audit.of(request).details["successor"] = made[0].id
        return _made(*made, now_us)

    async def revoke(request: web.Request) -> web.Response:
        if not await token_actions.revoke(store, access.principal_of(request), id_in_path(request), clock()):
            raise Problem(404, "no such token, or it was revoked already")
        return web.Response(status=204)

    return [
        routing.get("/v1/tokens", listed, Action.TOKENS),
        routing.post("/v1/tokens", make, Action.TOKENS),
        routing.post("/v1/tokens/{id:[0-9]+}/rotate", rotate, Action.TOKENS),
        routing.delete("/v1/tokens/{id:[0-9]+}", revoke, Action.TOKENS),
    ]


def _made(token: Token, secret: str, now_us: int) -> web.Response:
    response = json_views.response(json_views.token_view(token, now_us) | {"secret": secret}, 201)
    response.headers.update(_SECRET)
    return response
