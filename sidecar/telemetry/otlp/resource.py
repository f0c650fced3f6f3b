"""The resource of spans and metrics."""

from __future__ import annotations

from collections.abc import Mapping

from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource

from sidecar.version import build


def resource_from(environ: Mapping[str, str]) -> Resource:
    """The resource by OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME (default ``zimwatch``), with this version."""
    detected = OTELResourceDetector().detect().attributes
    name = environ.get("OTEL_SERVICE_NAME") or detected.get(SERVICE_NAME) or "zimwatch"
    return Resource.create({SERVICE_VERSION: build(), **detected, SERVICE_NAME: name})
