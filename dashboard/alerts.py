"""The pages of alerts: what fires, one alert's story, what could not be delivered, and the silences."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlencode

from aiohttp import web

from dashboard.page import render
from dashboard.visitor import Visitor, form_token
from sidecar.alerting import Engine
from sidecar.alerting.asked import NotPossibleError, SilenceRequest, silence_of
from sidecar.clock import Clock
from sidecar.domain.alerting.kinds import KINDS
from sidecar.domain.alerting.matching import Silence
from sidecar.domain.alerting.words import ADVICE
from sidecar.store import Store, alert_log, notifications
from sidecar.store.alert_records import AlertFilter

STATES: Final = ("firing", "acknowledged", "resolved")
DURATIONS: Final = ("30m", "1h", "4h", "24h", "7d")
_ROWS: Final = 50
_FIELDS: Final = ("kind", "user_id", "app_id", "duration", "reason")
_SHOWN: Final = 200


class _Pages:
    """Each method is a page, or what a form does."""

    def __init__(self, store: Store, engine: Engine, clock: Clock, visitor: Visitor) -> None:
        self._store = store
        self._engine = engine
        self._clock = clock
        self._visitor = visitor

    async def alerts(self, request: web.Request) -> web.Response:
        given = {name: request.query.get(name, "").strip() for name in ("state", "kind", "q")}
        cursor = request.query.get("cursor", "")
        known = given["state"] in {"", *STATES} and given["kind"] in {"", *KINDS}
        wanted = AlertFilter(
            state=given["state"] or None,
            kind=given["kind"] or None,
            user_id=given["q"] or None,
            app_id=self._visitor.app_of(request),
            cursor=int(cursor) if _is_number(cursor) else None,
            limit=_ROWS,
        )
        page = await self._store.read(alert_log.page, wanted) if known else None
        kept = {name: value for name, value in given.items() if value}
        older = None
        if page and page.next_cursor is not None:
            older = "?" + urlencode(kept | {"cursor": page.next_cursor})
        return render(
            "alerts.html",
            200 if known else 400,
            here=request.path_qs,
            now_us=self._clock(),
            given=given,
            states=STATES,
            kinds=KINDS,
            alerts=page.alerts if page else [],
            older=older,
            counts=await self._store.read(alert_log.counts, self._visitor.app_of(request)),
            dead=[]
            if self._visitor.app_of(request) is not None
            else await self._store.read(notifications.dead, _SHOWN),
            problem=None if known else "There is no such state or kind.",
        )

    async def alert(self, request: web.Request, problem: str | None = None) -> web.Response:
        found = await self._store.read(alert_log.one, _id(request))
        if found is None or self._visitor.app_of(request) not in {None, found.subject.app_id}:
            raise web.HTTPNotFound(text="There is no such alert.")
        return render(
            "alert.html",
            400 if problem else 200,
            here=request.path,
            now_us=self._clock(),
            alert=found,
            advice=ADVICE[found.kind],
            lines=await self._store.read(alert_log.lines, found.id),
            told=await self._store.read(notifications.of_alert, found.id),
            durations=DURATIONS,
            form_token=form_token(request),
            problem=problem,
        )

    async def acknowledge(self, request: web.Request) -> web.Response:
        await self._visitor.form(request)
        wanted, who, own = _id(request), self._visitor.who(request), self._visitor.app_of(request)
        if await self._store.write(lambda c: self._engine.acknowledge(c, wanted, who, self._clock(), own)) is None:
            raise web.HTTPNotFound(text="There is no such alert.")
        raise web.HTTPSeeOther(f"/alerts/{wanted}")

    async def silence_alert(self, request: web.Request) -> web.Response:
        given = await self._visitor.form(request)
        found = await self._store.read(alert_log.one, _id(request))
        if found is None or self._visitor.app_of(request) not in {None, found.subject.app_id}:
            raise web.HTTPNotFound(text="There is no such alert.")
        names = ("app_id", "user_id") if given.get("what") == "user" else ("kind", "app_id", "user_id", "part")
        matchers = {name: found.matched[name] for name in names if name in found.matched}
        try:
            await self._silence(request, matchers, given)
        except NotPossibleError as error:
            return await self.alert(request, str(error))
        raise web.HTTPSeeOther(f"/alerts/{found.id}")

    async def _silence(self, request: web.Request, matchers: dict[str, Any], given: dict[str, str]) -> Silence:
        now_us = self._clock()
        asked = SilenceRequest(matchers=matchers, reason=given.get("reason", ""), duration=given.get("duration", ""))
        wanted = silence_of(asked, self._visitor.who(request), now_us, self._visitor.app_of(request))
        return await self._store.write(lambda c: self._engine.silence(c, wanted, now_us))

    async def silences(self, request: web.Request) -> web.Response:
        return await self._silences(request, {})

    async def _silences(
        self, request: web.Request, given: dict[str, str], problem: str | None = None, hidden: list[Any] | None = None
    ) -> web.Response:
        own = self._visitor.app_of(request)
        found = [one for one in await self._store.read(alert_log.silences) if own in {None, one.app_id}]
        return render(
            "silences.html",
            400 if problem else 200,
            here=request.path,
            now_us=self._clock(),
            silences=found[:_SHOWN],
            kinds=KINDS,
            durations=DURATIONS,
            given=dict.fromkeys(_FIELDS, "") | given,
            form_token=form_token(request),
            problem=problem,
            hidden=hidden,
        )

    async def silence(self, request: web.Request) -> web.Response:
        given = await self._visitor.form(request)
        matchers = {name: given[name].strip() for name in ("kind", "user_id", "app_id") if given.get(name, "").strip()}
        try:
            if given.get("do") == "preview":
                asked = SilenceRequest(matchers=dict(matchers), reason="preview", duration=given.get("duration", ""))
                wanted = silence_of(asked, self._visitor.who(request), self._clock(), self._visitor.app_of(request))
                hidden = await self._store.write(lambda c: self._engine.preview(c, wanted, self._clock()))
                return await self._silences(request, given, hidden=hidden)
            await self._silence(request, dict(matchers), given)
        except NotPossibleError as error:
            return await self._silences(request, given, str(error))
        raise web.HTTPSeeOther("/silences")

    async def end_silence(self, request: web.Request) -> web.Response:
        await self._visitor.form(request)
        wanted, own = _id(request), self._visitor.app_of(request)
        await self._store.write(lambda c: self._engine.end_silence(c, wanted, self._clock(), own))
        raise web.HTTPSeeOther("/silences")

    async def undelivered(self, request: web.Request) -> web.Response:
        if self._visitor.app_of(request) is not None:
            raise web.HTTPForbidden(text="The token is bound to one app.")
        found = await self._store.read(notifications.dead, _SHOWN)
        return render(
            "undelivered.html", here=request.path, now_us=self._clock(), dead=found, form_token=form_token(request)
        )

    async def send_again(self, request: web.Request) -> web.Response:
        await self._visitor.form(request)
        if self._visitor.app_of(request) is not None:
            raise web.HTTPForbidden(text="The token is bound to one app.")
        wanted = _id(request)
        await self._store.write(lambda c: self._engine.send_again(c, wanted, self._clock()))
        raise web.HTTPSeeOther("/alerts/undelivered")


def routes(store: Store, engine: Engine, clock: Clock, visitor: Visitor) -> list[web.AbstractRouteDef]:
    """The pages and what their forms do. After a form a page is shown anew by GET, so that a reload repeats nothing."""
    pages = _Pages(store, engine, clock, visitor)
    return [
        web.get("/alerts", pages.alerts),
        web.get("/alerts/undelivered", pages.undelivered),
        web.post("/alerts/undelivered/{id:[0-9]+}", pages.send_again),
        web.get("/alerts/{id:[0-9]+}", pages.alert),
        web.post("/alerts/{id:[0-9]+}/ack", pages.acknowledge),
        web.post("/alerts/{id:[0-9]+}/silence", pages.silence_alert),
        web.get("/silences", pages.silences),
        web.post("/silences", pages.silence),
        web.post("/silences/{id:[0-9]+}/end", pages.end_silence),
    ]


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and int(text) < 2**63


def _id(request: web.Request) -> int:
    text = request.match_info["id"]
    if not _is_number(text):
        raise web.HTTPNotFound
    return int(text)
