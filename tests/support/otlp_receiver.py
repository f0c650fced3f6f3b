"""A real OTLP/HTTP receiver on loopback: it decodes what it is sent with opentelemetry-proto."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.support.small_server import served


class Receiver:
    """What arrived, request by request.

    It answers ``refusal`` (503) to the next ``failures`` requests and takes nothing of them; while ``answering`` is not
    set it answers nothing. ``judge`` may give another answer to a request, which is not taken then either.
    """

    def __init__(self) -> None:
        self.url = ""
        self.spans: list[Span] = []
        self.refused: list[Span] = []
        self.logs: list[LogRecord] = []
        self.services: set[str] = set()
        self.requests = 0
        self.failures = 0
        self.refusal = 503
        self.compressed = False
        self.judge: Callable[[list[Span]], web.Response | None] = lambda _spans: None
        self.answering = asyncio.Event()
        self.answering.set()
        self._arrived = asyncio.Condition()

    async def take(self, request: web.Request) -> web.Response:
        # aiohttp has unpacked a compressed body.
        sent = ExportTraceServiceRequest.FromString(await request.read())
        spans = [span for of_resource in sent.resource_spans for part in of_resource.scope_spans for span in part.spans]
        async with self._arrived:
            self.requests += 1
            self.compressed = request.headers.get("Content-Encoding") == "gzip"
            verdict = self.judge(spans)
            refuse = self.failures > 0 or verdict is not None
            if refuse:
                self.failures -= verdict is None
                self.refused += spans
            elif self.answering.is_set():
                self._take(sent, spans)
            self._arrived.notify_all()
        if verdict is not None:
            return verdict
        if refuse:
            return web.Response(status=self.refusal, headers={"Location": "/login"})
        await self.answering.wait()
        return web.Response(
            body=ExportTraceServiceResponse().SerializeToString(), content_type="application/x-protobuf"
        )

    async def take_logs(self, request: web.Request) -> web.Response:
        sent = ExportLogsServiceRequest.FromString(await request.read())
        async with self._arrived:
            self.requests += 1
            self.logs += [one for of in sent.resource_logs for part in of.scope_logs for one in part.log_records]
            self._arrived.notify_all()
        answer = ExportLogsServiceResponse().SerializeToString()
        return web.Response(body=answer, content_type="application/x-protobuf")

    def _take(self, sent: ExportTraceServiceRequest, spans: list[Span]) -> None:
        self.spans += spans
        for of_resource in sent.resource_spans:
            attributes = {one.key: one.value.string_value for one in of_resource.resource.attributes}
            self.services.add(attributes["service.name"])

    async def wait_for(self, *, spans: int = 0, requests: int = 0, logs: int = 0, within_s: float = 20) -> list[Span]:
        """The spans so far, once there are as many of each; TimeoutError where they don't come."""
        async with asyncio.timeout(within_s), self._arrived:
            await self._arrived.wait_for(
                lambda: len(self.spans) >= spans and self.requests >= requests and len(self.logs) >= logs
            )
        return self.spans


def attributes(span: Span | LogRecord) -> dict[str, Any]:
    """A span's attributes as Python values."""
    return {one.key: getattr(one.value, one.value.WhichOneof("value") or "string_value") for one in span.attributes}


@contextlib.asynccontextmanager
async def receiving(port: int = 0) -> AsyncIterator[Receiver]:
    """Runs a receiver until the context ends."""
    receiver = Receiver()
    routes = web.post("/v1/traces", receiver.take), web.post("/v1/logs", receiver.take_logs)
    async with served(*routes, port=port) as receiver.url:
        try:
            yield receiver
        finally:
            receiver.answering.set()
