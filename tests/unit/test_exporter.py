"""OpenTelemetry's own variables decide whether, how and under which name spans go out."""

from __future__ import annotations

import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as OverGrpc
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as OverHttp

from sidecar.errors import SettingsError
from sidecar.telemetry import exporter_from, exporting, resource_from

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}
PROTOCOL, TRACES_PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, False),
        (ENDPOINT, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True),
        (ENDPOINT | {"OTEL_SDK_DISABLED": "True"}, False),
        (ENDPOINT | {"OTEL_SDK_DISABLED": "false"}, True),
        (ENDPOINT | {"OTEL_TRACES_EXPORTER": "none"}, False),
        (ENDPOINT | {"OTEL_TRACES_EXPORTER": "otlp"}, True),
    ],
)
def test_spans_are_wanted_where_an_endpoint_is_set_and_nobody_says_no(
    environ: dict[str, str],
    expected: bool,  # noqa: FBT001
) -> None:
    assert exporting(environ) is expected


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, OverHttp),
        ({PROTOCOL: "http/protobuf"}, OverHttp),
        ({PROTOCOL: "grpc"}, OverGrpc),
        ({PROTOCOL: "grpc", TRACES_PROTOCOL: "http/protobuf"}, OverHttp),
        ({PROTOCOL: "http/protobuf", TRACES_PROTOCOL: "grpc"}, OverGrpc),
    ],
)
def test_the_protocol_for_traces_goes_before_the_one_for_all(
    environ: dict[str, str], expected: type[OverHttp | OverGrpc]
) -> None:
    exporter = exporter_from(environ)
    exporter.shutdown()
    assert isinstance(exporter, expected)


def test_a_protocol_that_does_not_exist_is_named() -> None:
    with pytest.raises(SettingsError, match=f"{TRACES_PROTOCOL} is 'http/json'"):
        exporter_from({TRACES_PROTOCOL: "http/json"})


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "zimwatch"),
        ({"OTEL_SERVICE_NAME": "chat"}, "chat"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=support"}, "support"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=support", "OTEL_SERVICE_NAME": "chat"}, "chat"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "other.service.name=x"}, "zimwatch"),
    ],
)
def test_the_service_is_zimwatch_unless_told_otherwise(
    environ: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert resource_from(environ).attributes["service.name"] == expected


def test_other_resource_attributes_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
    assert resource_from({}).attributes["deployment.environment.name"] == "test"
