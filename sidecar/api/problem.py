"""Errors as problem details (RFC 9457): the one place where an error becomes an HTTP answer."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

import msgspec
import structlog
from aiohttp import web

from sidecar.domain.sentences import Sentence
from sidecar.errors import StoreUnavailableError, ZimwatchError
from sidecar.ingest.body import TooLargeError

_log = structlog.get_logger(__name__)
# In the place of aiohttp's "404: Not Found" and its like.
_USUAL = {
    404: Sentence("there is nothing at this address"),
    405: Sentence("this address does not take this method"),
}
_FAILED = Sentence("Zimwatch failed to answer; its log says why")


class Problem(ZimwatchError):  # noqa: N818 - RFC 9457's own word
    """An error that the caller is told about: its status, a sentence, and headers where the status asks for some."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = dict(headers or {})


def response(problem: Problem) -> web.Response:
    """A problem document."""
    status = problem.status
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": str(problem)}
    return web.Response(
        body=msgspec.json.encode(body), status=status, headers=problem.headers, content_type="application/problem+json"
    )


def of(error: Exception) -> Problem:
    """What the caller is told of an error that reached the top."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, TooLargeError):
        return Problem(413, str(error))
    if isinstance(error, StoreUnavailableError):
        return Problem(503, str(error), {"Retry-After": str(error.retry_after_s)})
    if isinstance(error, ZimwatchError):
        return Problem(400, str(error))
    if isinstance(error, web.HTTPException):
        keep = {name: error.headers[name] for name in ("Allow", "Location") if name in error.headers}
        usual = _USUAL.get(error.status)
        said = error.text if error.text != f"{error.status}: {error.reason}" else usual and usual()
        return Problem(error.status, said or error.reason, keep)
    _log.error("request failed", exc_info=error)
    return Problem(500, _FAILED())
