"""The resource of spans and metrics."""

from __future__ import annotations

from collections.abc import Mapping

from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource


def resource_from(environ: Mapping[str, str]) -> Resource:
    """The resource by OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME (default ``zimwatch``)."""
    detected = OTELResourceDetector().detect().attributes.get(SERVICE_NAME)
    return Resource.create({SERVICE_NAME: environ.get("OTEL_SERVICE_NAME") or detected or "zimwatch"})
