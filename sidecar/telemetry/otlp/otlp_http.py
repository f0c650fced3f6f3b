"""OTLP over HTTP with binary protobuf: https://opentelemetry.io/docs/specs/otlp/#otlphttp."""

from __future__ import annotations

import gzip
from http import HTTPStatus
from typing import Final

import aiohttp
from google.rpc.status_pb2 import Status

from sidecar.clock import Clock
from sidecar.domain.retry import retry_after_us
from sidecar.telemetry.otlp.exporter import ExportError, ExportResult
from sidecar.telemetry.otlp.otlp_settings import OtlpSettings

# The body itself is invalid, so that retrying is useless. Anything else may be fixed at the collector or on the way
# there: an expired key, a proxy's redirect, a missing route.
PERMANENT: Final = frozenset(
    {HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY}
)
# Fast; spans are repetitive, so that higher levels save little.
_LEVEL: Final = 1
_ANSWER_BYTES: Final = 65_536


class HttpExporter:
    """An exporter that keeps its connections open."""

    def __init__(self, settings: OtlpSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._headers = {"Content-Type": "application/x-protobuf", **settings.headers}
        if settings.gzip:
            self._headers["Content-Encoding"] = "gzip"
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=settings.tls() if settings.endpoint.startswith("https:") else False),
            timeout=aiohttp.ClientTimeout(total=settings.timeout_s),
            trust_env=True,
        )

    async def export(self, request: bytes) -> ExportResult:
        """Makes one POST."""
        body = gzip.compress(request, _LEVEL, mtime=0) if self._settings.gzip else request
        try:
            async with self._session.post(
                self._settings.endpoint, data=body, headers=self._headers, allow_redirects=False
            ) as response:
                answer = await response.content.read(_ANSWER_BYTES)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ExportError(f"no answer: {type(error).__name__}") from None
        if response.ok and response.status < HTTPStatus.MULTIPLE_CHOICES:
            return ExportResult.of(answer)
        raise ExportError(
            f"HTTP {response.status} {response.reason}{_reason(answer, response.content_type)}",
            permanent=response.status in PERMANENT,
            is_fault=response.status == HTTPStatus.INTERNAL_SERVER_ERROR,
            retry_after_us=retry_after_us(response.headers, self._clock()),
        )

    async def close(self) -> None:
        """Closes the connections."""
        await self._session.close()


def _reason(answer: bytes, content_type: str) -> str:
    """The message of the Status in the answer of a failed request."""
    if content_type != "application/x-protobuf":
        return ""
    try:
        message = Status.FromString(answer).message
    except ValueError:
        return ""
    return f": {message[:200]}" if message else ""
