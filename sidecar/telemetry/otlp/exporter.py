"""Sends encoded spans and log records to the collector. Specification: https://opentelemetry.io/docs/specs/otlp/.

An exporter makes one attempt and returns its outcome; the relay retries.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from sidecar.clock import Clock
from sidecar.telemetry.otlp.otlp_settings import Signal, read_otlp_settings


class ExportError(Exception):
    """The collector did not accept a request. Its text is the reason, without the URL, which may contain a key.

    ``permanent``: it never accepts this request. ``is_fault``: an internal error of the collector, which a span in the
    request may cause. ``retry_after_us`` is the pause that it requests.
    """

    def __init__(
        self, problem: str, *, permanent: bool = False, is_fault: bool = False, retry_after_us: int | None = None
    ) -> None:
        super().__init__(problem)
        self.permanent = permanent
        self.is_fault = is_fault
        self.retry_after_us = retry_after_us


class ExportResult(msgspec.Struct, frozen=True):
    """The collector accepted a request, except for ``rejected`` of its spans, which must not be sent again."""

    rejected: int = 0
    problem: str = ""

    @classmethod
    def of(cls, answer: bytes) -> ExportResult:
        """From an ExportTraceServiceResponse, or that for logs, whose fields have the same numbers.

        Any other answer counts as accepting all.
        """
        try:
            partial = ExportTraceServiceResponse.FromString(answer).partial_success
        except ValueError:
            return cls()
        return cls(partial.rejected_spans, partial.error_message)


class Exporter(Protocol):
    """Sends requests, also several at a time, in one event loop."""

    async def export(self, request: bytes) -> ExportResult:
        """Sends an encoded request of the exporter's signal; ExportError if it was not accepted."""

    async def close(self) -> None:
        """Closes its connections."""


def create_exporter(environ: Mapping[str, str], clock: Clock, signal: Signal = "traces") -> Exporter:
    """The exporter of a signal, for the protocol of its settings. Call it in the running event loop."""
    settings = read_otlp_settings(environ, signal)
    if settings.protocol == "grpc":
        from sidecar.telemetry.otlp.otlp_grpc import GrpcExporter  # noqa: PLC0415 - grpc is large and slow to import

        return GrpcExporter(settings)
    from sidecar.telemetry.otlp.otlp_http import HttpExporter  # noqa: PLC0415 - not needed for grpc

    return HttpExporter(settings, clock)
