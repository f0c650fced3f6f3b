"""Errors as problem details (RFC 9457): the one place where an error becomes an HTTP response."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from http import HTTPStatus

import msgspec
import structlog
from aiohttp import web
from multidict import CIMultiDict

from sidecar import access
from sidecar.clock import steady_us
from sidecar.domain.texts import Sentence, Text
from sidecar.errors import StoreUnavailableError, ZimwatchError
from sidecar.ingest.body import BodyTimeoutError, TooDenseError, TooLargeError
from sidecar.ingest.rate_limits import LimitedError
from sidecar.ingest.wire import TooManyError
from sidecar.logs import Bounded
from sidecar.store import engines
from sidecar.store.access.tokens import TokenRefusedError

_log = structlog.get_logger(__name__)
# In place of aiohttp's "404: Not Found".
_USUAL = {
    404: Sentence("request.no_such_address", "no such address"),
    405: Sentence("request.method_not_allowed", "method not allowed"),
}
_STATUS: Mapping[type[Exception], int] = {
    TokenRefusedError: 409,
    BodyTimeoutError: 408,
    TooDenseError: 413,
    TooLargeError: 413,
    TooManyError: 413,
}
_NO_MEMORY = Sentence("request.no_memory", "Zimwatch is out of memory")
_RETRY_AFTER_S = 5
_lines: dict[tuple[object, ...], Bounded] = {}
_FAILED = Sentence("request.failed", "internal error; see the log of Zimwatch for the cause")


class Problem(ZimwatchError):  # noqa: N818 - RFC 9457's own word
    """An error for the caller: its status, a sentence, and the headers that the status requires.

    ``more`` are further members of the problem document.
    """

    def __init__(
        self,
        status: int,
        detail: str | Text,
        headers: Mapping[str, str] | None = None,
        *,
        more: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.more = more or {}
        self.headers = CIMultiDict(headers or {})


def response(problem: Problem) -> web.Response:
    """A problem document."""
    status = problem.status
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": str(problem)}
    body |= problem.more
    return web.Response(
        body=msgspec.json.encode(body), status=status, headers=problem.headers, content_type="application/problem+json"
    )


def of(error: Exception) -> Problem:
    """The problem to report for an error that reached the top."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, ZimwatchError):
        return _of_ours(error)
    if isinstance(error, web.HTTPException):
        keep = {name: error.headers[name] for name in ("Allow", "Location", "Retry-After") if name in error.headers}
        usual = _USUAL.get(error.status)
        detail = error.text if error.text != f"{error.status}: {error.reason}" else usual and usual()
        return Problem(error.status, detail or error.reason, keep)
    if (unavailable := engines.unreadable(error)) is not None:
        _log_bounded(error, "the database could not be read", problem=str(getattr(error, "orig", error)))
        return _of_ours(unavailable)
    if isinstance(error, MemoryError) or _is_of_threads(error):
        _log_bounded(error, "out of memory", problem=repr(error))
        return Problem(503, _NO_MEMORY(), {"Retry-After": str(_RETRY_AFTER_S)})
    _log_bounded(error, "request failed", exc_info=error)
    return Problem(500, _FAILED())


def _log_bounded(error: Exception, event: str, **fields: object) -> None:
    """One line a minute for each place in the code that fails, as every request may fail there."""
    place = next(reversed([*traceback.walk_tb(error.__traceback__)]), None)
    key = (event, type(error).__name__, *((place[0].f_code.co_filename, place[1]) if place else ()))
    if (more := _lines.setdefault(key, Bounded(steady_us)).more()) is not None:
        _log.error(event, unlogged=more, **fields)


def _is_of_threads(error: Exception) -> bool:
    """The error that Python raises where there is no memory for the stack of a thread."""
    return isinstance(error, RuntimeError) and str(error) == "can't start new thread"


def _of_ours(error: ZimwatchError) -> Problem:
    if isinstance(error, access.RefusedError):
        return Problem(error.status, error.text, CIMultiDict(error.headers))
    if isinstance(error, LimitedError):
        return Problem(429, error.text, {"Retry-After": str(error.retry_after_s)})
    if isinstance(error, StoreUnavailableError):
        return Problem(503, error.text, {"Retry-After": str(error.retry_after_s)})
    return Problem(_STATUS.get(type(error), 400), error.text)
