"""The middleware of every request, outermost first: log line and span, error responses, audit log, access."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from random import Random
from urllib.parse import urlencode

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from opentelemetry import context, trace

from sidecar import access, durations
from sidecar.access import audit
from sidecar.domain.texts import Text
from sidecar.settings import Settings
from sidecar.web import audited, origin, problem
from sidecar.web.client_share import ClientShare
from sidecar.web.request_log import RequestLog

_tracer = trace.get_tracer("zimwatch")
_MACHINES = ("/v1/", "/tap/", "/static/", "/live/", "/openapi.json", "/livez", "/readyz", "/metrics")
_NEXT_LONGEST = 2_000
_QUIET = ("/livez", "/readyz", "/static/")
_INGEST = "/v1/events"
_DURATIONS = {kind: durations.REQUESTS.labels(kind) for kind in durations.REQUEST_KINDS}


ErrorPage = Callable[[int, Text, Mapping[str, str]], web.Response]
"""Renders an error for a person, from its status, a sentence, and the headers to send."""


class _RequestSpan(trace.NonRecordingSpan):
    """Gives the log lines of one request the same ids; started by the first line, as most requests have none."""

    def __init__(self) -> None:
        super().__init__(trace.INVALID_SPAN_CONTEXT)

    def get_span_context(self) -> trace.SpanContext:
        """Its ids."""
        if not self._context.is_valid:
            self._context = _tracer.start_span("request", context.Context()).get_span_context()
        return self._context


def middlewares(
    authenticator: access.Authenticator,
    settings: Settings,
    log: RequestLog,
    error_page: ErrorPage,
    *,
    recorder: audit.Recorder,
    chance: Random,
) -> list[Middleware]:
    """All of them, in order. A browser that navigates gets ``error_page``, any other client a problem document."""
    share = ClientShare(settings.server)

    @web.middleware
    async def log_request(request: web.Request, handler: Handler) -> web.StreamResponse:
        begun = time.perf_counter()  # noqa: TID251 - for people; nothing depends on it
        token = context.attach(trace.set_span_in_context(_RequestSpan()))
        request[audit.REQUEST_ID] = audited.request_id(request, chance)
        bound = structlog.contextvars.bind_contextvars(request_id=request[audit.REQUEST_ID])
        try:
            response = await handler(request)
            duration_s = time.perf_counter() - begun  # noqa: TID251 - same
            duration_ms = round(duration_s * 1000, 2)
            if not response.prepared:
                _observe(request, duration_s)
                response.headers["Server-Timing"] = f"app;dur={duration_ms}"  # https://www.w3.org/TR/server-timing/
            resource = request.match_info.route.resource
            log.note(
                logging.DEBUG if request.path.startswith(_QUIET) else logging.INFO,
                method=request.method,
                route=resource.canonical if resource else "unknown",
                status=response.status,
                duration_ms=duration_ms,
            )
            return response
        finally:
            structlog.contextvars.reset_contextvars(**bound)
            context.detach(token)

    def answer(request: web.Request, error: Exception) -> web.Response:
        known = problem.of(error)
        return error_page(known.status, known.text, known.headers) if _wants_page(request) else problem.response(known)

    @web.middleware
    async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
        access.begin(request, None)
        try:
            response = await handler(request)
        except ConnectionError:
            raise  # the client disconnected
        except access.NotSignedInError as error:
            navigates = _wants_page(request) and request.method in {"GET", "HEAD"}
            if navigates and not error.was_tried:
                response = web.Response(status=303, headers={"Location": _sign_in_at(request)})
            else:
                response = answer(request, error)
        except Exception as error:  # noqa: BLE001 - the top: every error gets a response here
            response = answer(request, error)
        return response

    @web.middleware
    async def check_access(request: web.Request, handler: Handler) -> web.StreamResponse:
        with share.counted(request):
            origin.check_host(request, settings)
            origin.check_origin(request, settings)
            await authenticator.authorise(request)
            return await handler(request)

    return [log_request, answer_errors, audited.recording(recorder), check_access]


def _observe(request: web.Request, duration_s: float) -> None:
    """Counts the duration of an answer, unless it is of a file, a stream or a probe."""
    path = request.path
    if path == _INGEST:
        _DURATIONS["ingest"].observe(duration_s)
    elif path.startswith("/v1/"):
        _DURATIONS["api"].observe(duration_s)
    elif not path.startswith(_MACHINES):
        _DURATIONS["page"].observe(duration_s)


def _sign_in_at(request: web.Request) -> str:
    """The sign-in page, with the page to return to unless its address is long: proxies hold headers of 4 KiB."""
    query = urlencode({"next": request.rel_url.raw_path_qs})
    return f"/sign-in?{query}" if len(query) <= _NEXT_LONGEST else "/sign-in"


def _wants_page(request: web.Request) -> bool:
    """Whether a person would see the response. Requests of scripts and images have another Sec-Fetch-Mode."""
    wants = "text/html" in request.headers.get("Accept", "") and not request.path.startswith(_MACHINES)
    return wants and request.headers.get("Sec-Fetch-Mode", "navigate") == "navigate"
