"""The CPU time of a span: OpenTelemetry's SDK with BatchSpanProcessor, beside ours, to one collector."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from benchmarks.events import Fleet
from benchmarks.processes import received, receiver
from sidecar import telemetry
from sidecar.clock import now_us
from sidecar.ingest import wire
from sidecar.store import Store
from sidecar.store.log import span_outbox
from sidecar.store.values import PendingSpan
from sidecar.telemetry.relay import SpanRelay

RESOURCE: Final = Resource.create({"service.name": "zimwatch"})
PATIENCE_S: Final = 60


def by_the_sdk(url: str, pending: list[PendingSpan]) -> float:
    """Seconds of CPU for spans with the same name, times and attributes."""
    provider = TracerProvider(resource=RESOURCE)
    exporter = OTLPSpanExporter(endpoint=f"{url}/v1/traces")
    processor = BatchSpanProcessor(exporter, max_queue_size=len(pending) + 1, max_export_batch_size=512)
    provider.add_span_processor(processor)
    tracer = provider.get_tracer("zimwatch")
    began = time.process_time()
    for one in pending:
        span = tracer.start_span("zim.connection_state_changed", start_time=one.occurred_at_us * 1_000)
        for name, value in (
            ("zim.app.id", one.app_id),
            ("zim.connection.state", one.connection_state),
            ("zim.connection.event", one.connection_event),
            ("zim.connection.previous_state", one.previous_state),
            ("zim.user.status", one.user_status),
            ("zim.platform", one.platform),
            ("zim.sdk.name", one.sdk_name),
            ("zim.sdk.version", one.sdk_version),
            ("zim.event.id", one.id.hex()),
            ("zim.client.id", one.client_id.hex()),
            ("session.id", one.trace_id.hex()),
            ("user.id", one.user_id),
            ("zim.extended_data", one.extended_data),
        ):
            if value is not None:
                span.set_attribute(name, value)
        span.end(end_time=one.occurred_at_us * 1_000)
    processor.force_flush(PATIENCE_S * 1_000)
    provider.shutdown()
    return time.process_time() - began


async def measure(count: int, rounds: int) -> dict[str, Any]:
    """Spans a second of CPU, and ours beside the SDK's. Ours are read from the store, sent, and acknowledged in it."""
    found: dict[str, list[float]] = {"SDK spans/CPU s": [], "ours spans/CPU s": [], "ours beside the SDK": []}
    async with receiver() as url:
        for _ in range(rounds):
            with tempfile.TemporaryDirectory(prefix="zimwatch-bench-") as name:
                store = Store.open(f"sqlite:///{Path(name) / 'spans.db'}", clock=now_us, export_spans=True)
                for body in Fleet(1_000).bodies(count, 500):
                    await store.append([event for _, event in wire.decode(body, "json", now_us()).events])
                pending = await store.read(span_outbox.claim, 0, count)
                before = (await received(url))["spans"]
                sdk = count / await asyncio.to_thread(by_the_sdk, url, pending)
                await arrived(url, before + count)
                outbox = telemetry.StoreOutbox(store, telemetry.Metrics(store, now_us))
                relay = SpanRelay.to({"OTEL_EXPORTER_OTLP_ENDPOINT": url}, outbox, now_us)
                began = time.process_time()
                relay.stop()  # it ends when the outbox is empty
                await relay.run()
                ours = count / (time.process_time() - began)
                await arrived(url, before + 2 * count)
                await store.close()
            found["SDK spans/CPU s"].append(sdk)
            found["ours spans/CPU s"].append(ours)
            found["ours beside the SDK"].append(ours / sdk)
    return {key: statistics.median(values) for key, values in found.items()}


async def arrived(url: str, spans: int) -> None:
    """RuntimeError where the collector does not have so many soon."""
    async with asyncio.timeout(PATIENCE_S):
        while (await received(url))["spans"] < spans:  # noqa: ASYNC110 - it is another process that is waited for
            await asyncio.sleep(0.05)
