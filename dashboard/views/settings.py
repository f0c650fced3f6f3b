"""What is in force and where each value came from, storage, tokens, receivers, and the lines to paste into an app."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from aiohttp import web

from dashboard.asked import Asked, Loader, View
from dashboard.language import gettext as _
from dashboard.live import whole
from dashboard.visitor import Visitor, form_token
from sidecar.alerting.outgoing import DeliveryError
from sidecar.clock import Clock
from sidecar.store import Store
from sidecar.store.records import Token

Shown = Sequence[tuple[str, str, str]]
"""Key, value and source of each setting, fit to be shown."""
Try = Callable[[str, str], Awaitable[Mapping[str, Any]]]
"""Sends a test message to the receiver of this name, with links that begin with this address; what it answered."""

_UNITS: Final = (("GB", 10**9), ("MB", 10**6), ("kB", 10**3))


class InForce(msgspec.Struct, frozen=True):
    """The settings, the receivers by name and type, and how to try one."""

    shown: Shown
    receivers: Sequence[tuple[str, str]]
    try_receiver: Try


class Tried(msgspec.Struct, frozen=True):
    """What became of a test message: ``error`` is None where it was taken."""

    receiver: str
    error: str | None
    proof: Mapping[str, Any]


def pages(store: Store, clock: Clock, in_force: InForce) -> dict[str, Loader]:
    """``/settings``."""

    async def settings(asked: Asked) -> View:
        return await _view(store, clock(), in_force, own_app=asked.own_app, address=asked.address)

    return {"/settings": settings}


def routes(store: Store, clock: Clock, in_force: InForce, visitor: Visitor) -> list[web.AbstractRouteDef]:
    """``/settings/try/{receiver}``."""

    async def attempt(request: web.Request) -> web.Response:
        await visitor.form(request)
        if visitor.app_of(request) is not None:
            raise web.HTTPForbidden(text=_("The token is bound to one app."))
        name, address = request.match_info["receiver"], f"{request.scheme}://{request.host}"
        try:
            tried = Tried(name, None, await in_force.try_receiver(name, address))
        except KeyError:
            raise web.HTTPNotFound(text=_("There is no such receiver in the settings.")) from None
        except DeliveryError as error:
            tried = Tried(name, str(error), {})
        view = await _view(store, clock(), in_force, own_app=None, address=address, tried=tried)
        return whole(view, here="/settings", stream=None, token=form_token(request), trouble=store.problem)

    return [web.post("/settings/try/{receiver}", attempt)]


async def _view(
    store: Store, now_us: int, in_force: InForce, *, own_app: int | None, address: str, tried: Tried | None = None
) -> View:
    tokens = [token for token in await store.tokens() if own_app in {None, token.app_id}]
    # Whoever is bound to one app sees nothing of the others and of the machine.
    sees_all = own_app is None
    return View(
        name="settings.html",
        is_live=False,
        values={
            "tab": "settings",
            "now_us": now_us,
            "address": address,
            "in_force": in_force.shown if sees_all else [],
            "receivers": in_force.receivers if sees_all else [],
            "storage": await store.storage() if sees_all else None,
            "tokens": [(token, state_of(token, now_us)) for token in tokens],
            "size": size,
            "tried": tried,
        },
    )


def state_of(token: Token, now_us: int) -> str:
    """``good``, ``expired`` or ``revoked``."""
    if token.revoked_at_us is not None:
        return "revoked"
    return "expired" if token.expires_at_us is not None and token.expires_at_us <= now_us else "good"


def size(count: float) -> str:
    """Bytes as ``1.5 MB``."""
    for unit, worth in _UNITS:
        if count >= worth:
            return f"{count / worth:.1f} {unit}"
    return f"{count:.0f} B"
