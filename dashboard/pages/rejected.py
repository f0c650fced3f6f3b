"""Recently rejected events, each with its reason."""

from __future__ import annotations

from typing import Final

from dashboard.page_request import Loader, PageRequest, View
from dashboard.site import Page, Site
from sidecar.access.policy import Action
from sidecar.store.log import rejected_events

SHOWN: Final = 100


def _views(site: Site) -> dict[str, Loader]:
    """``/rejected``."""
    store, clock = site.store, site.clock

    async def rejected(page_request: PageRequest) -> View:
        values = {
            "tab": "overview",
            "now_us": clock(),
            "rejected": await store.read(rejected_events.newest, SHOWN, page_request.own_apps),
        }
        return View(name="rejected.html", values=values, is_live=False)

    return {"/rejected": rejected}


PAGE: Final = Page(needed=Action.SEE_USERS, views=_views)
