"""Spans of a running server at a real OTLP receiver: one for each change, with the same ids, and none lost."""

from __future__ import annotations

import uuid
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from sidecar.store.log import span_outbox
from tests.support.otlp_receiver import attributes, receiving
from tests.support.running import zimwatch
from tests.support.wire import wire_event

SESSION = "0192d3f0-6b7a-7c10-8d51-0d4e1f6b7a10"


def change(seq: int, state: int, event: int, second: int) -> dict[str, Any]:
    at = f"2026-11-23T14:00:{second:02}.500Z"
    return wire_event(seq=seq, state=state, event=event, session_id=SESSION, occurred_at=at, extended_data=f"e{seq}")


def exporting_to(url: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": url}


async def test_each_change_is_one_span_of_its_sessions_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving() as receiver, zimwatch(tmp_path, exporting_to(receiver.url, monkeypatch)) as running:
        sent = [change(1, 2, 0, 1), change(2, 3, 3, 5), change(3, 0, 4, 9)]
        await running.send([*sent, wire_event(type="logout", seq=4), change(5, 99, 77, 10)])
        root, child, kicked, unknown = await receiver.wait_for(spans=4)
        assert receiver.services == {"zimwatch"}
        assert {span.name for span in receiver.spans} == {"zim.connection_state_changed"}
        assert {span.trace_id for span in receiver.spans} == {uuid.UUID(SESSION).bytes}
        assert root.parent_span_id == b""
        assert {span.parent_span_id for span in (child, kicked, unknown)} == {root.span_id}
        assert len({span.span_id for span in receiver.spans}) == 4
        assert root.start_time_unix_nano == root.end_time_unix_nano == 1_795_442_401_500_000_000
        assert attributes(child) == {
            "zim.event.id": sent[1]["id"],
            "zim.app.id": 1234567890,
            "user.id": "alice",
            "session.id": SESSION,
            "zim.client.id": sent[1]["client_id"],
            "zim.connection.state": "RECONNECTING",
            "zim.connection.event": "LOGIN_INTERRUPTED",
            "zim.connection.previous_state": "CONNECTED",
            "zim.connection.previous_state.duration": 4.0,
            "zim.user.status": "offline",
            "zim.extended_data": "e2",
        }
        assert (child.status.code, kicked.status.code) == (Status.STATUS_CODE_UNSET, Status.STATUS_CODE_ERROR)
        assert "another device" in kicked.status.message
        assert attributes(unknown)["zim.connection.state"] == "99"


async def test_a_collector_that_fails_three_times_gets_every_span_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with receiving() as receiver, zimwatch(tmp_path, exporting_to(receiver.url, monkeypatch)) as running:
        receiver.failures = 3
        await running.send([change(seq, 2 + seq % 2, 0, seq) for seq in range(1, 51)])
        spans = await receiver.wait_for(spans=50, within_s=60)
        assert len({span.span_id for span in spans}) == len(spans) == 50


async def test_spans_pending_at_a_stop_arrive_after_the_next_start_with_the_same_ids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with receiving() as receiver:
        environ = exporting_to(receiver.url, monkeypatch)
        receiver.failures = 1_000
        async with zimwatch(tmp_path, environ) as running:
            await running.send([change(1, 2, 0, 1)])
            await receiver.wait_for(requests=1)
            assert (await running.store.read(span_outbox.backlog)).spans == 1
        receiver.failures = 0
        async with zimwatch(tmp_path, environ):
            (span,) = await receiver.wait_for(spans=1)
            assert span.trace_id == uuid.UUID(SESSION).bytes


async def test_without_an_endpoint_no_span_is_pending(tmp_path: Path) -> None:
    async with zimwatch(tmp_path) as running:
        await running.send([change(1, 2, 0, 1)])
        assert (await running.store.read(span_outbox.backlog)).spans == 0


class _Grpc(TraceServiceServicer):
    def __init__(self) -> None:
        self.names: list[str] = []

    def Export(self, request: Any, _context: object) -> ExportTraceServiceResponse:  # noqa: N802 - the protocol's name
        self.names += [s.name for r in request.resource_spans for scope in r.scope_spans for s in scope.spans]
        return ExportTraceServiceResponse()


async def test_spans_are_sent_over_grpc_where_that_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = _Grpc()
    server = grpc.server(futures.ThreadPoolExecutor(1))
    add_TraceServiceServicer_to_server(service, server)  # type: ignore[no-untyped-call] # it is generated
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    environ = exporting_to(f"http://127.0.0.1:{port}", monkeypatch) | {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    async with zimwatch(tmp_path, environ) as running:
        await running.send([change(1, 2, 0, 1)])
    server.stop(None)
    assert service.names == ["zim.connection_state_changed"]
