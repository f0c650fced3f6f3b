"""The files beside the pages: style, scripts and the icon."""

from __future__ import annotations

from importlib import resources
from typing import Final

from aiohttp import web

_TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def routes() -> list[web.AbstractRouteDef]:
    """``/static/{name}``."""

    async def static(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        file = resources.files("dashboard") / "static" / name
        kind = _TYPES.get(name[name.rfind(".") :])
        if kind is None or not file.is_file():
            raise web.HTTPNotFound
        headers = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
        return web.Response(body=file.read_bytes(), content_type=kind, charset="utf-8", headers=headers)

    return [web.get("/static/{name:[a-z0-9.-]+}", static)]
