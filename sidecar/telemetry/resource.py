"""Who is speaking, in spans and metrics alike."""

from __future__ import annotations

from collections.abc import Mapping

from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource


def resource_from(environ: Mapping[str, str]) -> Resource:
    """OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME, which is ``zimwatch`` where it is not set."""
    detected = OTELResourceDetector().detect().attributes.get(SERVICE_NAME)
    return Resource.create({SERVICE_NAME: environ.get("OTEL_SERVICE_NAME") or detected or "zimwatch"})
