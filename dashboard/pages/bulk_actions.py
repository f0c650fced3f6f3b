"""Bulk actions on alerts: acknowledges or silences the selected ones, after a preview."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa
from aiohttp import web

from dashboard.page import render
from dashboard.pages.alerts import SHOWN, about, silence
from dashboard.site import Page, Site
from dashboard.text.alert_texts import DURATIONS
from sidecar import access
from sidecar.access import audit, routing
from sidecar.access.policy import Action
from sidecar.alerting.silence_form import NotPossibleError
from sidecar.alerting.tables import alert_log
from sidecar.domain import app_ids
from sidecar.domain.alerts.alert import FIRING, Alert
from sidecar.domain.app_ids import AppIds
from sidecar.domain.texts import Text
from sidecar.store.access.audit_values import AuditAction
from sidecar.store.values import Publishing
from sidecar.web.forms import form_token, read_form
from sidecar.web.params import is_number


def _routes(site: Site) -> list[web.AbstractRouteDef]:
    """``/alerts/several``: GET previews the action, POST runs it."""
    store, reaction, clock = site.store, site.reaction, site.clock

    async def shown(
        request: web.Request, chosen: Sequence[Alert], do: str, problem: Text | None = None
    ) -> web.Response:
        return render(
            "bulk_actions.html",
            400 if problem else 200,
            tab="alerts",
            now_us=clock(),
            here="/alerts",
            alerts=chosen,
            do="silence" if do == "silence" else "ack",
            problem=problem,
            durations=DURATIONS,
            form_token=form_token(request),
        )

    async def chosen_of(texts: Sequence[Any], own: AppIds) -> list[Alert]:
        """The selected alerts that still fire and belong to the reader's apps."""
        ids = [int(text) for text in texts if isinstance(text, str) and is_number(text)][:SHOWN]
        found = await store.read(alert_log.several, ids)
        return [one for one in found if one.state == FIRING and app_ids.has(own, one.subject.app_id)]

    async def preview(request: web.Request) -> web.Response:
        if request.query.get("do") == "silence":
            access.check_may(access.current(), Action.SILENCE)
        chosen = await chosen_of(request.query.getall("alert", []), access.apps_of(request))
        return await shown(request, chosen, request.query.get("do", ""))

    async def do(request: web.Request) -> web.Response:
        given = await read_form(request)
        chosen = await chosen_of((await request.post()).getall("alert", []), access.apps_of(request))
        who, own, now_us = access.who(request), access.apps_of(request), clock()
        if given.get("do") == "silence":
            access.check_may(access.current(), Action.SILENCE)
            audit.of(request).action = AuditAction.SILENCE_MADE
            try:
                for one in chosen:
                    await silence(request, store, reaction, now_us, about=about(one))
            except NotPossibleError as error:
                return await shown(request, chosen, "silence", error.text)
        else:
            ids = [one.id for one in chosen]
            trail = audit.of(request)

            def acknowledge(connection: sa.Connection) -> Publishing[list[Alert | None]]:
                each = ((one, trail.after(reaction.acknowledge, about=f"alert {one}")) for one in ids)
                return Publishing.of_all([work(connection, one, who, now_us, own) for one, work in each])

            await store.write(acknowledge)
        raise web.HTTPSeeOther("/alerts?state=firing")

    return [
        routing.get("/alerts/several", preview, Action.ACKNOWLEDGE),
        routing.post("/alerts/several", do, Action.ACKNOWLEDGE),
    ]


PAGE: Final = Page(routes=_routes)
