"""Alerts: what fires, one alert's story, several taken on or silenced at once, and what could not be delivered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from aiohttp import web

from dashboard.alert_words import DURATIONS, GROUP_WORDS, KIND_WORDS, STATE_WORDS, advice
from dashboard.asked import Asked, Loader, View, is_number
from dashboard.language import gettext as _
from dashboard.live import whole
from dashboard.visitor import Visitor, form_token
from sidecar.alerting import Engine, pending
from sidecar.alerting.asked import NotPossibleError, SilenceRequest, silence_of
from sidecar.alerting.pending import Pending
from sidecar.clock import Clock
from sidecar.domain.alerting.alert import Alert
from sidecar.store import Store, alert_log, notifications
from sidecar.store.alert_records import AlertFilter

ROWS: Final = 50
SHOWN: Final = 200


class Group(msgspec.Struct, frozen=True):
    """Alerts that share something; ``name`` is empty where they are not grouped."""

    name: str
    alerts: Sequence[Alert | Pending]


def pages(store: Store, engine: Engine, clock: Clock) -> dict[str, Loader]:
    """``/alerts``, ``/alerts/{id}`` and ``/alerts/undelivered``."""

    async def alerts(asked: Asked) -> View:
        given = {name: asked.get(name) for name in ("state", "kind", "q", "group")}
        known = (
            given["state"] in {"", *STATE_WORDS}
            and given["kind"] in {"", *KIND_WORDS}
            and given["group"] in GROUP_WORDS
        )
        values: dict[str, Any] = {
            "tab": "alerts",
            "now_us": clock(),
            "given": given,
            "problem": None if known else _("There is no such state, kind or group."),
            "counts": await store.read(alert_log.counts, asked.own_app),
            "dead": [] if asked.own_app is not None else await store.read(notifications.dead, SHOWN),
            "groups": [],
            "older": None,
        }
        if not known:
            return View(name="alerts.html", status=400, values=values, is_live=False)
        cursor = asked.get("cursor")
        wanted = AlertFilter(
            state=given["state"] or None,
            kind=given["kind"] or None,
            user_id=given["q"] or None,
            app_id=asked.own_app,
            cursor=int(cursor) if is_number(cursor) else None,
            limit=SHOWN if given["group"] else ROWS,
        )
        listed: Sequence[Alert | Pending]
        if wanted.state == pending.PENDING:
            waiting = await store.read(pending.page, engine, wanted, values["now_us"])
            listed, following = waiting.pending, waiting.next_cursor
        else:
            page = await store.read(alert_log.page, wanted)
            listed, following = page.alerts, page.next_cursor
        if following is not None:
            kept = {name: value for name, value in given.items() if value}
            values["older"] = "/alerts?" + urlencode(kept | {"cursor": str(following)})
        return View(name="alerts.html", values=values | {"groups": _grouped(listed, given["group"])})

    async def alert(asked: Asked) -> View:
        found = await _found(store, asked.path.rsplit("/", 1)[-1], asked.own_app)
        return View(name="alert.html", values=await alert_values(store, found, clock()))

    async def undelivered(asked: Asked) -> View:
        if asked.own_app is not None:
            raise web.HTTPForbidden(text=_("The token is bound to one app."))
        found = await store.read(notifications.dead, SHOWN)
        values = {"tab": "alerts", "now_us": clock(), "dead": found}
        return View(name="undelivered.html", values=values, is_live=False)

    return {"/alerts": alerts, "/alerts/undelivered": undelivered, "/alerts/{id:[0-9]+}": alert}


def routes(store: Store, engine: Engine, clock: Clock, visitor: Visitor) -> list[web.AbstractRouteDef]:
    """What the forms do. After one the page is shown anew by GET, so that a reload repeats nothing."""

    async def acknowledge(request: web.Request) -> web.Response:
        await visitor.form(request)
        found = await _found(store, request.match_info["id"], visitor.app_of(request))
        who, own = visitor.who(request), visitor.app_of(request)
        await store.write(lambda c: engine.acknowledge(c, found.id, who, clock(), own))
        raise web.HTTPSeeOther(f"/alerts/{found.id}")

    async def silence_one(request: web.Request) -> web.Response:
        given = await visitor.form(request)
        found = await _found(store, request.match_info["id"], visitor.app_of(request))
        matchers = about(found)
        if given.get("what") == "user":
            matchers = {name: value for name, value in matchers.items() if name in {"app_id", "user_id"}}
        try:
            await silence(request, store, engine, visitor, clock(), about=matchers)
        except NotPossibleError as error:
            values = await alert_values(store, found, clock()) | {"problem": str(error)}
            view = View(name="alert.html", status=400, values=values)
            return whole(
                view, here=f"/alerts/{found.id}", stream=None, token=form_token(request), trouble=store.problem
            )
        raise web.HTTPSeeOther(f"/alerts/{found.id}")

    async def send_again(request: web.Request) -> web.Response:
        await visitor.form(request)
        if visitor.app_of(request) is not None:
            raise web.HTTPForbidden(text=_("The token is bound to one app."))
        wanted = _id(request.match_info["id"])
        await store.write(lambda c: engine.send_again(c, wanted, clock()))
        raise web.HTTPSeeOther("/alerts/undelivered")

    return [
        web.post("/alerts/undelivered/{id:[0-9]+}", send_again),
        web.post("/alerts/{id:[0-9]+}/ack", acknowledge),
        web.post("/alerts/{id:[0-9]+}/silence", silence_one),
    ]


async def silence(
    request: web.Request, store: Store, engine: Engine, visitor: Visitor, now_us: int, *, about: Mapping[str, Any]
) -> None:
    """Keeps the silence that a form of ours asks for; NotPossibleError names what is wrong with it."""
    given = await visitor.form(request)
    asked = SilenceRequest(matchers=dict(about), reason=given.get("reason", ""), duration=given.get("duration", ""))
    wanted = silence_of(asked, visitor.who(request), now_us, visitor.app_of(request))
    await store.write(lambda c: engine.silence(c, wanted, now_us))


async def alert_values(store: Store, found: Alert, now_us: int) -> dict[str, Any]:
    """What the page of an alert is made of."""
    return {
        "tab": "alerts",
        "now_us": now_us,
        "alert": found,
        "advice": advice(found.kind),
        "lines": await store.read(alert_log.lines, found.id),
        "told": await store.read(notifications.of_alert, found.id),
        "durations": DURATIONS,
        "problem": None,
    }


async def _found(store: Store, text: str, own: int | None) -> Alert:
    """The alert with this id; HTTP 404 where there is none that may be seen."""
    found = await store.read(alert_log.one, _id(text))
    if found is None or own not in {None, found.subject.app_id}:
        raise web.HTTPNotFound(text=_("There is no such alert."))
    return found


def about(alert: Alert) -> dict[str, Any]:
    """Matchers of this kind of alert about the same."""
    return {name: alert.matched[name] for name in ("kind", "app_id", "user_id", "part") if name in alert.matched}


def _id(text: str) -> int:
    if not is_number(text):
        raise web.HTTPNotFound
    return int(text)


def _grouped(alerts: Sequence[Alert | Pending], by: str) -> list[Group]:
    """The largest group first; within a group the newest first."""
    if not by:
        return [Group("", alerts)] if alerts else []
    groups: dict[str, list[Alert | Pending]] = {}
    for alert in alerts:
        groups.setdefault(_group(alert, by), []).append(alert)
    return sorted((Group(*one) for one in groups.items()), key=lambda group: -len(group.alerts))


def _group(alert: Alert | Pending, by: str) -> str:
    if by == "kind":
        return _(KIND_WORDS[alert.kind])
    if by == "cause":
        # What led to it, as far as the labels tell: a release and a platform are behind most of what comes together.
        shared = [alert.labels[name] for name in ("platform", "app_version") if name in alert.labels]
        return " · ".join([_(KIND_WORDS[alert.kind]), *shared])
    value = alert.subject.user_id if by == "user" else alert.subject.app_id
    return str(value) if value is not None else _("neither user nor app")
