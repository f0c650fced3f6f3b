"""The HTTP API, for apps that send events and programs that read."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aiohttp import web

from sidecar.alerting import AlertReaction
from sidecar.api import (
    admin,
    alerts,
    audit,
    callbacks,
    chatops,
    events,
    health,
    package_files,
    rejected,
    silences,
    stream,
    tokens,
    undelivered,
    user_data,
    users,
    watches,
)
from sidecar.api.health import MetricsText
from sidecar.api.json_views import event_view, user_view
from sidecar.clock import Clock
from sidecar.domain.texts import Text
from sidecar.forwarding import Status as ForwardingStatus
from sidecar.http_client import HttpClient
from sidecar.reload import Reload
from sidecar.settings import Settings
from sidecar.store import Store
from sidecar.web.changes import Hub

__all__ = [
    "MetricsText",
    "event_view",
    "routes",
    "user_view",
]


def routes(
    store: Store,
    reaction: AlertReaction,
    settings: Settings,
    clock: Clock,
    *,
    hub: Hub,
    metrics_text: MetricsText,
    problems: Callable[[], Sequence[Text]] = list,
    is_prepared: Callable[[], bool] = lambda: True,
    forwarding: Callable[[], ForwardingStatus | None] = lambda: None,
    http: Callable[[Sequence[str]], HttpClient] = HttpClient,
    reload: Reload | None = None,
) -> list[web.AbstractRouteDef]:
    """Every call of the API. ``problems`` lists what keeps this process from working, beside the store.

    While it is not ``is_prepared`` it works, but pages are slow.
    """
    return [
        *events.routes(store, settings, clock, http),
        *callbacks.routes(store, settings, clock),
        *rejected.routes(store),
        *audit.routes(store),
        *users.routes(store, clock),
        *user_data.routes(store, clock),
        *alerts.routes(store, reaction, clock),
        *undelivered.routes(store, reaction, clock),
        *silences.routes(store, reaction, clock),
        *watches.routes(store, reaction, clock),
        *chatops.routes(store, reaction, settings, clock),
        *tokens.routes(store, clock),
        *stream.routes(store, reaction, hub),
        *health.routes(store, clock, metrics_text, problems=problems, is_prepared=is_prepared, forwarding=forwarding),
        *package_files.routes(settings),
        *admin.routes(reload),
    ]
