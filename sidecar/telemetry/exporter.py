"""Sends encoded spans to the collector. Specification: https://opentelemetry.io/docs/specs/otlp/.

An exporter makes one attempt and says what became of it; when to try again is the relay's affair.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from sidecar.clock import Clock
from sidecar.telemetry.target import target_from


class NotTakenError(Exception):
    """The collector has not taken a request. Its text says why, and gives no address away: a key may be in one.

    ``permanent``: it will never take this one as it is. ``is_fault``: it failed over it, which may be because of what
    is in it. ``retry_after_s`` is its own wish.
    """

    def __init__(
        self, problem: str, *, permanent: bool = False, is_fault: bool = False, retry_after_s: float | None = None
    ) -> None:
        super().__init__(problem)
        self.permanent = permanent
        self.is_fault = is_fault
        self.retry_after_s = retry_after_s


class Taken(msgspec.Struct, frozen=True):
    """The collector has taken a request, but for ``rejected`` of its spans, which must not be sent again."""

    rejected: int = 0
    problem: str = ""

    @classmethod
    def of(cls, answer: bytes) -> Taken:
        """From an ExportTraceServiceResponse; an answer that is none says nothing of rejected spans."""
        try:
            told = ExportTraceServiceResponse.FromString(answer).partial_success
        except ValueError:
            return cls()
        return cls(told.rejected_spans, told.error_message)


class Exporter(Protocol):
    """One attempt at a time or several; used in one event loop."""

    async def export(self, request: bytes) -> Taken:
        """Sends an encoded ExportTraceServiceRequest; NotTakenError where it was not taken."""

    async def close(self) -> None:
        """Lets go of its connections."""


def exporter_from(environ: Mapping[str, str], clock: Clock) -> Exporter:
    """The exporter for the protocol asked for (default http/protobuf). To be called in the running event loop."""
    target = target_from(environ)
    if target.protocol == "grpc":
        from sidecar.telemetry.over_grpc import GrpcExporter  # noqa: PLC0415 - grpc is slow to import, and large

        return GrpcExporter(target)
    from sidecar.telemetry.over_http import HttpExporter  # noqa: PLC0415 - same, the other way round

    return HttpExporter(target, clock)
