"""Files of the package that programs load: the API's description, and the Web tap."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Final

import msgspec
from aiohttp import web

from sidecar.access import routing
from sidecar.access.policy import Action
from sidecar.settings import Settings
from sidecar.web.files import File

_TAP_FILES: Final = ("zim-tap.js", "zim-tap.mjs", "zim-tap.d.ts", "zim-tap.d.mts", "zim-tap-file.cjs")
# How long a page may run the tap of before an upgrade. Its name stays, as apps load it by that.
_TAP_AGE_S: Final = 300


@cache
def _tap_file(name: str) -> File:
    return File((resources.files("sidecar.sdk.tap") / name).read_bytes(), "text/javascript")


def routes(settings: Settings) -> list[web.AbstractRouteDef]:
    """``/openapi.json`` and ``/tap/…``."""
    description = (resources.files("schemas") / "openapi.json").read_bytes()
    if public_url := settings.server.public_url:
        document = msgspec.json.decode(description)
        description = msgspec.json.encode({**document, "servers": [{"url": public_url.rstrip("/")}]})

    async def openapi(_request: web.Request) -> web.Response:
        return web.Response(body=description, content_type="application/json")

    async def tap(request: web.Request) -> web.Response:
        return _tap_file(request.path.rpartition("/")[2]).response(request, f"public, max-age={_TAP_AGE_S}")

    return [
        routing.get("/openapi.json", openapi, Action.SEE_COUNTS),
        *(routing.get(f"/tap/{name}", tap, routing.OPEN) for name in _TAP_FILES),
    ]
