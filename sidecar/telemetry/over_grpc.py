"""OTLP over gRPC: https://opentelemetry.io/docs/specs/otlp/#otlpgrpc."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

import grpc
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from sidecar.telemetry.exporter import NotTakenError, Taken
from sidecar.telemetry.target import Target

_METHOD: Final = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
# As with HTTP: what is wrong with the request itself.
PERMANENT: Final = frozenset({grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.OUT_OF_RANGE})
_FAULTS: Final = frozenset({grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS})
_DETAILS: Final = "grpc-status-details-bin"


class GrpcExporter:
    """Keeps its channel open, which connects by itself."""

    def __init__(self, target: Target) -> None:
        self._timeout_s = target.timeout_s
        self._metadata = [(name.lower(), value) for name, value in target.headers.items()]
        parts = urlsplit(target.endpoint if "//" in target.endpoint else f"//{target.endpoint}")
        is_plain = parts.scheme == "http" or (not parts.scheme and target.insecure)
        compression = grpc.Compression.Gzip if target.gzip else grpc.Compression.NoCompression
        if is_plain:
            self._channel = grpc.aio.insecure_channel(parts.netloc, compression=compression)
        else:
            credentials = grpc.ssl_channel_credentials(
                target.read(target.certificate), target.read(target.client_key), target.read(target.client_certificate)
            )
            self._channel = grpc.aio.secure_channel(parts.netloc, credentials, compression=compression)
        self._call = self._channel.unary_unary(_METHOD)

    async def export(self, request: bytes) -> Taken:
        """One call."""
        try:
            answer: bytes = await self._call(request, timeout=self._timeout_s, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            raise NotTakenError(
                f"gRPC {error.code().name}: {(error.details() or '')[:200]}",
                permanent=error.code() in PERMANENT,
                is_fault=error.code() in _FAULTS,
                retry_after_s=_retry_after_s(error),
            ) from None
        return Taken.of(answer)

    async def close(self) -> None:
        """Closes the channel."""
        await self._channel.close()


def _retry_after_s(error: Any) -> float | None:  # noqa: ANN401 - grpc has no types
    """The delay in the RetryInfo that an error may carry."""
    for name, value in error.trailing_metadata() or ():
        if name == _DETAILS:
            for detail in Status.FromString(value).details:
                info = RetryInfo()
                if detail.Unpack(info):
                    return float(info.retry_delay.ToTimedelta().total_seconds())
    return None
