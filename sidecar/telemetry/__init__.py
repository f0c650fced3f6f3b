"""All OpenTelemetry: the spans of events, and the traces and metrics of Zimwatch itself."""

from __future__ import annotations

from collections.abc import Mapping

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from sidecar.telemetry.metrics import Metrics, start_metrics
from sidecar.telemetry.relay_process import RelayProcess
from sidecar.telemetry.resource import resource_from
from sidecar.telemetry.store_outbox import StoreOutbox
from sidecar.telemetry.target import exporting, refuse_unusable

__all__ = ["Metrics", "RelayProcess", "StoreOutbox", "exporting", "refuse_unusable", "start"]


def start(environ: Mapping[str, str]) -> None:
    """Sets the global providers, so that requests have trace ids and counts are kept. Idempotent."""
    resource = resource_from(environ)
    start_metrics(resource)
    if not isinstance(trace.get_tracer_provider(), TracerProvider):
        trace.set_tracer_provider(TracerProvider(resource=resource))
