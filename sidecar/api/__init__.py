"""Machine HTTP: what apps send to and programs read from."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from sidecar.alerting import Engine
from sidecar.api import alerts, callbacks, chatops, events, health, stream, users
from sidecar.api.guard import app_of, is_own_origin, who
from sidecar.api.health import MetricsText
from sidecar.api.json import event_view, user_view
from sidecar.api.middleware import middlewares
from sidecar.clock import Clock
from sidecar.settings import Settings
from sidecar.store import Store

__all__ = [
    "SERVER_OPTIONS",
    "MetricsText",
    "app_of",
    "event_view",
    "is_own_origin",
    "middlewares",
    "routes",
    "user_view",
    "who",
]

# A user id has up to 10 KiB, three times that once it is percent-encoded into a path.
SERVER_OPTIONS: Final[dict[str, Any]] = {
    "max_line_size": 65_536,
    "max_field_size": 65_536,
    "auto_decompress": False,  # sidecar.ingest.body inflates within a limit
}


def routes(
    store: Store, engine: Engine, settings: Settings, clock: Clock, *, metrics_text: MetricsText
) -> list[web.AbstractRouteDef]:
    """Every call of the API."""
    return [
        *events.routes(store, settings, clock),
        *callbacks.routes(store, settings, clock),
        *users.routes(store),
        *alerts.routes(store, engine, clock),
        *chatops.routes(store, engine, settings, clock),
        *stream.routes(store, engine),
        *health.routes(store, metrics_text),
    ]
