"""All OpenTelemetry: the spans of events, and the traces and metrics of Zimwatch itself."""

from __future__ import annotations

from collections.abc import Mapping

from opentelemetry import trace
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider

from sidecar.clock import Clock
from sidecar.store import Store
from sidecar.telemetry.exporter import exporter_from, exporting
from sidecar.telemetry.metrics import Metrics, start_metrics
from sidecar.telemetry.relay import SpanRelay

__all__ = ["Metrics", "SpanRelay", "exporter_from", "exporting", "relay", "resource_from", "start"]


def resource_from(environ: Mapping[str, str]) -> Resource:
    """Who is speaking: OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME, which is ``zimwatch`` where it is not set."""
    detected = OTELResourceDetector().detect().attributes.get(SERVICE_NAME)
    return Resource.create({SERVICE_NAME: environ.get("OTEL_SERVICE_NAME") or detected or "zimwatch"})


def start(environ: Mapping[str, str]) -> None:
    """Sets the global providers, so that requests have trace ids and counts are kept. Idempotent."""
    resource = resource_from(environ)
    start_metrics(resource)
    if not isinstance(trace.get_tracer_provider(), TracerProvider):
        trace.set_tracer_provider(TracerProvider(resource=resource))


def relay(store: Store, clock: Clock, metrics: Metrics, environ: Mapping[str, str]) -> SpanRelay:
    """The relay to the collector that ``environ`` names."""
    return SpanRelay(store, exporter_from(environ, clock), clock, metrics, resource=resource_from(environ))
