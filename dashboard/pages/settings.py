"""The settings and their sources, storage, receivers, and the code to paste into an app."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from aiohttp import web

from dashboard.live import whole
from dashboard.page_request import Loader, PageRequest, View
from dashboard.site import InForce, Page, Site
from dashboard.text.language import gettext as _
from sidecar import access
from sidecar.access import routing
from sidecar.access.policy import Action
from sidecar.access.proxies import public_request
from sidecar.alerting.tables import message_rows
from sidecar.domain import app_ids
from sidecar.domain.app_ids import AppIds
from sidecar.domain.edges import Edge
from sidecar.domain.texts import Text
from sidecar.domain.units import SECOND_US
from sidecar.http_client import DeliveryError
from sidecar.store import Store
from sidecar.store.access import tokens
from sidecar.store.database import nodes as nodes_of
from sidecar.store.database import size as size_of
from sidecar.store.log import forwarding
from sidecar.store.users import old_reporters
from sidecar.web.forms import form_token, read_form
from sidecar.web.params import check_every_app

# As many are known: a list of all would be too long to read.
_EDGES_SHOWN: Final = 50
_UNITS: Final = (("GB", 10**9), ("MB", 10**6), ("kB", 10**3))


class Tried(msgspec.Struct, frozen=True):
    """The result of a test message; ``error`` is None if it was delivered."""

    receiver: str
    error: Text | None
    proof: Mapping[str, Any]


def _views(site: Site) -> dict[str, Loader]:
    """``/settings``."""
    store, clock, in_force = site.store, site.clock, site.in_force

    async def settings(page_request: PageRequest) -> View:
        return await _view(store, clock(), in_force, own_apps=page_request.own_apps, address=page_request.site)

    return {"/settings": settings}


def _routes(site: Site) -> list[web.AbstractRouteDef]:
    """``/settings/try/{receiver}``."""
    store, clock, in_force = site.store, site.clock, site.in_force

    async def attempt(request: web.Request) -> web.Response:
        await read_form(request)
        check_every_app(access.apps_of(request))
        name, address = request.match_info["receiver"], public_request(request, site.server).url
        try:
            tried = Tried(name, None, await in_force.try_receiver(name, address))
        except KeyError:
            raise web.HTTPNotFound(text=_("There is no such receiver in the settings.")) from None
        except DeliveryError as error:
            tried = Tried(name, error.text, {})
        view = await _view(store, clock(), in_force, own_apps=None, address=address, tried=tried)
        return whole(view, here="/settings", stream=None, token=form_token(request), trouble=store.problem)

    return [routing.post("/settings/try/{receiver}", attempt, Action.CHANNELS)]


PAGE: Final = Page(needed=Action.SETTINGS, views=_views, routes=_routes)


async def _view(
    store: Store, now_us: int, in_force: InForce, *, own_apps: AppIds, address: str, tried: Tried | None = None
) -> View:
    after_s = store.heartbeat_after_s
    kept = [token for token in await store.read(tokens.listed, now_us) if app_ids.has_all(own_apps, token.apps)]
    # Those who are limited to some apps see neither other apps nor the machine.
    sees_all = own_apps is None
    nodes = await store.read(nodes_of, store.duties.wanted) if sees_all else []
    held = {duty for node in nodes for duty in node.duties}
    return View(
        name="settings.html",
        is_live=False,
        values={
            "tab": "settings",
            "heartbeat_us": after_s * SECOND_US,
            "lease_us": store.now().leases.lasts_us(sends_heartbeats=True, heartbeat_after_s=after_s),
            "now_us": now_us,
            "address": address,
            "in_force": in_force.shown() if sees_all else [],
            "receivers": in_force.receivers() if sees_all else [],
            "failing": await store.read(message_rows.failing_receivers) if sees_all else {},
            "next_attempts": await store.read(message_rows.next_attempts) if sees_all else {},
            "storage": await store.read(size_of, now_us) if sees_all else None,
            "nodes": nodes,
            "unheld": [duty for duty in store.duties.wanted if duty not in held],
            "backup": in_force.last_backup() if sees_all else None,
            "edges": await _edges(store) if sees_all else [],
            "tokens": {token.id: token.name or f"#{token.id}" for token in kept},
            "has_tokens": any(token.state(now_us) == "good" for token in kept),
            "size": size,
            "old_reporters": await store.read(old_reporters.since_yesterday, now_us, own_apps),
            "tried": tried,
        },
    )


class ShownEdge(msgspec.Struct, frozen=True):
    """An edge, and for how long something of it may be missing; ``is_silent``: it does not report."""

    edge: Edge
    behind_us: int
    is_silent: bool


async def _edges(store: Store) -> list[ShownEdge]:
    """Those that are farthest behind first."""
    time = store.now().time
    found = [
        ShownEdge(one, one.behind_now_us(time), one.silent_us(time) > 0) for one in await store.read(forwarding.edges)
    ]
    return sorted(found, key=lambda one: (-one.behind_us, one.edge.name))[:_EDGES_SHOWN]


def size(count: float) -> str:
    """Bytes as ``1.5 MB``."""
    for unit, worth in _UNITS:
        if count >= worth:
            return f"{count / worth:.1f} {unit}"
    return f"{count:.0f} B"
