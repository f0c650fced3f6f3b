"""``/v1/users``, one user, its events, and ``/v1/summary``."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from sidecar import access
from sidecar.access import routing, user_path
from sidecar.access.policy import Action
from sidecar.alerting.tables import alert_log
from sidecar.alerting.user_life import user_findings
from sidecar.api import json_views
from sidecar.clock import Clock
from sidecar.domain import rfc3339
from sidecar.domain.status import STATUSES
from sidecar.store import Store
from sidecar.store.users import user_list, user_reads
from sidecar.store.users.user_orders import is_cursor
from sidecar.store.users.user_query import UserQuery
from sidecar.store.values import UserDetail
from sidecar.web.happened import happened
from sidecar.web.params import app_filter, check_app, check_query, flag, limit_of, number, one_of, user_in_path
from sidecar.web.problem import Problem

_FILTERS: Final = (
    *("status", "q", "app_id", "platform", "sdk_version", "app_version", "reason", "unconfirmed", "disagreement"),
    *("happened", "within", "from", "until"),
)


def routes(store: Store, clock: Clock) -> list[web.AbstractRouteDef]:
    """The read calls."""

    async def users(request: web.Request) -> web.Response:
        check_query(request, *_FILTERS, "cursor", "limit")
        query = request.query
        status: Any = one_of(query.get("status"), "status", STATUSES)
        device = (query.get(name) or None for name in ("platform", "sdk_version", "app_version"))
        what = happened(query.get, clock(), moment_us=rfc3339.microseconds)
        cursor = query.get("cursor") or None
        if cursor is not None and not is_cursor(cursor, of_happened=what is not None):
            raise Problem(400, "cursor must be next_cursor of a page of the same query")
        wanted = UserQuery(
            status=status,
            q=query.get("q") or None,
            apps=app_filter(request),
            happened=what,
            reason=query.get("reason") or None,
            unconfirmed=flag(query.get("unconfirmed"), "unconfirmed"),
            disagreement=flag(query.get("disagreement"), "disagreement"),
            cursor=cursor,
            limit=limit_of(request),
        ).on_device(*device)
        page = await store.read(user_list.list_users, wanted, store.now())
        total = await store.read(user_list.count_users, wanted) or user_list.total_of(page, wanted)
        return json_views.response(json_views.users_view(page, total))

    async def found_in_path(request: web.Request) -> UserDetail:
        app_id, user_id = user_in_path(request)
        check_app(access.apps_of(request), app_id)
        detail = await store.read(user_reads.user, app_id, user_id, store.now())
        if detail is None:
            raise Problem(404, "unknown user: never seen, so not logged in")
        return detail

    async def user(request: web.Request) -> web.Response:
        detail = await found_in_path(request)
        findings = await store.read(user_findings, detail, clock())
        return json_views.response(json_views.detail_view(detail, findings))

    async def events(request: web.Request) -> web.Response:
        check_query(request, "before", "limit")
        of = (await found_in_path(request)).user
        before, limit = number(request.query.get("before"), "before"), limit_of(request)
        found = await store.read(user_reads.timeline, of.app_id, of.user_id, before=before, limit=limit)
        more = len(found) == limit
        return json_views.response(
            {
                "events": [json_views.event_view(stored) for stored in found],
                "next_before": str(found[-1].position) if more else None,
            }
        )

    async def summary(request: web.Request) -> web.Response:
        check_query(request)
        own = access.apps_of(request)
        counts = await store.read(user_reads.summary, own)
        firing = await store.read(alert_log.counts, own)
        return json_views.response(json_views.summary_view(counts, firing))

    return [
        routing.get("/v1/users", users, Action.SEE_USERS),
        routing.get(user_path.USER, user, Action.SEE_USERS),
        routing.get(user_path.EVENTS, events, Action.SEE_USERS),
        routing.get("/v1/summary", summary, Action.SEE_COUNTS),
    ]
