"""The alerts, one alert with its history, and the undelivered messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from aiohttp import web

from dashboard.live import whole
from dashboard.page_request import (
    Loader,
    PageRequest,
    View,
)
from dashboard.site import Page, Site
from dashboard.text.alert_texts import (
    DURATIONS,
    GROUP_TEXTS,
    KIND_TEXTS,
    STATE_TEXTS,
    advice,
)
from dashboard.text.app_names import apps
from dashboard.text.language import gettext as _
from sidecar import access
from sidecar.access import audit, routing
from sidecar.access.policy import Action
from sidecar.alerting import AlertReaction, pending
from sidecar.alerting.pending import Pending
from sidecar.alerting.silence_form import NotPossibleError, SilenceRequest, create, named, silence_of
from sidecar.alerting.tables import alert_log, message_rows, notifications, storm_rows, user_watch_rows
from sidecar.alerting.tables.alert_values import AlertFilter
from sidecar.domain import app_ids
from sidecar.domain.alerts.alert import FIRING, RESOLVED, Alert
from sidecar.domain.alerts.rules import is_storm
from sidecar.domain.app_ids import AppIds
from sidecar.store import Store
from sidecar.web.forms import form_token, read_form
from sidecar.web.params import check_every_app, is_number

ROWS: Final = 50
# Of what is over, below what fires.
RESOLVED_ROWS: Final = 10
# How many alerts are grouped, and how many rows a group has at most.
SHOWN: Final = 200
GROUP_ROWS: Final = 20


class Group(msgspec.Struct, frozen=True):
    """Alerts under one heading, which is empty without grouping; ``count`` is how many there are, shown or not.

    ``more`` is the address of the rest, if it has one.
    """

    name: str
    alerts: Sequence[Alert | Pending]
    count: int = 0
    more: str | None = None


def _views(site: Site) -> dict[str, Loader]:
    """``/alerts``, ``/alerts/{id}`` and ``/alerts/undelivered``."""
    store, reaction, clock = site.store, site.reaction, site.clock

    async def alerts(page_request: PageRequest) -> View:
        given = {name: page_request.get(name) for name in ("state", "kind", "q", "group")}
        known = (
            given["state"] in {"", *STATE_TEXTS}
            and given["kind"] in {"", *KIND_TEXTS}
            and given["group"] in GROUP_TEXTS
        )
        values: dict[str, Any] = {
            "tab": "alerts",
            "now_us": clock(),
            "given": given,
            "problem": None if known else _("There is no such state, kind or group."),
            "counts": await store.read(alert_log.counts, page_request.own_apps),
            "dead": [] if page_request.own_apps is not None else await store.read(message_rows.dead, SHOWN),
            "watches": await store.read(user_watch_rows.lasting, clock(), page_request.own_apps),
            "groups": [],
            "choosable": False,
            "older": None,
        }
        if not known:
            return View(name="alerts.html", status=400, values=values, is_live=False)
        cursor = page_request.get("cursor")
        wanted = AlertFilter(
            state=given["state"] or None,
            kind=given["kind"] or None,
            user_id=given["q"] or None,
            apps=page_request.own_apps,
            cursor=int(cursor) if is_number(cursor) else None,
            limit=SHOWN if given["group"] else ROWS,
        )
        if given["state"] or given["group"] or wanted.cursor is not None:
            listed, following = await _page(store, reaction, wanted, values["now_us"])
            values["groups"] = _grouped(listed, given) if listed else []
            values["older"] = _following(given, following)
        else:
            values["groups"] = await _firing_then_resolved(store, wanted, given)
        values["choosable"] = any(
            isinstance(one, Alert) and one.state == FIRING for group in values["groups"] for one in group.alerts
        )
        return View(name="alerts.html", values=values)

    async def alert(page_request: PageRequest) -> View:
        found = await _found(store, page_request.path.rsplit("/", 1)[-1], page_request.own_apps)
        values = await alert_values(store, found, page_request.own_apps, clock(), page_request.get("cursor"))
        return View(name="alert.html", values=values)

    async def undelivered(page_request: PageRequest) -> View:
        check_every_app(page_request.own_apps)
        found = await store.read(message_rows.dead, SHOWN)
        about = [one.alert_id for one in found if one.alert_id is not None]
        about_alert = {alert.id: alert for alert in await store.read(alert_log.several, about)}
        values = {"tab": "alerts", "now_us": clock(), "dead": found, "about_alert": about_alert}
        return View(name="undelivered.html", values=values, is_live=False)

    return {"/alerts": alerts, "/alerts/undelivered": undelivered, "/alerts/{id:[0-9]+}": alert}


def _routes(site: Site) -> list[web.AbstractRouteDef]:
    """The forms. Each redirects to the page, so that a reload repeats nothing."""
    store, reaction, clock = site.store, site.reaction, site.clock

    async def acknowledge(request: web.Request) -> web.Response:
        await read_form(request)
        found = await _found(store, request.match_info["id"], access.apps_of(request))
        who, own = access.who(request), access.apps_of(request)
        await store.write(audit.of(request).after(reaction.acknowledge), found.id, who, clock(), own)
        raise web.HTTPSeeOther(f"/alerts/{found.id}")

    async def silence_one(request: web.Request) -> web.Response:
        given = await read_form(request)
        found = await _found(store, request.match_info["id"], access.apps_of(request))
        matchers = about(found)
        if given.get("what") == "user":
            matchers = {name: value for name, value in matchers.items() if name in {"app_id", "user_id"}}
        try:
            await silence(request, store, reaction, clock(), about=matchers)
        except NotPossibleError as error:
            values = await alert_values(store, found, access.apps_of(request), clock()) | {"problem": error.text}
            view = View(name="alert.html", status=400, values=values)
            return whole(
                view, here=f"/alerts/{found.id}", stream=None, token=form_token(request), trouble=store.problem
            )
        raise web.HTTPSeeOther(f"/alerts/{found.id}")

    async def send_again(request: web.Request) -> web.Response:
        await read_form(request)
        check_every_app(access.apps_of(request))
        wanted = _id(request.match_info["id"])
        await store.write(audit.of(request).after(reaction.send_again), wanted, clock())
        raise web.HTTPSeeOther("/alerts/undelivered")

    return [
        routing.post("/alerts/undelivered/{id:[0-9]+}", send_again, Action.CHANNELS),
        routing.post("/alerts/{id:[0-9]+}/ack", acknowledge, Action.ACKNOWLEDGE),
        routing.post("/alerts/{id:[0-9]+}/silence", silence_one, Action.SILENCE),
    ]


PAGE: Final = Page(needed=Action.SEE_USERS, views=_views, routes=_routes)


async def silence(
    request: web.Request,
    store: Store,
    reaction: AlertReaction,
    now_us: int,
    *,
    about: Mapping[str, Any],
) -> None:
    """Creates the silence of a form; NotPossibleError says what is wrong with it."""
    given = await read_form(request)
    form = SilenceRequest(matchers=dict(about), reason=given.get("reason", ""), duration=given.get("duration", ""))
    wanted = silence_of(form, access.who(request), now_us, access.apps_of(request))
    await create(store, audit.of(request).after(reaction.silence, about=named), wanted)


async def alert_values(store: Store, found: Alert, own: AppIds, now_us: int, cursor: str = "") -> dict[str, Any]:
    """The values of an alert's page; of a storm with the users on its record whose ids come after ``cursor``."""
    users = await store.read(storm_rows.members, found, ROWS + 1, after=cursor) if is_storm(found) else []
    return {
        "tab": "alerts",
        "now_us": now_us,
        "alert": found,
        "advice": advice(found.kind, found.summary),
        "lines": await store.read(alert_log.lines, found.id),
        "notifications": await store.read(notifications.of_alert, found.id, own),
        "users": users[:ROWS],
        "more": "?" + urlencode({"cursor": users[ROWS - 1].user_id}) if len(users) > ROWS else None,
        "durations": DURATIONS,
        "problem": None,
    }


async def _found(store: Store, text: str, own: AppIds) -> Alert:
    """The alert with this id; HTTP 404 if there is none, or it belongs to another app."""
    found = await store.read(alert_log.one, _id(text))
    if found is None or not app_ids.has(own, found.subject.app_id):
        raise web.HTTPNotFound(text=_("There is no such alert."))
    return found


def about(alert: Alert) -> dict[str, Any]:
    """Matchers for this kind of alert about the same subject."""
    return {name: alert.matched[name] for name in ("kind", "app_id", "user_id", "part") if name in alert.matched}


def _id(text: str) -> int:
    if not is_number(text):
        raise web.HTTPNotFound
    return int(text)


async def _page(
    store: Store, reaction: AlertReaction, wanted: AlertFilter, now_us: int
) -> tuple[Sequence[Alert | Pending], int | None]:
    """The alerts of a filter, and the cursor of those that follow."""
    if wanted.state == pending.PENDING:
        waiting = await store.read(pending.page, reaction, wanted, now_us)
        return waiting.pending, waiting.next_cursor
    page = await store.read(alert_log.page, wanted)
    return page.alerts, page.next_cursor


async def _firing_then_resolved(store: Store, wanted: AlertFilter, given: Mapping[str, str]) -> list[Group]:
    """What fires, the most urgent first, and below it what was resolved last."""
    firing = await store.read(alert_log.most_urgent, msgspec.structs.replace(wanted, limit=ROWS + 1))
    every = _address({**given, "state": FIRING}) if len(firing) > ROWS else None
    over = await store.read(alert_log.page, msgspec.structs.replace(wanted, state=RESOLVED, limit=RESOLVED_ROWS))
    groups = [
        Group("", firing[:ROWS], more=every),
        Group(_("Resolved"), over.alerts, more=_following({**given, "state": RESOLVED}, over.next_cursor)),
    ]
    return [group for group in groups if group.alerts]


def _address(given: Mapping[str, str], cursor: int | None = None) -> str:
    """The list with these filters, from the beginning or ``cursor`` on."""
    kept = {name: value for name, value in given.items() if value}
    return "/alerts?" + urlencode(kept | ({} if cursor is None else {"cursor": str(cursor)}))


def _following(given: Mapping[str, str], cursor: int | None) -> str | None:
    """The page that follows, if one does."""
    return None if cursor is None else _address(given, cursor)


def _grouped(alerts: Sequence[Alert | Pending], given: Mapping[str, str]) -> list[Group]:
    """The largest group first; within a group what fires first, and then the newest."""
    by = given["group"]
    if not by:
        return [Group("", alerts)]
    groups: dict[str, list[Alert | Pending]] = {}
    for alert in sorted(alerts, key=_is_over):
        groups.setdefault(_group(alert, by), []).append(alert)
    return [
        Group(name, own[:GROUP_ROWS], count=len(own), more=_rest(given, own) if len(own) > GROUP_ROWS else None)
        for name, own in sorted(groups.items(), key=lambda one: -len(one[1]))
    ]


def _is_over(alert: Alert | Pending) -> bool:
    return isinstance(alert, Alert) and alert.state == RESOLVED


def _rest(given: Mapping[str, str], alerts: Sequence[Alert | Pending]) -> str:
    """The address of a list that has all of a group: those of its kind or user, not grouped."""
    by, first = given["group"], alerts[0]
    own = {"kind": first.kind} if by in {"kind", "cause"} else {}
    if by == "user" and first.subject.user_id is not None:
        own = {"q": first.subject.user_id}
    return _address({**given, "group": ""} | own)


def _group(alert: Alert | Pending, by: str) -> str:
    if by == "kind":
        return _(KIND_TEXTS[alert.kind])
    if by == "cause":
        # A release or a platform is behind most alerts that come together.
        shared = [alert.labels[name] for name in ("platform", "app_version") if name in alert.labels]
        return " · ".join([_(KIND_TEXTS[alert.kind]), *shared])
    user_id, app_id = alert.subject.user_id, alert.subject.app_id
    if by == "user" and user_id is not None:
        return user_id
    return _("neither user nor app") if by == "user" or app_id is None else apps().in_full(app_id)
