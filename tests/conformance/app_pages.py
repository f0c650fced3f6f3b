"""The web server of an app, on another origin than Zimwatch, and Chromium without ZIM servers."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web

from tests.support.small_server import served

ROOT = Path(__file__).parents[2]
SDK_FOLDER = ROOT / "sidecar/sdk"
FILES = {
    "/sdk.js": SDK_FOLDER / "node/node_modules/zego-zim-web/index.js",
    "/zim-tap.js": SDK_FOLDER / "tap/zim-tap.js",
    "/app.js": ROOT / "tests/conformance/scripts/watched-app.js",
    "/app-log.js": ROOT / "tests/conformance/scripts/app-log.js",
    "/faults.js": ROOT / "tests/conformance/scripts/faults.js",
}
SERVED_BY_ZIMWATCH = """<!doctype html><meta charset="utf-8"><title>An app</title>
<script src="/sdk.js"></script>
<script src="{address}/tap/zim-tap.js"></script>
<script src="/app.js"></script>
<script type="module">
import {{ ZimTap as named }} from "{address}/tap/zim-tap.mjs";
import "{address}/tap/zim-tap.js";
window.loadedAsModule = named === ZimTap && typeof ZimTap.install;
</script>"""
# With the app's own copy of the tap, which loads while Zimwatch is down.
OWN_COPY = """<!doctype html><meta charset="utf-8"><title>An app</title>
<script src="/sdk.js"></script>
<script src="/zim-tap.js"></script>
<script src="/app.js"></script>
<script src="/app-log.js"></script>
<script src="/faults.js"></script>"""
# The app of docker/compose.yaml, with the addresses of this test.
SAMPLE = (ROOT / "docker/sample/index.html").read_text()
# Everything that the SDK needs, and nothing of Zimwatch.
CLOSED = "connect-src 'self' wss: https:"


@contextlib.asynccontextmanager
async def app_server(address: str) -> AsyncIterator[str]:
    """A page that loads the tap from ``address``, as ``sample`` below it does; ``own`` and ``closed`` do without it."""

    async def page(_request: web.Request) -> web.Response:
        return web.Response(text=SERVED_BY_ZIMWATCH.format(address=address), content_type="text/html")

    async def sample(_request: web.Request) -> web.Response:
        text = re.sub(r"https://unpkg.com/[^\"]+", "/sdk.js", SAMPLE).replace("http://127.0.0.1:8790", address)
        return web.Response(text=text, content_type="text/html")

    async def own(_request: web.Request) -> web.Response:
        return web.Response(text=OWN_COPY, content_type="text/html")

    async def closed(_request: web.Request) -> web.Response:
        return web.Response(text=OWN_COPY, content_type="text/html", headers={"Content-Security-Policy": CLOSED})

    async def file(request: web.Request) -> web.FileResponse:
        return web.FileResponse(FILES[request.path])

    pages = {"/": page, "/sample": sample, "/own": own, "/closed": closed} | dict.fromkeys(FILES, file)
    async with served(*(web.get(path, handler) for path, handler in pages.items())) as own_address:
        yield f"{own_address}/"


def to(network: int) -> str:
    """Chromium's argument that maps every ZIM server to a port of this machine."""
    return f"--host-resolver-rules=MAP *.coolbcloud.com:443 127.0.0.1:{network}"
