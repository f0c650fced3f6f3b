"""OpenTelemetry's own variables decide whether, how and under which name spans are exported."""

from __future__ import annotations

import pytest

from sidecar.clock import now_us
from sidecar.errors import SettingsError
from sidecar.telemetry.otlp.exporter import create_exporter
from sidecar.telemetry.otlp.otlp_grpc import GrpcExporter
from sidecar.telemetry.otlp.otlp_http import HttpExporter
from sidecar.telemetry.otlp.otlp_settings import exporting, read_otlp_settings
from sidecar.telemetry.otlp.resource import resource_from
from sidecar.version import build

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
def test_spans_are_exported_where_an_endpoint_is_set_and_nothing_disables_it(
    environ: dict[str, str],
    expected: bool,  # noqa: FBT001
) -> None:
    assert exporting(environ) is expected


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, HttpExporter),
        ({PROTOCOL: "http/protobuf"}, HttpExporter),
        ({PROTOCOL: "grpc"}, GrpcExporter),
        ({PROTOCOL: "grpc", TRACES_PROTOCOL: "http/protobuf"}, HttpExporter),
        ({PROTOCOL: "http/protobuf", TRACES_PROTOCOL: "grpc"}, GrpcExporter),
    ],
)
async def test_the_protocol_for_traces_precedes_the_general_one(
    environ: dict[str, str], expected: type[HttpExporter | GrpcExporter]
) -> None:
    exporter = create_exporter(environ, now_us)
    await exporter.close()
    assert isinstance(exporter, expected)


def test_a_protocol_that_does_not_exist_is_named() -> None:
    with pytest.raises(SettingsError, match=f"{TRACES_PROTOCOL} is 'http/json'"):
        create_exporter({TRACES_PROTOCOL: "http/json"}, now_us)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, "http://c:4318/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "https://c/otlp/"}, "https://c/otlp/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/spans"}, "http://c:4318/spans"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4317", PROTOCOL: "grpc"}, "http://c:4317"),
        ({}, "http://localhost:4318/v1/traces"),
    ],
)
def test_the_path_is_added_to_the_general_endpoint_and_not_to_the_one_for_traces(
    environ: dict[str, str], expected: str
) -> None:
    assert read_otlp_settings(environ).endpoint == expected


def test_every_invalid_variable_is_named() -> None:
    wrong = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "soon",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "brotli",
    }
    with pytest.raises(SettingsError) as caught:
        read_otlp_settings(wrong)
    assert all(any(name in problem for problem in caught.value.problems) for name in wrong)


def test_headers_timeout_and_compression_are_read() -> None:
    settings = read_otlp_settings(
        {
            "OTEL_EXPORTER_OTLP_HEADERS": "api-key=a%20b,x-tenant=7",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "2.5",
            "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION": "gzip",
        }
    )
    assert (settings.headers, settings.timeout_s, settings.gzip) == ({"api-key": "a b", "x-tenant": "7"}, 2.5, True)


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
def test_the_service_is_zimwatch_by_default(
    environ: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert resource_from(environ).attributes["service.name"] == expected


def test_the_resource_has_this_version_unless_another_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resource_from({}).attributes["service.version"] == build()
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.version=7")
    assert resource_from({}).attributes["service.version"] == "7"


def test_other_resource_attributes_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
    assert resource_from({}).attributes["deployment.environment.name"] == "test"
