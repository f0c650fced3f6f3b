"""Compresses responses with gzip, for clients that accept it.

A page or a JSON document is compressed whole; so are the files, once for all requests (``sidecar.web.files``). Left as
they are: what is small, what is streamed, and what says ``no-transform`` because it holds a secret beside what its
request says (BREACH, https://www.breachattack.com).
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from multidict import CIMultiDictProxy

from sidecar.system.threads import Threads, run_in
from sidecar.web.headers import vary_by

GZIP: Final = "gzip"
ENCODING: Final = "Accept-Encoding"
# A smaller body is sent in one packet either way.
LEAST_BYTES: Final = 1_024
# A larger body takes over a millisecond, for which the event loop does not wait.
AT_ONCE_BYTES: Final = 65_536
LEVEL: Final = 6
_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS
_TEXTS: Final = frozenset(
    {"text/html", "application/json", "application/problem+json", "text/plain", "application/openmetrics-text"}
)


def gzipped(body: bytes) -> bytes:
    """A gzip file of ``body``; equal bytes give equal files."""
    return zlib.compress(body, LEVEL, _GZIP_WINDOW)


def accepts_gzip(headers: CIMultiDictProxy[str]) -> bool:
    """Whether a client accepts gzip at least as gladly as no encoding (RFC 9110, section 12.5.3)."""
    weights: dict[str, float] = {}
    for part in ",".join(headers.getall(ENCODING, ())).lower().split(","):
        name, _, parameter = part.partition(";")
        key, _, value = parameter.partition("=")
        try:
            weights[name.strip()] = float(value) if key.strip() == "q" else 1.0
        except ValueError:
            weights[name.strip()] = 0.0
    weight = weights.get(GZIP, weights.get("*", 0.0))
    return weight > 0 and weight >= weights.get("identity", 0.0)


def _compressible(response: web.Response) -> bytes | None:
    """The body, if it is sent with gzip to a client that accepts it."""
    body = response.body
    if not isinstance(body, bytes) or len(body) <= LEAST_BYTES or "Content-Encoding" in response.headers:
        return None
    is_secret = "no-transform" in response.headers.get("Cache-Control", "")
    return None if is_secret or response.content_type not in _TEXTS else body


def compressing(pool: Executor) -> Middleware:
    """The middleware that compresses. Outermost, so that it compresses error pages too."""

    @web.middleware
    async def compress(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        if isinstance(response, web.Response) and (body := _compressible(response)) is not None:
            vary_by(response.headers, ENCODING)
            if accepts_gzip(request.headers):
                response.body = gzipped(body) if len(body) <= AT_ONCE_BYTES else await run_in(pool, gzipped, body)
                response.headers["Content-Encoding"] = GZIP
        return response

    return compress


def pool_of(threads: Threads) -> tuple[Executor, Callable[[web.Application], AsyncIterator[None]]]:
    """The pool in which large bodies are compressed, and the context of an application that closes it."""
    pool = threads.pool("compression", 1)

    async def closing(_application: web.Application) -> AsyncIterator[None]:
        yield
        pool.shutdown(wait=False)

    return pool, closing
