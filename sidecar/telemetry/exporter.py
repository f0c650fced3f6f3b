"""The OTLP exporter that OpenTelemetry's own environment variables ask for.

Specification: https://opentelemetry.io/docs/specs/otel/protocol/exporter/
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk.trace.export import SpanExporter

from sidecar.errors import SettingsError

if TYPE_CHECKING:
    import requests

# One attempt; what to do when it fails is the relay's affair, and a stop must not wait long for it.
ATTEMPT_TIMEOUT_S: Final = 4
# A collector that cannot be reached at all is given up sooner: over HTTP an attempt may take both.
CONNECT_TIMEOUT_S: Final = 2
_PROTOCOLS: Final = ("http/protobuf", "grpc")


def exporting(environ: Mapping[str, str]) -> bool:
    """Whether spans are wanted anywhere: without an endpoint nothing is exported, and nothing piles up."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if environ.get("OTEL_TRACES_EXPORTER", "").strip().lower() == "none":
        return False
    names = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    return any(environ.get(name, "").strip() for name in names)


def exporter_from(environ: Mapping[str, str]) -> SpanExporter:
    """The exporter for the protocol asked for (default http/protobuf); SettingsError for one that does not exist.

    Endpoint, headers, compression and certificates are read by the exporter from the process's environment.
    """
    name = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
    if not environ.get(name):
        name = "OTEL_EXPORTER_OTLP_PROTOCOL"
    protocol = environ.get(name, "").strip() or _PROTOCOLS[0]
    if protocol == "grpc":
        import grpc  # noqa: PLC0415 - slow to import
        from opentelemetry.exporter.otlp.proto.grpc import trace_exporter as over_grpc  # noqa: PLC0415 - same

        # OK is no error, so none is left that the exporter would wait and retry for.
        none_retryable = (grpc.StatusCode.OK,)
        return over_grpc.OTLPSpanExporter(timeout=ATTEMPT_TIMEOUT_S, retryable_error_codes=none_retryable)
    if protocol == "http/protobuf":
        from opentelemetry.exporter.otlp.proto.http import trace_exporter as over_http  # noqa: PLC0415 - same

        # A credential provider brings its own session, which the exporter finds by itself.
        provided = any(name.endswith("_CREDENTIAL_PROVIDER") and value for name, value in environ.items())
        session = None if provided else _session_of_one_attempt()
        return over_http.OTLPSpanExporter(timeout=ATTEMPT_TIMEOUT_S, session=session)
    raise SettingsError([f"{name} is {protocol!r}; it must be one of {', '.join(_PROTOCOLS)}"])


class _NotTakenError(Exception):
    """The collector has not taken a request."""


def _session_of_one_attempt() -> requests.Session:
    """A session whose failures are errors that the exporter (1.45) does not wait and retry for: the relay does."""
    import requests  # noqa: PLC0415 - slow to import

    class OneAttempt(requests.Session):
        def request(self, *args: Any, **kwargs: Any) -> requests.Response:  # noqa: ANN401 - as requests has it
            kwargs["timeout"] = (CONNECT_TIMEOUT_S, ATTEMPT_TIMEOUT_S)
            try:
                response = super().request(*args, **kwargs)
            except requests.RequestException as error:
                # Without its text, which repeats the address: a key may be in it.
                raise _NotTakenError(type(error).__name__) from None
            # The exporter takes a redirect for a success, but whoever sent it has not taken the spans.
            if response.status_code >= HTTPStatus.MULTIPLE_CHOICES:
                raise _NotTakenError(f"HTTP {response.status_code} {response.reason}")
            return response

    return OneAttempt()
