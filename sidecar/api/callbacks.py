"""``POST /v1/callbacks/zego``: what ZEGO's server says of users. Its signature is the proof; no token is asked for.

ZEGO takes any 2xx for success, and sends again after 2, 4, 8, 16 and 32 seconds for anything else: one that was not
committed is then taken, and one that was is answered with success and stored once.
"""

from __future__ import annotations

import structlog
from aiohttp import web
from opentelemetry import metrics

from sidecar.api import json
from sidecar.api.problem import Problem
from sidecar.clock import Clock
from sidecar.ingest import body, callback
from sidecar.ingest.wire import REJECTED_BODY_BYTES, BodyError
from sidecar.settings import Settings, duration_us, secrets_by_app
from sidecar.store import Store
from sidecar.store.records import Rejected

PATH = "/v1/callbacks/zego"
BODY_BYTES = 65_536

_log = structlog.stdlib.get_logger(__name__)
_taken = metrics.get_meter("zimwatch").create_counter(
    "zimwatch.callbacks", description="Callbacks of ZEGO's server, by what became of them"
)


def routes(store: Store, settings: Settings, clock: Clock) -> list[web.AbstractRouteDef]:
    """The callback of ZEGO's server."""
    secrets = secrets_by_app(settings.zego.callback_secrets)
    window_us = duration_us(settings.zego.callback_window)

    async def take(request: web.Request) -> web.Response:
        if not secrets:
            raise Problem(404, "no callback is expected here: zego.callback_secrets is not set")
        try:
            result = await _taken_in(request)
        except callback.CallbackRefusedError as error:
            _taken.add(1, {"result": "refused"})
            _log.warning("callback refused", reason=str(error))
            raise Problem(403, str(error)) from None
        _taken.add(1, {"result": result})
        return json.response({"result": result})

    async def _taken_in(request: web.Request) -> str:
        raw = await body.read(request.content.iter_chunked(BODY_BYTES), gzipped=False, limit=BODY_BYTES)
        now_us = clock()
        given = callback.read(raw)
        app_id = callback.check(given, secrets, now_us=now_us, window_us=window_us)
        if given.event != callback.USER_ACTION:
            return "ignored"
        try:
            event = callback.event_of(given, app_id, now_us=now_us)
        except BodyError as error:
            kept = raw[:REJECTED_BODY_BYTES].decode("utf-8", "ignore")
            await store.append([], [Rejected(now_us, 0, None, str(error), kept)])
            raise
        if (await store.append([event])).accepted:
            return "accepted"
        kept_event = await store.event(event.id)
        if kept_event is None or not callback.same(kept_event.event, event):
            raise callback.CallbackRefusedError("this timestamp and nonce were used before, with other contents")
        return "duplicate"

    return [web.post(PATH, take)]
