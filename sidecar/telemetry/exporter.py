"""The OTLP exporter that OpenTelemetry's own environment variables ask for.

Specification: https://opentelemetry.io/docs/specs/otel/protocol/exporter/
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from opentelemetry.sdk.trace.export import SpanExporter

from sidecar.errors import SettingsError

# One attempt; what to do when it fails is the relay's affair, and a stop must not wait long for it.
ATTEMPT_TIMEOUT_S: Final = 4
_PROTOCOLS: Final = ("http/protobuf", "grpc")


def exporting(environ: Mapping[str, str]) -> bool:
    """Whether spans are wanted anywhere: without an endpoint nothing is exported, and nothing piles up."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if environ.get("OTEL_TRACES_EXPORTER", "").strip().lower() == "none":
        return False
    names = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    return any(environ.get(name, "").strip() for name in names)


def exporter_from(environ: Mapping[str, str]) -> SpanExporter:
    """The exporter for the protocol asked for (default http/protobuf); SettingsError for one that does not exist.

    Endpoint, headers, compression and certificates are read by the exporter from the process's environment.
    """
    name = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
    if not environ.get(name):
        name = "OTEL_EXPORTER_OTLP_PROTOCOL"
    protocol = environ.get(name, "").strip() or _PROTOCOLS[0]
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc import trace_exporter as over_grpc  # noqa: PLC0415 - slow to import

        return over_grpc.OTLPSpanExporter(timeout=ATTEMPT_TIMEOUT_S)
    if protocol == "http/protobuf":
        from opentelemetry.exporter.otlp.proto.http import trace_exporter as over_http  # noqa: PLC0415 - same

        return over_http.OTLPSpanExporter(timeout=ATTEMPT_TIMEOUT_S)
    raise SettingsError([f"{name} is {protocol!r}; it must be one of {', '.join(_PROTOCOLS)}"])
