"""Machine HTTP: what apps send to and programs read from."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from sidecar.api import callbacks, events, health, stream, users
from sidecar.api.guard import app_of
from sidecar.api.health import MetricsText
from sidecar.api.json import event_view, user_view
from sidecar.api.middleware import middlewares
from sidecar.clock import Clock
from sidecar.settings import Settings
from sidecar.store import Store

__all__ = ["SERVER_OPTIONS", "MetricsText", "app_of", "event_view", "middlewares", "routes", "user_view"]

# A user id has up to 10 KiB, three times that once it is percent-encoded into a path.
SERVER_OPTIONS: Final[dict[str, Any]] = {
    "max_line_size": 65_536,
    "max_field_size": 65_536,
    "auto_decompress": False,  # sidecar.ingest.body inflates within a limit
}


def routes(store: Store, settings: Settings, clock: Clock, *, metrics_text: MetricsText) -> list[web.AbstractRouteDef]:
    """Every call of the API."""
    return [
        *events.routes(store, settings, clock),
        *callbacks.routes(store, settings, clock),
        *users.routes(store),
        *stream.routes(store),
        *health.routes(store, metrics_text),
    ]
