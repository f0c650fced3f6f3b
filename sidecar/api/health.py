"""Whether Zimwatch is alive and can commit, its metrics, its description, and the Web tap."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from functools import cache
from importlib import resources

from aiohttp import web

from sidecar.api import json
from sidecar.store import Store

_TAP_FILES = ("zim-tap.js", "zim-tap.mjs", "zim-tap.d.ts", "zim-tap.d.mts", "zim-tap-file.cjs")
MetricsText = Callable[[], Awaitable[tuple[bytes, str]]]


@cache
def _file(package: str, name: str) -> tuple[bytes, str]:
    content = (resources.files(package) / name).read_bytes()
    return content, hashlib.sha256(content).hexdigest()[:16]


def routes(store: Store, metrics_text: MetricsText) -> list[web.AbstractRouteDef]:
    """What programs ask of the process itself."""

    async def alive(_request: web.Request) -> web.Response:
        return json.response({"status": "ok"})

    async def ready(_request: web.Request) -> web.Response:
        if store.problem is not None:
            return json.response({"status": "failing", "reason": store.problem}, 503)
        return json.response({"status": "ok"})

    async def metrics(_request: web.Request) -> web.Response:
        text, content_type = await metrics_text()
        return web.Response(body=text, headers={"Content-Type": content_type})

    async def openapi(_request: web.Request) -> web.Response:
        return web.Response(body=_file("schemas", "openapi.json")[0], content_type="application/json")

    async def tap(request: web.Request) -> web.Response:
        content, digest = _file("sidecar.sdk", request.path.rpartition("/")[2])
        tag = f'W/"{digest}"'  # weak: the same for the packed and the plain
        headers = {
            "ETag": tag,
            "Cache-Control": "no-cache",
            "Cross-Origin-Resource-Policy": "cross-origin",
            "Vary": "Accept-Encoding",
        }
        if request.headers.get("If-None-Match") == tag:
            return web.Response(status=304, headers=headers)
        response = web.Response(body=content, headers=headers, content_type="text/javascript", charset="utf-8")
        response.enable_compression()
        return response

    return [
        web.get("/livez", alive),
        web.get("/readyz", ready),
        web.get("/metrics", metrics),
        web.get("/openapi.json", openapi),
        *(web.get(f"/tap/{name}", tap) for name in _TAP_FILES),
    ]
