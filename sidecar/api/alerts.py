"""``/v1/alerts``, ``/v1/silences`` and the messages that could not be delivered."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from aiohttp import web

from sidecar.alerting import Engine, pending
from sidecar.alerting.asked import SilenceRequest, silence_of
from sidecar.api import guard, json
from sidecar.api.problem import Problem
from sidecar.api.users import limit_of, number
from sidecar.clock import Clock
from sidecar.domain.alerting.kinds import KINDS, SEVERITIES
from sidecar.ingest import body
from sidecar.store import Store, alert_log, notifications
from sidecar.store.alert_records import AlertFilter

T = TypeVar("T")

STATES = ("pending", "firing", "resolved", "acknowledged")
_BODY_BYTES = 65_536
_READ_BYTES = 65_536


class Acknowledgement(msgspec.Struct):
    """The body of an acknowledgement, which may be left out."""

    author: str | None = None


async def read(request: web.Request, limit: int = _BODY_BYTES) -> bytes:
    """A small body as it was sent; 413 for a longer one."""
    gzipped = request.headers.get("Content-Encoding", "").strip().lower() == "gzip"
    return await body.read(request.content.iter_chunked(_READ_BYTES), gzipped=gzipped, limit=limit)


class _Calls:
    """Each method is a call."""

    def __init__(self, store: Store, engine: Engine, clock: Clock) -> None:
        self._store = store
        self._engine = engine
        self._clock = clock

    def view(self, alert: Any) -> dict[str, Any]:  # noqa: ANN401 - an Alert
        return json.alert_view(alert, self._engine.policy.base)

    async def alerts(self, request: web.Request) -> web.Response:
        query = request.query
        own, asked = guard.app_of(request), number(query.get("app_id"), "app_id")
        if own is not None and asked not in {None, own}:
            raise Problem(403, f"the token is bound to app {own}")
        chosen = {
            name: one_of(query.get(name), name, known)
            for name, known in (("state", STATES), ("kind", KINDS), ("severity", SEVERITIES))
        }
        wanted = AlertFilter(
            app_id=own if own is not None else asked,
            user_id=query.get("user_id") or None,
            cursor=number(query.get("cursor"), "cursor"),
            limit=limit_of(request),
            **chosen,
        )
        if wanted.state == pending.PENDING:
            waiting = await self._store.read(pending.page, self._engine, wanted, self._clock())
            return _page([json.pending_view(one) for one in waiting.pending], waiting.next_cursor)
        page = await self._store.read(alert_log.page, wanted)
        return _page([self.view(alert) for alert in page.alerts], page.next_cursor)

    async def alert(self, request: web.Request) -> web.Response:
        found = await self._store.read(alert_log.one, alert_id(request))
        if found is None or guard.app_of(request) not in {None, found.subject.app_id}:
            raise Problem(404, "there is no such alert")
        lines = await self._store.read(alert_log.lines, found.id)
        told = await self._store.read(notifications.of_alert, found.id)
        return json.response(self.view(found) | json.story_view(lines, told))

    async def acknowledge(self, request: web.Request) -> web.Response:
        raw = await read(request)
        given = decoded(raw, Acknowledgement) if raw.strip() else Acknowledgement()
        who, own, wanted = given.author or guard.who(request), guard.app_of(request), alert_id(request)
        found = await self._store.write(lambda c: self._engine.acknowledge(c, wanted, who, self._clock(), own))
        if found is None:
            raise Problem(404, "there is no such alert")
        return json.response(self.view(found))

    async def silences(self, request: web.Request) -> web.Response:
        own = guard.app_of(request)
        found = [one for one in await self._store.read(alert_log.silences) if own in {None, one.app_id}]
        return json.response({"silences": [json.silence_view(one, self._clock()) for one in found]})

    async def silence(self, request: web.Request) -> web.Response:
        now_us = self._clock()
        given = decoded(await read(request), SilenceRequest)
        wanted = silence_of(given, guard.who(request), now_us, guard.app_of(request))
        hidden = await self._store.read(alert_log.hidden_by, wanted)
        hides = [self.view(alert) for alert in hidden]
        if request.query.get("dry_run") in {"1", "true"}:
            return json.response({"silence": json.silence_view(wanted, now_us) | {"id": None}, "hides": hides})
        made = await self._store.write(lambda c: self._engine.silence(c, wanted, now_us))
        return json.response(json.silence_view(made, now_us) | {"hides": hides}, 201)

    async def end_silence(self, request: web.Request) -> web.Response:
        wanted, own = number(request.match_info["id"], "id") or 0, guard.app_of(request)
        if not await self._store.write(lambda c: self._engine.end_silence(c, wanted, self._clock(), own)):
            raise Problem(404, "there is no such silence, or it has ended already")
        return web.Response(status=204)

    async def undelivered(self, request: web.Request) -> web.Response:
        every_app(request)
        found = await self._store.read(notifications.dead, limit_of(request))
        return json.response({"messages": [json.message_view(one) for one in found]})

    async def send_again(self, request: web.Request) -> web.Response:
        every_app(request)
        wanted = number(request.match_info["id"], "id") or 0
        if not await self._store.write(lambda c: self._engine.send_again(c, wanted, self._clock())):
            raise Problem(404, "there is no such undelivered message, or its receiver is not in the settings any more")
        return web.Response(status=202)


def routes(store: Store, engine: Engine, clock: Clock) -> list[web.AbstractRouteDef]:
    """The calls about alerts."""
    calls = _Calls(store, engine, clock)
    return [
        web.get("/v1/alerts", calls.alerts),
        web.get("/v1/alerts/undelivered", calls.undelivered),
        web.post("/v1/alerts/undelivered/{id:[0-9]+}/send", calls.send_again),
        web.get("/v1/alerts/{id:[0-9]+}", calls.alert),
        web.post("/v1/alerts/{id:[0-9]+}/ack", calls.acknowledge),
        web.get("/v1/silences", calls.silences),
        web.post("/v1/silences", calls.silence),
        web.delete("/v1/silences/{id:[0-9]+}", calls.end_silence),
    ]


def _page(views: list[dict[str, Any]], next_cursor: int | None) -> web.Response:
    return json.response({"alerts": views, "next_cursor": None if next_cursor is None else str(next_cursor)})


def alert_id(request: web.Request) -> int:
    """The id in the path."""
    return number(request.match_info["id"], "id") or 0


def one_of(text: str | None, name: str, known: tuple[str, ...]) -> str | None:
    """A query's word; 400 that names it for one that is not known."""
    if text and text not in known:
        raise Problem(400, f"{name} must be one of {', '.join(known)}")
    return text or None


def every_app(request: web.Request) -> None:
    """403 for a token that is bound to one app: a message may tell of several."""
    if guard.app_of(request) is not None:
        raise Problem(403, "the token is bound to one app; this is about all of them")


def decoded(raw: bytes, kind: type[T]) -> T:
    """A body; 400 that says what is wrong with it."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.DecodeError as error:
        raise Problem(400, f"the body is not as it must be: {error}") from None
