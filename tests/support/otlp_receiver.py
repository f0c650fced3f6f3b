"""A real OTLP/HTTP receiver on loopback: it decodes what it is sent with opentelemetry-proto."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Receiver:
    """What arrived, request by request. It answers 503 to the next ``failures`` requests, and keeps nothing of them."""

    def __init__(self) -> None:
        self.url = ""
        self.spans: list[Span] = []
        self.services: set[str] = set()
        self.requests = 0
        self.failures = 0
        self._arrived = asyncio.Condition()

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        if request.headers.get("Content-Encoding") == "gzip" and body[:2] == b"\x1f\x8b":
            body = gzip.decompress(body)
        async with self._arrived:
            self.requests += 1
            if self.failures:
                self.failures -= 1
                self._arrived.notify_all()
                return web.Response(status=503)
            for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                told = {one.key: one.value.string_value for one in of_resource.resource.attributes}
                self.services.add(told["service.name"])
                for of_scope in of_resource.scope_spans:
                    self.spans.extend(of_scope.spans)
            self._arrived.notify_all()
        return web.Response(
            body=ExportTraceServiceResponse().SerializeToString(), content_type="application/x-protobuf"
        )

    async def wait_for(self, *, spans: int = 0, requests: int = 0, within_s: float = 20) -> list[Span]:
        """The spans so far, once there are as many spans and requests; TimeoutError where they don't come."""
        async with asyncio.timeout(within_s), self._arrived:
            await self._arrived.wait_for(lambda: len(self.spans) >= spans and self.requests >= requests)
        return self.spans


def attributes(span: Span) -> dict[str, Any]:
    """A span's attributes as Python values."""
    return {one.key: getattr(one.value, one.value.WhichOneof("value") or "string_value") for one in span.attributes}


@contextlib.asynccontextmanager
async def receiving(port: int = 0) -> AsyncIterator[Receiver]:
    """Runs a receiver until the context ends."""
    receiver = Receiver()
    application = web.Application()
    application.add_routes([web.post("/v1/traces", receiver.take)])
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield receiver
    finally:
        await runner.cleanup()
