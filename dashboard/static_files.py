"""The files beside the pages: style, scripts and the icon.

Pages name each by an address with a digest of its content, so that a browser keeps it for good, and loads the new one
after an upgrade.
"""

from __future__ import annotations

from importlib import resources
from typing import Final

from aiohttp import web

from sidecar.access import routing
from sidecar.web.files import FOR_EVER, File

_TYPES: Final = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


def _read() -> dict[str, File]:
    folder = resources.files("dashboard") / "static"
    kinds = {file: _TYPES.get(file.name.rpartition(".")[2]) for file in folder.iterdir()}
    return {file.name: File(file.read_bytes(), kind) for file, kind in kinds.items() if kind is not None}


def _with_live(files: dict[str, File]) -> dict[str, File]:
    """With ``live.js``: htmx and its extension in one script, since htmx 4.0 does not wait for an extension."""
    parts = [files[name].content for name in ("htmx-4.0.1.min.js", "hx-sse-4.0.1.min.js")]
    return files | {"live.js": File(b";\n".join(parts), _TYPES["js"])}


_FILES: Final = _with_live(_read())


def address(name: str) -> str:
    """Where the file is, from the root of the dashboard."""
    return f"/static/{_FILES[name].digest}/{name}"


def routes() -> list[web.AbstractRouteDef]:
    """``/static/{digest}/{name}``, and ``/static/{name}`` for whatever its content is."""

    async def static(request: web.Request) -> web.Response:
        file = _FILES.get(request.match_info["name"])
        if file is None:
            raise web.HTTPNotFound
        # A page of another version asks for another content, and gets what there is, but not to keep.
        is_exact = request.match_info.get("digest") == file.digest
        return file.response(request, FOR_EVER if is_exact else "no-cache")

    return [
        routing.get("/static/{digest:[0-9a-f]{16}}/{name}", static, routing.OPEN),
        routing.get("/static/{name}", static, routing.OPEN),
    ]
