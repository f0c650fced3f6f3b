"""A page whose second half arrives late: what is drawn already does not move."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from playwright.async_api import Browser

from tests.support.pages import opened, settled, some_users
from tests.support.running import Zimwatch
from tests.support.small_server import served

PAINTED = "new PerformanceObserver(() => painted()).observe({type: 'paint', buffered: true});"


@contextlib.asynccontextmanager
async def in_halves(running: Zimwatch, painted: asyncio.Event) -> AsyncIterator[str]:
    """A proxy that sends a page up to its first row, and the rest once the browser has drawn that."""

    async def forward(request: web.Request) -> web.StreamResponse:
        if request.path.startswith("/live/"):
            return web.Response(status=204)
        accept = request.headers.get("Accept", "")
        async with running.http.get(request.rel_url, headers={"Accept": accept}) as answer:
            raw = await answer.read()
        rows = raw.find(b"<tbody") if request.path == "/alerts" else -1
        if rows < 0:
            return web.Response(body=raw, status=answer.status, content_type=answer.content_type, charset="utf-8")
        response = web.StreamResponse(headers={"Content-Type": "text/html; charset=utf-8"})
        response.headers["Content-Security-Policy"] = answer.headers["Content-Security-Policy"]
        await response.prepare(request)
        await response.write(raw[:rows])
        async with asyncio.timeout(20):
            await painted.wait()
        await response.write(raw[rows:])
        return response

    async with served(web.get("/{path:.*}", forward), shutdown_timeout=0) as address:
        yield address


@pytest.mark.parametrize("path", ["/alerts?group=kind", "/alerts?state=resolved"])
async def test_the_bar_of_bulk_actions_has_its_room_before_the_list_is_there(
    running: Zimwatch, browser: Browser, path: str
) -> None:
    await some_users(running)
    painted = asyncio.Event()
    page = await opened(browser, [], viewport={"width": 820, "height": 900})
    await page.expose_function("painted", painted.set)
    await page.add_init_script(PAINTED)
    async with in_halves(running, painted) as url:
        await page.goto(url + path)
        await settled(page)
        chosen = await page.locator(".choose input").count()
        assert await page.locator("#bulk").is_visible() == bool(chosen)
        await page.close()
