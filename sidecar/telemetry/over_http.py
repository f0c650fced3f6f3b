"""OTLP over HTTP with binary protobuf: https://opentelemetry.io/docs/specs/otlp/#otlphttp."""

from __future__ import annotations

import gzip
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final

import aiohttp
from google.rpc.status_pb2 import Status

from sidecar.clock import Clock
from sidecar.telemetry.exporter import NotTakenError, Taken
from sidecar.telemetry.target import Target

# The body itself is at fault, so that the same one will never be taken. Anything else may be mended at the collector or
# on the way there: an expired key, a proxy's redirect, an address that is served again.
PERMANENT: Final = frozenset(
    {HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY}
)
# Fast, and nearly as small as slower ones on spans, which repeat themselves.
_LEVEL: Final = 1
_ANSWER_BYTES: Final = 65_536


class HttpExporter:
    """Keeps its connections open."""

    def __init__(self, target: Target, clock: Clock) -> None:
        self._target = target
        self._clock = clock
        self._headers = {"Content-Type": "application/x-protobuf", **target.headers}
        if target.gzip:
            self._headers["Content-Encoding"] = "gzip"
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=target.tls() if target.endpoint.startswith("https:") else False),
            timeout=aiohttp.ClientTimeout(total=target.timeout_s),
            trust_env=True,
        )

    async def export(self, request: bytes) -> Taken:
        """One POST."""
        body = gzip.compress(request, _LEVEL, mtime=0) if self._target.gzip else request
        try:
            async with self._session.post(
                self._target.endpoint, data=body, headers=self._headers, allow_redirects=False
            ) as response:
                answer = await response.content.read(_ANSWER_BYTES)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise NotTakenError(f"no answer: {type(error).__name__}") from None
        if response.ok and response.status < HTTPStatus.MULTIPLE_CHOICES:
            return Taken.of(answer)
        raise NotTakenError(
            f"HTTP {response.status} {response.reason}{_said(answer, response.content_type)}",
            permanent=response.status in PERMANENT,
            is_fault=response.status == HTTPStatus.INTERNAL_SERVER_ERROR,
            retry_after_s=retry_after_s(response.headers.get("Retry-After"), self._clock()),
        )

    async def close(self) -> None:
        """Closes the connections."""
        await self._session.close()


def retry_after_s(text: str | None, now_us: int) -> float | None:
    """Seconds of a ``Retry-After``, which may also be a date (RFC 9110, section 10.2.3)."""
    if text is None:
        return None
    if text.strip().isdigit():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now_us / 1_000_000)
    except (ValueError, TypeError):
        return None


def _said(answer: bytes, content_type: str) -> str:
    """A failed call answers with a Status message, which says why."""
    if content_type != "application/x-protobuf":
        return ""
    try:
        message = Status.FromString(answer).message
    except ValueError:
        return ""
    return f": {message[:200]}" if message else ""
