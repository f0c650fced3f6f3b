"""Files of the package that programs load: the API's description, and the Web tap."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources

import msgspec
from aiohttp import web

from sidecar.settings import Settings

_TAP_FILES = ("zim-tap.js", "zim-tap.mjs", "zim-tap.d.ts", "zim-tap.d.mts", "zim-tap-file.cjs")


@cache
def _file(package: str, name: str) -> tuple[bytes, str]:
    """A file's content and digest."""
    content = (resources.files(package) / name).read_bytes()
    return content, hashlib.sha256(content).hexdigest()[:16]


def routes(settings: Settings) -> list[web.AbstractRouteDef]:
    """``/openapi.json`` and ``/tap/…``."""
    description = _file("schemas", "openapi.json")[0]
    if public_url := settings.server.public_url:
        document = msgspec.json.decode(description)
        description = msgspec.json.encode({**document, "servers": [{"url": public_url.rstrip("/")}]})

    async def openapi(_request: web.Request) -> web.Response:
        return web.Response(body=description, content_type="application/json")

    async def tap(request: web.Request) -> web.Response:
        content, digest = _file("sidecar.sdk.tap", request.path.rpartition("/")[2])
        tag = f'W/"{digest}"'  # weak: the same for compressed and plain
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
        web.get("/openapi.json", openapi),
        *(web.get(f"/tap/{name}", tap) for name in _TAP_FILES),
    ]
