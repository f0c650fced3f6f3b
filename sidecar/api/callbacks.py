"""``POST /v1/callbacks/zego``: callbacks of ZEGO's server, authenticated by their signature instead of a token.

ZEGO retries after 2, 4, 8, 16 and 32 seconds unless the response is a 2xx. A retry of a callback that was not committed
is stored, one of a committed callback is answered with success.
"""

from __future__ import annotations

import msgspec
import structlog
from aiohttp import web
from opentelemetry import metrics

from sidecar.access import routing
from sidecar.api import json_views
from sidecar.clock import Clock
from sidecar.domain.events import Event
from sidecar.ingest import callback
from sidecar.ingest.wire import REJECTED_BODY_BYTES, BodyError
from sidecar.logs import Bounded
from sidecar.settings import Settings, duration_us, secrets_by_app
from sidecar.store import Store
from sidecar.store.access import signed_requests
from sidecar.store.log import log_reads
from sidecar.store.values import Appended, Rejected
from sidecar.web import request_body
from sidecar.web.problem import Problem
from sidecar.web.signed_request import Repeat, repeat_of

PATH = "/v1/callbacks/zego"
_RESULTS = ("accepted", "duplicate", "ignored", "refused")
_USED_BEFORE = "this timestamp and nonce were used before, with other contents"

_log = structlog.stdlib.get_logger(__name__)
_received = metrics.get_meter("zimwatch").create_counter(
    "zimwatch.callbacks", description="Callbacks of ZEGO's server, by result"
)


def _create_series() -> None:
    for result in _RESULTS:
        _received.add(0, {"result": result})  # so that the first callback is a rise


def routes(store: Store, settings: Settings, clock: Clock) -> list[web.AbstractRouteDef]:
    """The callback of ZEGO's server."""
    _create_series()
    zego = settings.zego

    async def answer(request: web.Request) -> web.Response:
        if not zego.callback_secrets:
            raise Problem(404, "callbacks are not accepted: zego.callback_secrets is not set")
        try:
            result = await receive(request)
        except callback.CallbackRefusedError as error:
            _received.add(1, {"result": "refused"})
            if (more := refusals.more()) is not None:
                _log.warning("callback refused", reason=str(error), unlogged=more)
            raise Problem(403, str(error)) from None
        _received.add(1, {"result": result})
        return json_views.response({"result": result})

    refusals = Bounded(clock)

    async def receive(request: web.Request) -> str:
        # The signature is in the body, which is not unpacked before it is checked.
        raw = await request_body.read(request, may_be_packed=False)
        now_us = clock()
        given = callback.read(raw)
        window_us = duration_us(zego.callback_window)
        app_id = callback.check(given, secrets_by_app(zego.callback_secrets), now_us=now_us, window_us=window_us)
        await _refuse_other_contents(
            store, given, app_id, now_us=now_us, valid_until_us=now_us + window_us + callback.AHEAD_US
        )
        if given.event != callback.USER_ACTION:
            return "ignored"
        try:
            event = callback.event_of(given, app_id, now_us=now_us)
            appended = await _append(store, event)
        except BodyError as error:
            kept = raw[:REJECTED_BODY_BYTES].decode("utf-8", "ignore")
            await store.append([], [Rejected(now_us, 0, None, str(error), kept, app_id)])
            raise
        if appended.accepted:
            return "accepted"
        kept_event = await store.read(log_reads.event_by_id, app_id, event.id)
        if kept_event is None or not callback.same(kept_event.event, event):
            raise callback.CallbackRefusedError(_USED_BEFORE)
        return "duplicate"

    return [routing.post(PATH, answer, routing.OPEN)]


async def _refuse_other_contents(
    store: Store, given: callback.Callback, app_id: int, *, now_us: int, valid_until_us: int
) -> None:
    """CallbackRefusedError where the timestamp and nonce came with other contents, which the signature leaves open."""
    key = signed_requests.digest("zego", str(app_id), str(given.timestamp).strip(), str(given.nonce))
    contents = msgspec.json.encode(given)
    repeat = await repeat_of(store, key, contents, now_us=now_us, valid_until_us=valid_until_us)
    if repeat is Repeat.OTHER_CONTENTS:
        raise callback.CallbackRefusedError(_USED_BEFORE)


async def _append(store: Store, event: Event) -> Appended:
    """BodyError where the store cannot take the event."""
    appended = await store.append([event])
    if appended.refused:
        raise BodyError(appended.refused[0][1])
    return appended
