"""The catalogue of findings: the evidence of each kind, when it holds, what to say, and what to change in the app."""

from __future__ import annotations

from dashboard.page_request import Loader, PageRequest, View
from dashboard.site import Page, Site
from sidecar.access.policy import Action
from sidecar.domain.findings import CHECKS


def _views(_site: Site) -> dict[str, Loader]:
    """``/findings``."""

    async def findings(_page_request: PageRequest) -> View:
        return View(name="findings.html", values={"tab": "users", "checks": CHECKS}, is_live=False)

    return {"/findings": findings}


PAGE = Page(needed=Action.SEE_COUNTS, views=_views)
