"""``/v1/alerts``: lists alerts, shows one with its history, acknowledges it."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from sidecar import access
from sidecar.access import audit, routing
from sidecar.access.policy import Action
from sidecar.alerting import AlertReaction, pending
from sidecar.alerting.tables import alert_log, notifications
from sidecar.alerting.tables.alert_values import AlertFilter
from sidecar.api import json_views
from sidecar.clock import Clock
from sidecar.domain import app_ids
from sidecar.domain.alerts.alert import SEVERITIES, Alert
from sidecar.domain.alerts.rules import KINDS
from sidecar.store import Store
from sidecar.web import request_body
from sidecar.web.params import app_filter, check_query, id_in_path, limit_of, number, one_of
from sidecar.web.problem import Problem

STATES = ("pending", "firing", "resolved", "acknowledged")


class Acknowledgement(msgspec.Struct):
    """The body of an acknowledgement, which may be left out."""

    author: access.Name | None = None


def routes(store: Store, reaction: AlertReaction, clock: Clock) -> list[web.AbstractRouteDef]:
    """The calls about alerts."""

    def view(alert: Alert) -> dict[str, Any]:
        return json_views.alert_view(alert, reaction.policy.base)

    async def alerts(request: web.Request) -> web.Response:
        check_query(request, "state", "kind", "severity", "app_id", "user_id", "cursor", "limit")
        query = request.query
        chosen = {
            name: one_of(query.get(name), name, known)
            for name, known in (("state", STATES), ("kind", tuple(KINDS)), ("severity", SEVERITIES))
        }
        wanted = AlertFilter(
            apps=app_filter(request),
            user_id=query.get("user_id") or None,
            cursor=number(query.get("cursor"), "cursor"),
            limit=limit_of(request),
            **chosen,
        )
        if wanted.state == pending.PENDING:
            waiting = await store.read(pending.page, reaction, wanted, clock())
            return _page([json_views.pending_view(one) for one in waiting.pending], waiting.next_cursor)
        page = await store.read(alert_log.page, wanted)
        return _page([view(alert) for alert in page.alerts], page.next_cursor)

    async def alert(request: web.Request) -> web.Response:
        found = await store.read(alert_log.one, id_in_path(request))
        if found is None or not app_ids.has(access.apps_of(request), found.subject.app_id):
            raise Problem(404, "no such alert")
        lines = await store.read(alert_log.lines, found.id)
        sent = await store.read(notifications.of_alert, found.id, access.apps_of(request))
        return json_views.response(view(found) | json_views.history_view(lines, sent))

    async def acknowledge(request: web.Request) -> web.Response:
        raw = await request_body.read(request)
        given = request_body.decode(raw, Acknowledgement) if raw.strip() else Acknowledgement()
        who, own, wanted = access.who(request, given.author), access.apps_of(request), id_in_path(request)
        recorded = audit.of(request).after(reaction.acknowledge)
        found = await store.write(recorded, wanted, who, clock(), own)
        if found is None:
            raise Problem(404, "no such alert")
        return json_views.response(view(found))

    return [
        routing.get("/v1/alerts", alerts, Action.SEE_USERS),
        routing.get("/v1/alerts/{id:[0-9]+}", alert, Action.SEE_USERS),
        routing.post("/v1/alerts/{id:[0-9]+}/ack", acknowledge, Action.ACKNOWLEDGE),
    ]


def _page(views: list[dict[str, Any]], next_cursor: int | None) -> web.Response:
    return json_views.response({"alerts": views, "next_cursor": None if next_cursor is None else str(next_cursor)})
