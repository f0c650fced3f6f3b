"""A page that arrives in pieces: what is drawn already does not move."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from typing import Final

import pytest
from aiohttp import web
from playwright.async_api import Browser

from tests.browser.test_pages import PATHS
from tests.support.pages import opened, settled, some_users
from tests.support.running import Zimwatch
from tests.support.small_server import served

# Where a piece ends: before each block of a page, and before the rows of a table.
BLOCKS: Final = re.compile(rb"(?=<(?:section|form|table|tbody|nav|ul|p|div) ?)")
# Chromium draws a frame each 17 ms. A piece that is not drawn alone hides a fault at most.
PAUSE_S: Final = 0.025


@contextlib.asynccontextmanager
async def in_pieces(running: Zimwatch) -> AsyncIterator[str]:
    """A proxy that sends the main part of a page piece by piece, and no stream."""

    async def forward(request: web.Request) -> web.StreamResponse:
        if request.path.startswith("/live/"):
            return web.Response(status=204)
        accept = request.headers.get("Accept", "")
        async with running.http.get(request.rel_url, headers={"Accept": accept}) as answer:
            raw = await answer.read()
        if answer.content_type != "text/html":
            return web.Response(body=raw, status=answer.status, content_type=answer.content_type, charset="utf-8")
        response = web.StreamResponse(status=answer.status, headers={"Content-Type": "text/html; charset=utf-8"})
        response.headers["Content-Security-Policy"] = answer.headers["Content-Security-Policy"]
        await response.prepare(request)
        before, main, after = raw.partition(b"<main")
        await response.write(before + main)
        for piece in BLOCKS.split(after):
            await response.write(piece)
            await asyncio.sleep(PAUSE_S)
        return response

    async with served(web.get("/{path:.*}", forward), shutdown_timeout=0) as address:
        yield address


LISTS: Final = ["/", "/alerts/1", "/alerts?group=kind", "/alerts?state=resolved"]


@pytest.mark.parametrize(
    ("paths", "width"),
    [
        (LISTS, 1440),
        pytest.param(PATHS, 1440, marks=pytest.mark.soak),
        pytest.param(PATHS, 360, marks=pytest.mark.soak),
    ],
    ids=["lists", "all", "all on a phone"],
)
async def test_no_page_moves_while_it_arrives(
    running: Zimwatch, browser: Browser, paths: list[str], width: int
) -> None:
    await some_users(running)
    page = await opened(browser, [], viewport={"width": width, "height": 900})
    async with in_pieces(running) as url:
        for path in paths:
            await page.goto(url + path)
            await settled(page, path)
            if width > 360:  # where the bar of bulk actions has its room before a row is chosen
                chosen = await page.locator(".choose input").count()
                assert await page.locator("#bulk").is_visible() == bool(chosen), path
        await page.close()
