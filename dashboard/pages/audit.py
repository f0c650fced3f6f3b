"""The audit log, with filters, and its exports."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from aiohttp import web

from dashboard.export import ROWS as EXPORTED_AT_ONCE
from dashboard.export import streamed
from dashboard.page import sentence
from dashboard.page_request import Loader, PageRequest, View
from dashboard.parts.export_formats import FORMATS, ExportFormat
from dashboard.site import Page, Site
from dashboard.text.audit_details import detail_words
from dashboard.text.audit_texts import ACTION_TEXTS
from dashboard.text.times import from_text
from dashboard.text.translate import translate
from sidecar.access import routing
from sidecar.access.policy import Action
from sidecar.store.access import audit_log, audit_reads
from sidecar.store.access.audit_reads import AuditFilter
from sidecar.web import audit_query
from sidecar.web.params import check_every_app
from sidecar.web.problem import Problem

ROWS: Final = 100
# Those that need no columns of one type.
_FORMATS: Final = tuple(one for one in FORMATS if one.ending in {"csv", "json"})


def _views(site: Site) -> dict[str, Loader]:
    """``/audit``."""
    store, clock = site.store, site.clock

    async def audit(page_request: PageRequest) -> View:
        check_every_app(page_request.own_apps)
        given = {name: page_request.get(name) for name in audit_query.FIELDS}
        kept = {name: value for name, value in given.items() if value}
        values: dict[str, Any] = {
            "tab": "settings",
            "now_us": clock(),
            "given": given,
            "actions": ACTION_TEXTS,
            "detail_words": detail_words,
            "formats": _FORMATS,
            "export": urlencode(kept),
            "head": await store.read(audit_log.head),
            "rows": [],
            "further": None,
            "problem": None,
        }
        try:
            wanted = _wanted(page_request)
        except Problem as error:
            values["problem"] = sentence(translate(error.text))
            return View(name="audit.html", status=400, values=values, is_live=False)
        page = await store.read(audit_reads.page, wanted)
        values["rows"] = page.rows
        if page.next_before is not None:
            values["further"] = "/audit?" + urlencode(kept | {"cursor": str(page.next_before)})
        return View(name="audit.html", values=values, is_live=False)

    return {"/audit": audit}


def _routes(site: Site) -> list[web.AbstractRouteDef]:
    """``/audit.csv`` and ``/audit.json``, with the filters of the page."""

    def export(format_: ExportFormat) -> web.AbstractRouteDef:
        async def answer(request: web.Request) -> web.StreamResponse:
            page_request = PageRequest.of(request, site.server)
            check_every_app(page_request.own_apps)
            wanted = msgspec.structs.replace(_wanted(page_request), limit=EXPORTED_AT_ONCE)
            return await streamed(request, format_, "entries", f"audit.{format_.ending}", _pages(site, wanted))

        return routing.get(f"/audit.{format_.ending}", answer, Action.AUDIT)

    return [export(format_) for format_ in _FORMATS]


PAGE: Final = Page(needed=Action.AUDIT, views=_views, routes=_routes)


def _wanted(page_request: PageRequest) -> AuditFilter:
    return audit_query.wanted(page_request.get, limit=ROWS, moment_us=from_text)


async def _pages(site: Site, wanted: AuditFilter) -> AsyncIterator[list[dict[str, Any]]]:
    before = wanted.before
    while True:
        page = await site.store.read(audit_reads.page, msgspec.structs.replace(wanted, before=before))
        if page.rows:
            yield [audit_query.row_view(row) for row in page.rows]
        if (before := page.next_before) is None:
            return
