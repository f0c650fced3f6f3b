"""OpenTelemetry: spans of events, and Zimwatch's own traces and metrics."""

from __future__ import annotations

from collections.abc import Mapping

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from sidecar.telemetry.otlp.otlp_settings import exporting, problems, refuse_unusable
from sidecar.telemetry.otlp.resource import resource_from
from sidecar.telemetry.relay_parent import RelayParent
from sidecar.telemetry.self_metrics import Metrics, start_metrics
from sidecar.telemetry.store_outbox import StoreOutbox

__all__ = [
    "Metrics",
    "RelayParent",
    "StoreOutbox",
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
