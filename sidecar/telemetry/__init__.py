"""OpenTelemetry: spans of events, and Zimwatch's own traces and metrics."""

from __future__ import annotations

from collections.abc import Mapping

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from sidecar.settings import Settings, duration_us
from sidecar.store import Store
from sidecar.store.log import settled_events
from sidecar.telemetry.otlp.otlp_settings import exporting, problems, refuse_unusable
from sidecar.telemetry.otlp.resource import resource_from
from sidecar.telemetry.relay_parent import EPISODES_CURSOR, Episodes, RelayParent
from sidecar.telemetry.self_metrics import Metrics, start_metrics
from sidecar.telemetry.store_outbox import StoreOutbox

__all__ = [
    "Metrics",
    "RelayParent",
    "StoreOutbox",
    "begin_episodes",
    "episodes_of",
    "exporting",
    "problems",
    "refuse_unusable",
    "resource_from",
    "start",
]


def start(environ: Mapping[str, str]) -> None:
    """Sets the global providers of traces and metrics. Idempotent."""
    resource = resource_from(environ)
    start_metrics(resource)
    if not isinstance(trace.get_tracer_provider(), TracerProvider):
        trace.set_tracer_provider(TracerProvider(resource=resource))


def episodes_of(settings: Settings) -> Episodes:
    """What of episodes is exported, by the settings."""
    return Episodes(settings.telemetry.duration_spans, duration_us(settings.export.max_age))


async def begin_episodes(store: Store, settings: Settings, *, exports: bool) -> None:
    """Begins the cursor of episodes at the newest event, unless it has begun; ends it where none are exported."""
    is_on = exports and bool(settings.telemetry.duration_spans)
    await store.write(lambda connection: settled_events.begin(connection, EPISODES_CURSOR, is_on=is_on))
