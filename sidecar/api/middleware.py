"""What every request goes through, outermost first: its log line and span, its errors, and the guard."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from opentelemetry import trace

from sidecar.api import guard, problem
from sidecar.settings import Settings
from sidecar.store import Store

_log = structlog.get_logger("zimwatch.request")
_tracer = trace.get_tracer("zimwatch")
_MACHINES = ("/v1/", "/tap/", "/static/", "/live/", "/openapi.json", "/livez", "/readyz", "/metrics")
_QUIET = ("/livez", "/readyz", "/static/")


ErrorPage = Callable[[int, str, Mapping[str, str]], web.Response]
"""Tells a person about an error: its status, a sentence, and the headers that the answer must have."""


def middlewares(store: Store, settings: Settings, error_page: ErrorPage) -> list[Middleware]:
    """All of them, in order. A browser that asked for a page gets ``error_page``, everybody else a problem document."""

    @web.middleware
    async def log_request(request: web.Request, handler: Handler) -> web.StreamResponse:
        resource = request.match_info.route.resource
        template = resource.canonical if resource else "unknown"
        begun = time.perf_counter()
        with _tracer.start_as_current_span(f"{request.method} {template}", kind=trace.SpanKind.SERVER) as span:
            response = await handler(request)
            span.set_attribute("http.request.method", request.method)
            span.set_attribute("http.route", template)
            span.set_attribute("http.response.status_code", response.status)
            write = _log.debug if request.path.startswith(_QUIET) else _log.info
            duration = round((time.perf_counter() - begun) * 1000, 2)
            if not response.prepared:
                response.headers["Server-Timing"] = f"app;dur={duration}"  # https://www.w3.org/TR/server-timing/
            write("request", method=request.method, route=template, status=response.status, duration_ms=duration)
            return response

    @web.middleware
    async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            response = await handler(request)
        except Exception as error:  # noqa: BLE001 - the top: every error gets an answer here
            told = problem.of(error)
            response = (
                error_page(told.status, str(told), told.headers) if _wants_page(request) else problem.response(told)
            )
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        origin = request.headers.get("Origin")
        shared = request.path == "/v1/events" or request.path.startswith("/tap/")
        if origin and shared and not response.prepared and guard.origin_is_allowed(origin, settings):
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Expose-Headers"] = "Date, Retry-After"
            response.headers.add("Vary", "Origin")
        return response

    @web.middleware
    async def let_in(request: web.Request, handler: Handler) -> web.StreamResponse:
        guard.check_host(request, settings)
        guard.check_origin(request, settings)
        request[guard.TOKEN] = await guard.check_token(request, store)
        return await handler(request)

    return [log_request, answer_errors, let_in]


def _wants_page(request: web.Request) -> bool:
    return "text/html" in request.headers.get("Accept", "") and not request.path.startswith(_MACHINES)
