"""OpenTelemetry: spans of events, and Zimwatch's own traces and metrics."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from sidecar.settings import Settings, duration_us
from sidecar.store import Store
from sidecar.store.log import settled_events
from sidecar.telemetry.otlp.otlp_settings import exporting, problems, refuse_unusable
from sidecar.telemetry.otlp.resource import resource_from
from sidecar.telemetry.relay_parent import LOGS_CURSOR, SPANS_CURSOR, Episodes, RelayParent
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
    wanted = settings.telemetry
    return Episodes(wanted.duration_spans, wanted.log_events, duration_us(settings.export.max_age))


async def begin_episodes(store: Store, settings: Settings, *, exports: bool) -> None:
    """Begins the cursors of what is exported at the newest event, unless they have begun; ends the others."""
    wanted = settings.telemetry

    def begin(connection: sa.Connection) -> None:
        for cursor, kinds in ((SPANS_CURSOR, wanted.duration_spans), (LOGS_CURSOR, wanted.log_events)):
            settled_events.begin(connection, cursor, is_on=exports and bool(kinds))

    await store.write(begin)
