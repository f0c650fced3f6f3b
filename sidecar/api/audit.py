"""``GET /v1/audit``: the audit log, newest first, and its head."""

from __future__ import annotations

from aiohttp import web

from sidecar import access
from sidecar.access import routing
from sidecar.access.policy import Action
from sidecar.api import json_views
from sidecar.domain import rfc3339
from sidecar.store import Store
from sidecar.store.access import audit_log, audit_reads
from sidecar.web import audit_query
from sidecar.web.params import check_every_app, check_query, limit_of


def routes(store: Store) -> list[web.AbstractRouteDef]:
    """The one call, for those who may see every app."""

    async def audit(request: web.Request) -> web.Response:
        check_query(
            request,
            *("actor", "action", "app_id", "user_id", "address", "request_id", "from", "until", "cursor", "limit"),
        )
        check_every_app(access.apps_of(request))
        wanted = audit_query.wanted(request.query.get, limit=limit_of(request), moment_us=rfc3339.microseconds)
        page = await store.read(audit_reads.page, wanted)
        head = await store.read(audit_log.head)
        return json_views.response(
            {
                "entries": [audit_query.row_view(row) for row in page.rows],
                "next_cursor": None if page.next_before is None else str(page.next_before),
                "head": audit_query.head_view(head),
            }
        )

    return [routing.get("/v1/audit", audit, Action.AUDIT)]
