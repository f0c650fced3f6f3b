"""What is in force and where each value came from, storage, tokens, and the lines to paste into an app."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dashboard.asked import Asked, Loader, View
from sidecar.clock import Clock
from sidecar.store import Store
from sidecar.store.records import Token

Shown = Sequence[tuple[str, str, str]]
"""Key, value and source of each setting, fit to be shown."""

_UNITS: Final = (("GB", 10**9), ("MB", 10**6), ("kB", 10**3))


def pages(store: Store, clock: Clock, shown: Shown) -> dict[str, Loader]:
    """``/settings``."""

    async def settings(asked: Asked) -> View:
        now_us = clock()
        tokens = [token for token in await store.tokens() if asked.own_app in {None, token.app_id}]
        return View(
            name="settings.html",
            is_live=False,
            values={
                "tab": "settings",
                "now_us": now_us,
                "address": asked.address,
                # Whoever is bound to one app sees nothing of the others and of the machine.
                "in_force": shown if asked.own_app is None else [],
                "storage": await store.storage() if asked.own_app is None else None,
                "tokens": [(token, state_of(token, now_us)) for token in tokens],
                "size": size,
            },
        )

    return {"/settings": settings}


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
