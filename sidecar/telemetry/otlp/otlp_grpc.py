"""OTLP over gRPC: https://opentelemetry.io/docs/specs/otlp/#otlpgrpc."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

import grpc
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from sidecar.telemetry.otlp.exporter import ExportError, ExportResult
from sidecar.telemetry.otlp.otlp_settings import OtlpSettings, Signal

_METHODS: Final[dict[Signal, str]] = {
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "logs": "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}
# As with HTTP: the request itself is invalid.
PERMANENT: Final = frozenset({grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.OUT_OF_RANGE})
_FAULTS: Final = frozenset({grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS})
_DETAILS: Final = "grpc-status-details-bin"


class GrpcExporter:
    """An exporter on one channel, which connects on demand."""

    def __init__(self, settings: OtlpSettings) -> None:
        self._timeout_s = settings.timeout_s
        self._metadata = [(name.lower(), value) for name, value in settings.headers.items()]
        parts = urlsplit(settings.endpoint if "//" in settings.endpoint else f"//{settings.endpoint}")
        is_plain = parts.scheme == "http" or (not parts.scheme and settings.insecure)
        compression = grpc.Compression.Gzip if settings.gzip else grpc.Compression.NoCompression
        if is_plain:
            self._channel = grpc.aio.insecure_channel(parts.netloc, compression=compression)
        else:
            credentials = grpc.ssl_channel_credentials(
                settings.read(settings.certificate),
                settings.read(settings.client_key),
                settings.read(settings.client_certificate),
            )
            self._channel = grpc.aio.secure_channel(parts.netloc, credentials, compression=compression)
        self._call = self._channel.unary_unary(_METHODS[settings.signal])

    async def export(self, request: bytes) -> ExportResult:
        """Makes one call."""
        try:
            answer: bytes = await self._call(request, timeout=self._timeout_s, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            raise ExportError(
                f"gRPC {error.code().name}: {(error.details() or '')[:200]}",
                permanent=error.code() in PERMANENT,
                is_fault=error.code() in _FAULTS,
                retry_after_us=_retry_after_us(error),
            ) from None
        return ExportResult.of(answer)

    async def close(self) -> None:
        """Closes the channel."""
        await self._channel.close()


def _retry_after_us(error: Any) -> int | None:  # noqa: ANN401 - grpc has no types
    """The delay in the RetryInfo that an error may carry."""
    for name, value in error.trailing_metadata() or ():
        if name == _DETAILS:
            for detail in Status.FromString(value).details:
                info = RetryInfo()
                if detail.Unpack(info):
                    return int(info.retry_delay.ToMicroseconds())
    return None
