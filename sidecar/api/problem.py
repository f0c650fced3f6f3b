"""Errors as problem details (RFC 9457): the one place where an error becomes an HTTP answer."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

import msgspec
import structlog
from aiohttp import web

from sidecar.errors import StoreUnavailableError, ZimwatchError
from sidecar.ingest.body import TooLargeError

_log = structlog.get_logger(__name__)


class Problem(ZimwatchError):  # noqa: N818 - RFC 9457's own word
    """An error that the caller is told about: its status, a sentence, and headers where the status asks for some."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = dict(headers or {})


def response(status: int, detail: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """A problem document."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return web.Response(
        body=msgspec.json.encode(body), status=status, headers=headers, content_type="application/problem+json"
    )


def of(error: Exception) -> web.Response:
    """The answer to an error that reached the top."""
    if isinstance(error, Problem):
        return response(error.status, str(error), error.headers)
    if isinstance(error, TooLargeError):
        return response(413, str(error))
    if isinstance(error, StoreUnavailableError):
        return response(503, str(error), {"Retry-After": str(error.retry_after_s)})
    if isinstance(error, ZimwatchError):
        return response(400, str(error))
    if isinstance(error, web.HTTPException):
        keep = {name: error.headers[name] for name in ("Allow", "Location") if name in error.headers}
        return response(error.status, error.text or error.reason, keep)
    _log.error("request failed", exc_info=error)
    return response(500, "Zimwatch failed to answer; its log says why")
