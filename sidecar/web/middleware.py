"""The middleware of every request, outermost first: log line and span, error responses, access."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from urllib.parse import urlencode

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from opentelemetry import trace

from sidecar import access
from sidecar.domain.texts import Text
from sidecar.settings import Settings
from sidecar.web import origin, problem
from sidecar.web.client_share import ClientShare

_log = structlog.get_logger("zimwatch.request")
_tracer = trace.get_tracer("zimwatch")
_MACHINES = ("/v1/", "/tap/", "/static/", "/live/", "/openapi.json", "/livez", "/readyz", "/metrics")
_QUIET = ("/livez", "/readyz", "/static/")


ErrorPage = Callable[[int, Text, Mapping[str, str]], web.Response]
"""Renders an error for a person, from its status, a sentence, and the headers to send."""


def middlewares(authenticator: access.Authenticator, settings: Settings, error_page: ErrorPage) -> list[Middleware]:
    """All of them, in order. A browser that navigates gets ``error_page``, any other client a problem document."""
    share = ClientShare(settings.server)

    @web.middleware
    async def log_request(request: web.Request, handler: Handler) -> web.StreamResponse:
        resource = request.match_info.route.resource
        template = resource.canonical if resource else "unknown"
        begun = time.perf_counter()  # noqa: TID251 - for people; nothing depends on it
        with _tracer.start_as_current_span(f"{request.method} {template}", kind=trace.SpanKind.SERVER) as span:
            response = await handler(request)
            span.set_attribute("http.request.method", request.method)
            span.set_attribute("http.route", template)
            span.set_attribute("http.response.status_code", response.status)
            write = _log.debug if request.path.startswith(_QUIET) else _log.info
            duration = round((time.perf_counter() - begun) * 1000, 2)  # noqa: TID251 - same
            if not response.prepared:
                response.headers["Server-Timing"] = f"app;dur={duration}"  # https://www.w3.org/TR/server-timing/
            write("request", method=request.method, route=template, status=response.status, duration_ms=duration)
            return response

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
            access.begin(request, await authenticator.authorise(request))
            return await handler(request)

    return [log_request, answer_errors, check_access]


def _sign_in_at(request: web.Request) -> str:
    """The sign-in page, with the page to return to."""
    return "/sign-in?" + urlencode({"next": request.rel_url.raw_path_qs})


def _wants_page(request: web.Request) -> bool:
    """Whether a person would see the response. Requests of scripts and images have another Sec-Fetch-Mode."""
    wants = "text/html" in request.headers.get("Accept", "") and not request.path.startswith(_MACHINES)
    return wants and request.headers.get("Sec-Fetch-Mode", "navigate") == "navigate"
