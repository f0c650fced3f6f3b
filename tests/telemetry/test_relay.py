"""The relay between a real store and a real collector: no span is lost, and none changes its ids."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import pytest
import structlog
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)

from sidecar import telemetry
from sidecar.clock import now_us
from sidecar.domain.events import Event
from sidecar.errors import StoreUnavailableError
from sidecar.store import Store
from sidecar.store.log import span_outbox
from sidecar.telemetry.relay import SpanRelay
from tests.support.events import Phone
from tests.support.otlp_receiver import Receiver, receiving
from tests.support.running import zimwatch
from tests.support.wire import wire_event

Span = tuple[bytes, bytes, bytes]


def changes(count: int) -> list[Event]:
    alice = Phone("alice")
    alice.login(at=0)
    return [alice.says("RECONNECTING", "LOGIN_INTERRUPTED", at=second) for second in range(1, count + 1)]


async def until(condition: Callable[[], bool]) -> None:
    """Polls the condition; TimeoutError after thirty seconds."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - another task or process changes it
            await asyncio.sleep(0.01)


async def drained(store: Store) -> None:
    """Waits until no span is pending; TimeoutError after thirty seconds."""
    async with asyncio.timeout(30):
        while (await store.read(span_outbox.backlog)).spans:  # noqa: ASYNC110 - another thread or process changes it
            await asyncio.sleep(0.01)


def ids(spans: Sequence[Any]) -> list[Span]:
    return [(span.trace_id, span.span_id, span.parent_span_id) for span in spans]


@contextlib.asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Store]:
    store = Store.open(f"sqlite:///{folder / 'zimwatch.db'}", clock=now_us, export_spans=True)
    try:
        yield store
    finally:
        await store.close()


@contextlib.asynccontextmanager
async def relaying(store: Store, **environ: str) -> AsyncIterator[SpanRelay]:
    """Runs a relay, which must return by itself once it is stopped."""
    outbox = telemetry.StoreOutbox(store, telemetry.Metrics(store, now_us))
    relay = SpanRelay.to({**os.environ, **environ}, outbox, now_us)
    task = asyncio.create_task(relay.run())
    try:
        yield relay
    finally:
        relay.stop()
        await asyncio.wait_for(task, 30)


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as lines:
        yield lines


def export_to(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)


@pytest.mark.parametrize("refusal", [302, 401, 429, 503])
async def test_a_request_refused_three_times_is_accepted_at_the_fourth_with_the_same_ids(
    refusal: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged: list[Any]
) -> None:
    async with receiving() as receiver, opened(tmp_path) as store:
        export_to(receiver, monkeypatch)
        receiver.failures, receiver.refusal = 3, refusal
        await store.append(changes(5))
        async with relaying(store):
            spans = await receiver.wait_for(spans=5)
        assert receiver.requests == 4
        assert ids(receiver.refused) == ids(spans) * 3
        assert (await store.read(span_outbox.backlog)).spans == 0
    failing, recovered = logged
    assert f"HTTP {refusal}" in failing["problem"]
    assert (recovered["event"], recovered["failures"]) == ("span export recovered", 3)


async def test_a_collector_gets_every_span_after_an_outage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged: list[Any]
) -> None:
    async with receiving() as before:
        export_to(before, monkeypatch)
        port = int(before.url.rsplit(":", 1)[1])
    async with opened(tmp_path) as store, relaying(store):
        await store.append(changes(450))
        await until(lambda: bool(logged))
        assert (await store.read(span_outbox.backlog)).spans == 450
        async with receiving(port) as back:
            spans = await back.wait_for(spans=450)
            assert len(set(ids(spans))) == len(spans) == 450
    assert "ConnectorError" in logged[0]["problem"]
    assert before.url not in logged[0]["problem"]


async def test_a_restart_between_attempts_keeps_the_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving() as receiver:
        export_to(receiver, monkeypatch)
        receiver.failures = 1_000
        async with opened(tmp_path) as store:
            await store.append(changes(3))
            async with relaying(store):
                await receiver.wait_for(requests=1)
        receiver.failures = 0
        async with opened(tmp_path) as store, relaying(store):
            assert ids(await receiver.wait_for(spans=3)) == ids(receiver.refused)[:3]


async def test_the_relay_survives_a_database_that_cannot_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged: list[Any]
) -> None:
    async with receiving() as receiver, opened(tmp_path) as store:
        export_to(receiver, monkeypatch)
        write = store.write

        async def full_disk(*_args: object) -> None:
            monkeypatch.setattr(store, "write", write)
            raise StoreUnavailableError("the database cannot commit: disk full")

        monkeypatch.setattr(store, "write", full_disk)
        await store.append(changes(1))
        async with relaying(store):
            first, second = ids(await receiver.wait_for(spans=2))
        assert first == second
        assert (await store.read(span_outbox.backlog)).spans == 0
    assert [line["event"] for line in logged if "problem" in line] == [
        "span export is failing; spans wait in the database"
    ]


async def test_a_stop_exports_pending_spans_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving() as receiver, opened(tmp_path) as store:
        export_to(receiver, monkeypatch)
        await store.append(changes(450))
        async with relaying(store) as relay:
            relay.stop()
        assert len(receiver.spans) == 450


async def test_a_stop_does_not_wait_for_a_hanging_collector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving() as receiver:
        export_to(receiver, monkeypatch)
        receiver.answering.clear()
        async with zimwatch(tmp_path, {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}) as running:
            await running.send([wire_event()])
            await receiver.wait_for(requests=1)
            stopped = time.monotonic()
        assert time.monotonic() - stopped < 10
        async with opened(tmp_path) as store:
            assert (await store.read(span_outbox.backlog)).spans == 1


async def test_requests_are_compressed_where_that_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    async with receiving() as receiver, opened(tmp_path) as store:
        export_to(receiver, monkeypatch)
        await store.append(changes(3))
        async with relaying(store):
            await receiver.wait_for(spans=3)
        assert receiver.compressed


class _BusyTwice(TraceServiceServicer):
    def __init__(self) -> None:
        self.requests: list[list[Span]] = []

    def Export(self, request: Any, context: Any) -> ExportTraceServiceResponse:  # noqa: N802 - the protocol's name
        self.requests.append(ids([s for r in request.resource_spans for part in r.scope_spans for s in part.spans]))
        if len(self.requests) <= 2:
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "busy")
        return ExportTraceServiceResponse()


async def test_over_grpc_only_the_relay_retries_a_busy_collector(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged: list[Any]
) -> None:
    service = _BusyTwice()
    server = grpc.server(futures.ThreadPoolExecutor(1))
    add_TraceServiceServicer_to_server(service, server)  # type: ignore[no-untyped-call] # it is generated
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
    server.start()
    async with opened(tmp_path) as store:
        await store.append(changes(4))
        async with relaying(store, OTEL_EXPORTER_OTLP_PROTOCOL="grpc"):
            await until(lambda: len(service.requests) == 3)
        assert (await store.read(span_outbox.backlog)).spans == 0
    server.stop(None)
    first, second, third = service.requests
    assert first == second == third
    assert len(set(first)) == 4
    assert "busy" in logged[0]["problem"]
