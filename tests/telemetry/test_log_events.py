"""Sessions and changes as OTLP log events of a running server, with names of the semantic conventions."""

from __future__ import annotations

import uuid
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.logs.v1.logs_service_pb2_grpc import (
    LogsServiceServicer,
    add_LogsServiceServicer_to_server,
)

from sidecar.settings import TelemetrySettings
from sidecar.telemetry.otlp.otlp_settings import problems, read_otlp_settings
from tests.support.clocks import Machine
from tests.support.otlp_receiver import attributes, receiving
from tests.support.running import zimwatch
from tests.support.wire import wire_event

FIRST, SECOND = "0192d3f0-6b7a-7c10-8d51-0d4e1f6b7a10", "0192d3f0-6b7a-7c10-8d51-0d4e1f6b7a11"
ALL = TelemetrySettings(duration_spans=("session",), log_events=("change", "login", "outage", "session"))


def happened(seq: int, session: str = FIRST, **fields: Any) -> dict[str, Any]:
    at = f"2026-11-23T14:00:{seq:02}.500Z"
    return wire_event(seq=seq, session_id=session, occurred_at=at, **fields)


def two_sessions() -> list[dict[str, Any]]:
    return [
        happened(1, type="login", offline_login=False),
        happened(2, state=2, event=0),
        happened(3, state=3, event=3),
        happened(5, state=2, event=0),
        happened(7, state=0, event=4),
        happened(8, SECOND, type="login", offline_login=False),
        happened(9, SECOND, state=2, event=0),
    ]


@pytest.fixture
def past() -> Machine:
    machine = Machine()
    machine.passes(20)
    return machine


async def test_sessions_and_changes_are_log_events_of_their_spans(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, past: Machine
) -> None:
    async with receiving() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}
        async with zimwatch(tmp_path, environ, machine=past, telemetry=ALL) as running:
            await running.send(two_sessions())
            await receiver.wait_for(spans=6, logs=11, within_s=60)
    named = [(one.event_name, uuid.UUID(bytes=one.trace_id)) for one in receiver.logs]
    of_first = [name for name, trace in named if str(trace) == FIRST]
    assert of_first == [
        "session.start",
        *("zim.connection_state_changed", "zim.login"),
        "zim.connection_state_changed",
        *("zim.connection_state_changed", "zim.outage"),
        *("zim.connection_state_changed", "session.end"),
    ]
    assert [name for name, trace in named if str(trace) == SECOND] == [
        "session.start",
        *("zim.connection_state_changed", "zim.login"),
    ]
    first, second = [attributes(one) for one in receiver.logs if one.event_name == "session.start"]
    assert (first["session.id"], "session.previous_id" in first) == (FIRST, False)
    assert (second["session.id"], second["session.previous_id"]) == (SECOND, FIRST)
    (end,) = [one for one in receiver.logs if one.event_name == "session.end"]
    assert (attributes(end)["zim.duration"], end.severity_text) == (6.0, "ERROR")
    assert end.time_unix_nano == 1_795_442_407_500_000_000
    spans = {span.span_id: span.name for span in receiver.spans}
    assert spans[end.span_id] == "zim.session"
    changes = [one for one in receiver.logs if one.event_name == "zim.connection_state_changed"]
    assert {spans[one.span_id] for one in changes} == {"zim.connection_state_changed"}


class _Logs(LogsServiceServicer):
    def __init__(self) -> None:
        self.names: list[str] = []

    def Export(self, request: Any, _context: object) -> ExportLogsServiceResponse:  # noqa: N802 - the protocol's name
        self.names += [one.event_name for of in request.resource_logs for s in of.scope_logs for one in s.log_records]
        return ExportLogsServiceResponse()


async def test_logs_have_an_endpoint_of_their_own_where_it_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, past: Machine
) -> None:
    service = _Logs()
    server = grpc.server(futures.ThreadPoolExecutor(1))
    add_LogsServiceServicer_to_server(service, server)  # type: ignore[no-untyped-call] # it is generated
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    only = TelemetrySettings(log_events=("session",))
    async with receiving() as receiver:
        environ = {
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{receiver.url}/v1/traces",
            "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": f"http://127.0.0.1:{port}",
            "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL": "grpc",
        }
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        async with zimwatch(tmp_path, environ, machine=past, telemetry=only) as running:
            await running.send(two_sessions())
            await receiver.wait_for(spans=5, within_s=60)
    server.stop(None)
    assert service.names == ["session.start", "session.end", "session.start"]
    assert receiver.logs == []


def test_the_variables_of_logs_take_precedence_and_wrong_ones_are_named() -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://here:4318/", "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT": "3"}
    of_logs, of_traces = read_otlp_settings(environ, "logs"), read_otlp_settings(environ)
    assert (of_logs.endpoint, of_logs.timeout_s) == ("http://here:4318/v1/logs", 3)
    assert (of_traces.endpoint, of_traces.timeout_s) == ("http://here:4318/v1/traces", 10)
    (problem,) = problems({**environ, "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL": "smoke"})
    assert "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL" in problem
    assert len(problems({"OTEL_EXPORTER_OTLP_PROTOCOL": "smoke"})) == 1
