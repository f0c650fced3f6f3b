"""Collectors that are slow or reject spans: rejected spans are recorded, and delay no others."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import pytest
import structlog
from aiohttp import web
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from sidecar import telemetry
from sidecar.clock import now_us
from sidecar.domain.events import Event
from sidecar.store import Store
from sidecar.store.log import span_outbox
from sidecar.telemetry import relay as relay_module
from sidecar.telemetry.relay import SpanRelay, batches
from tests.support.events import Phone
from tests.support.otlp_receiver import attributes, receiving
from tests.support.small_server import served
from tests.telemetry.test_relay import drained, opened, until


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The relay's pauses between attempts, in seconds, which are skipped."""
    waited: list[float] = []

    async def pause(_relay: SpanRelay, seconds: float) -> None:
        if seconds != relay_module.LINGER_S:
            waited.append(seconds)
        await asyncio.sleep(0.001)

    monkeypatch.setattr(SpanRelay, "_pause", pause)
    return waited


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with structlog.testing.capture_logs():
        yield


def fleet(users: int, changes: int) -> list[Event]:
    """Events of users whose clients log in and change state at the same time; mallory is the first."""
    events = []
    for number in range(users):
        phone = Phone("mallory" if number == 0 else f"user-{number}")
        phone.login(at=0)
        events += [phone.says("RECONNECTING", "LOGIN_INTERRUPTED", at=second) for second in range(changes)]
    return events


@contextlib.asynccontextmanager
async def relaying(store: Store, url: str, **environ: str) -> AsyncIterator[None]:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, **environ}
    outbox = telemetry.StoreOutbox(store, telemetry.Metrics(store, now_us))
    relay = SpanRelay.to(environ, outbox, now_us)
    task = asyncio.create_task(relay.run())
    try:
        yield
    finally:
        relay.stop()
        await asyncio.wait_for(task, 30)


def is_mallorys(span: Span) -> bool:
    return attributes(span).get("user.id") == "mallory"


@pytest.mark.usefixtures("waits")
@pytest.mark.parametrize("status", [400, 500])
async def test_a_span_that_is_never_accepted_is_recorded_as_lost_and_the_others_arrive(
    tmp_path: Path, status: int
) -> None:
    events = fleet(30, 1)
    async with receiving() as receiver, opened(tmp_path) as store:

        def judge(spans: list[Span]) -> web.Response | None:
            return web.Response(status=status) if any(map(is_mallorys, spans)) else None

        receiver.judge = judge
        await store.append(events)
        async with relaying(store, receiver.url):
            await receiver.wait_for(spans=29)
            await drained(store)
        assert len(receiver.spans) == 29
        (loss,) = await store.read(span_outbox.newest_losses, 10)
        assert (loss.kind, loss.spans, loss.event_id) == ("refused", 1, events[0].id)
        assert f"HTTP {status}" in loss.problem


@pytest.mark.usefixtures("waits")
async def test_a_collector_that_fails_at_every_request_for_a_while_loses_nothing(tmp_path: Path) -> None:
    async with receiving() as receiver, opened(tmp_path) as store:
        receiver.failures, receiver.refusal = 40, 500
        await store.append(fleet(4, 1))
        async with relaying(store, receiver.url):
            await receiver.wait_for(spans=4)
            await drained(store)
        assert await store.read(span_outbox.newest_losses, 10) == []


@pytest.mark.usefixtures("waits")
async def test_a_request_that_is_too_large_is_bisected_until_it_fits(tmp_path: Path) -> None:
    async with receiving() as receiver, opened(tmp_path) as store:
        receiver.judge = lambda spans: web.Response(status=413) if len(spans) > 10 else None
        await store.append(fleet(50, 2))
        async with relaying(store, receiver.url):
            await receiver.wait_for(spans=100)
            await drained(store)
        assert len({span.span_id for span in receiver.spans}) == len(receiver.spans) == 100
        assert await store.read(span_outbox.newest_losses, 10) == []


async def test_spans_rejected_by_a_partial_success_are_counted_and_not_sent_again(tmp_path: Path) -> None:
    part = ExportTracePartialSuccess(rejected_spans=2, error_message="two are too old")
    answer = ExportTraceServiceResponse(partial_success=part).SerializeToString()
    async with receiving() as receiver, opened(tmp_path) as store:
        receiver.judge = lambda _spans: web.Response(body=answer, content_type="application/x-protobuf")
        await store.append(fleet(5, 1))
        async with relaying(store, receiver.url):
            await drained(store)
        assert receiver.requests == 1
        (loss,) = await store.read(span_outbox.newest_losses, 10)
        assert (loss.kind, loss.spans, loss.problem) == ("rejected", 2, "two are too old")


@pytest.mark.parametrize("status", [429, 503])
async def test_a_collector_is_not_called_before_its_retry_after(
    tmp_path: Path, waits: list[float], status: int
) -> None:
    async with receiving() as receiver, opened(tmp_path) as store:
        answers = [web.Response(status=status, headers={"Retry-After": "7"})]
        receiver.judge = lambda _spans: answers.pop() if answers else None
        await store.append(fleet(3, 1))
        async with relaying(store, receiver.url):
            await receiver.wait_for(spans=3)
        assert waits == [7.0]


async def test_without_retry_after_pauses_double_up_to_half_a_minute(tmp_path: Path, waits: list[float]) -> None:
    async with receiving() as receiver, opened(tmp_path) as store:
        receiver.failures = 12
        await store.append(fleet(1, 1))
        async with relaying(store, receiver.url):
            await receiver.wait_for(spans=1)
    assert len(waits) == 12
    assert all(0.25 * 2**n <= wait <= 0.5 * 2**n for n, wait in enumerate(waits[:6]))
    assert all(15 <= wait <= 30 for wait in waits[7:])


@pytest.mark.usefixtures("waits")
async def test_the_spans_of_a_session_are_exported_in_order_while_others_are_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "BATCH_SPANS", 20)
    at_once, most = 0, 0
    events = fleet(40, 25)
    async with receiving() as receiver, opened(tmp_path) as store:
        take = receiver.take

        async def slowly(request: web.Request) -> web.Response:
            nonlocal at_once, most
            at_once += 1
            most = max(most, at_once)
            await asyncio.sleep(0.002)
            at_once -= 1
            receiver.failures += receiver.requests % 3 == 0
            return await take(request)

        async with slow(slowly) as url:
            await store.append(events)
            async with relaying(store, url):
                await receiver.wait_for(spans=1000)
                await drained(store)
    starts: dict[bytes, list[int]] = defaultdict(list)
    for span in receiver.spans:
        starts[span.trace_id].append(span.start_time_unix_nano)
    assert len(starts) == 40
    assert all(own == sorted(own) for own in starts.values())
    assert most > 1


@contextlib.asynccontextmanager
async def slow(handler: Any) -> AsyncIterator[str]:
    async with served(web.post("/v1/traces", handler)) as address:
        yield address


def test_a_batch_is_bounded_in_spans_and_bytes() -> None:
    lane: Any = [(number, b"x" * 1_000) for number in range(3_000)]
    split = list(batches(lane))
    assert [one for batch in split for one in batch] == lane
    assert max(map(len, split)) <= relay_module.BATCH_SPANS
    large: Any = [(number, b"x" * 400_000) for number in range(5)]
    assert [len(batch) for batch in batches(large)] == [2, 2, 1]


class _Exhausted(TraceServiceServicer):
    """Rejects the first request with a RetryInfo."""

    def __init__(self) -> None:
        self.requests = 0

    def Export(self, _request: Any, context: Any) -> ExportTraceServiceResponse:  # noqa: N802 - the protocol's name
        self.requests += 1
        if self.requests == 1:
            detail = AnyMessage()
            detail.Pack(RetryInfo(retry_delay=Duration(seconds=4, nanos=500_000_000)))
            status = Status(code=grpc.StatusCode.RESOURCE_EXHAUSTED.value[0], message="full", details=[detail])
            context.set_trailing_metadata([("grpc-status-details-bin", status.SerializeToString())])
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "full")
        return ExportTraceServiceResponse()


async def test_over_grpc_retry_info_sets_the_pause(tmp_path: Path, waits: list[float]) -> None:
    service = _Exhausted()
    server = grpc.server(futures.ThreadPoolExecutor(1))
    add_TraceServiceServicer_to_server(service, server)  # type: ignore[no-untyped-call] # it is generated
    url = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    async with opened(tmp_path) as store:
        await store.append(fleet(2, 1))
        async with relaying(store, url, OTEL_EXPORTER_OTLP_PROTOCOL="grpc"):
            await until(lambda: service.requests == 2)
            await drained(store)
    server.stop(None)
    assert waits == [4.5]
