"""Records each request in the audit log once it is answered; a stream as it begins."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from random import Random
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from sidecar.access import audit
from sidecar.access.audit.trail import TRAIL

REQUEST_ID_HEADER: Final = "X-Request-Id"
# Another one is replaced: it goes into log lines and tables.
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_FAILED: Final = 500


def request_id(request: web.Request, chance: Random) -> str:
    """The id that the client or a proxy gave the request, else a new one."""
    given = request.headers.get(REQUEST_ID_HEADER, "")
    return given if _REQUEST_ID.fullmatch(given) else f"{chance.getrandbits(64):016x}"


def recording(recorder: audit.Recorder) -> Middleware:
    """The middleware around access and handlers. A look that cannot be recorded is refused with 503."""

    @web.middleware
    async def record(request: web.Request, handler: Handler) -> web.StreamResponse:
        trail = recorder.begin(request)
        try:
            response = await handler(request)
        except ConnectionError:
            raise  # the client disconnected
        except Exception as error:
            await recorder.settle(trail, getattr(error, "status", _FAILED), error)
            raise
        await recorder.settle(trail, response.status)
        return response

    return record


def beginning(recorder: audit.Recorder) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """A handler for ``on_response_prepare``: a stream may last for days, and is recorded before its first byte."""

    async def begin(request: web.Request, response: web.StreamResponse) -> None:
        trail = request.get(TRAIL)
        if trail is not None and trail.rule is not None and not trail.rule.is_change:
            await recorder.settle(trail, response.status)

    return begin
