"""The headers of every response: pages, files, API calls, streams and errors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web
from multidict import CIMultiDict

from sidecar.access import audit
from sidecar.access.proxies import public_request
from sidecar.settings import Settings
from sidecar.web import origin
from sidecar.web.audited import REQUEST_ID_HEADER

_USUAL: Final = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
}
_STREAM: Final = {
    "Cache-Control": "no-store, no-transform",  # a compressing proxy would buffer it
    "X-Accel-Buffering": "no",  # nginx and others then forward each message at once
}


def protect(headers: CIMultiDict[str], *, share: bool = False) -> None:
    """Forbids framing and, unless it is to ``share``, use by pages of other origins."""
    for name, value in _USUAL.items():
        headers.setdefault(name, value)
    headers.setdefault("Cross-Origin-Resource-Policy", "cross-origin" if share else "same-origin")


def vary_by(headers: CIMultiDict[str], name: str) -> None:
    """Tells caches that the response depends on this header of the request, beside what it depends on already."""
    names = [one.strip() for value in headers.getall("Vary", ()) for one in value.split(",")]
    if "*" not in names and name not in names:
        headers["Vary"] = ", ".join([*names, name])


def completing(settings: Settings) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """A handler for ``on_response_prepare``; headers that a response has already stay."""

    async def complete(request: web.Request, response: web.StreamResponse) -> None:
        headers, shared, is_tap = response.headers, origin.is_shared(request), request.path.startswith("/tap/")
        protect(headers, share=is_tap)
        if (request_id := request.get(audit.REQUEST_ID)) is not None:
            headers[REQUEST_ID_HEADER] = request_id
        if response.content_type == "text/event-stream":
            headers.update(_STREAM)
        if headers.get("Location", "").startswith("/"):
            headers["Location"] = public_request(request, settings.server).prefix + headers["Location"]
        sender = request.headers.get("Origin")
        if shared and sender and origin.origin_is_allowed(sender, settings):
            headers["Access-Control-Allow-Origin"] = sender
            headers["Access-Control-Expose-Headers"] = "Date, Retry-After"
            vary_by(headers, "Origin")
        elif is_tap:
            vary_by(headers, "Origin")  # a browser keeps it, and may load it with an Origin next time

    return complete
