"""What pages of other origins learn from Chromium, and the dashboard below a path behind nginx."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from playwright.async_api import Browser, expect
from yarl import URL

from sidecar.settings import AlertSettings, ServerSettings
from tests.support.pages import APP, ago, opened, report, some_users
from tests.support.process import free_port
from tests.support.proxies import STRIPS, proxy
from tests.support.running import Zimwatch, zimwatch
from tests.support.small_server import served
from tests.support.tokens import new_token

# Whether each way of asking tells two addresses apart: "load" or "error", and what a script may read.
ASKS = """async (address) => {
  const element = (name, key) => new Promise((done) => {
    const made = document.createElement(name);
    made.onload = () => done("load"); made.onerror = () => done("error");
    made[key] = address; document.body.append(made); setTimeout(() => done("nothing"), 3000);
  });
  const fetched = (mode) => fetch(address, { mode, credentials: "include" }).then((a) => a.type, () => "error");
  return Promise.all([element("object", "data"), element("img", "src"), element("script", "src"),
    element("embed", "src"), fetched("no-cors"), fetched("cors")]);
}"""


@contextlib.asynccontextmanager
async def foreign_page() -> AsyncIterator[str]:
    """The address of a page on another origin."""

    async def page(_request: web.Request) -> web.Response:
        return web.Response(text="<!doctype html><title>foreign</title><body>", content_type="text/html")

    async with served(web.get("/", page), web.get("/favicon.ico", page)) as address:
        yield f"{address}/"


async def test_a_foreign_page_cannot_tell_who_is_a_user(running: Zimwatch, browser: Browser) -> None:
    await some_users(running)
    async with foreign_page() as address:
        page = await opened(browser, [])
        await page.goto(address)
        for path in (f"/v1/users/{APP}/", f"/users/{APP}/"):
            there, away = [await page.evaluate(ASKS, f"{running.url}{path}{name}") for name in ("alice", "nobody")]
            assert there == away
            assert there[4:] == ["error", "error"]
        # The tap is for such pages, and a link opens.
        await page.add_script_tag(url=f"{running.url}/tap/zim-tap.js")
        assert await page.evaluate("typeof ZimTap.install") == "function"
        await page.evaluate(f"location = '{running.url}/users/{APP}/alice'")
        await expect(page.get_by_role("heading", name="alice")).to_be_visible()


@pytest.mark.nginx
async def test_below_a_path_pages_are_live_and_keys_and_forms_lead_there(tmp_path: Path, browser: Browser) -> None:
    port, complaints = free_port(), list[str]()
    server = ServerSettings(public_url=f"http://127.0.0.1:{port}/zimwatch")
    async with zimwatch(tmp_path, server=server, alerts=AlertSettings(offline_too_long="0s")) as running:
        _, write = await new_token(running.store, "write")
        _, ingest = await new_token(running.store, "ingest")
        running.http.headers["Authorization"] = f"Bearer {ingest}"
        await report(running, "alice", {"occurred_at": ago(9)})
        upstream = URL(running.url).port
        assert upstream is not None
        async with proxy("nginx", tmp_path, upstream, port, path="/zimwatch", prefix=STRIPS) as address:
            page = await opened(browser, complaints)
            await page.goto(f"{address}/users/{APP}/alice")
            await page.locator("input[name=password]").fill(write)
            await page.keyboard.press("Enter")
            await expect(page.locator(".head .status")).to_have_text("Online")
            assert page.url == f"{address}/users/{APP}/alice"
            await report(running, "alice", {"occurred_at": ago(0), "state": 0, "event": 5}, begin=2)
            await expect(page.locator(".head .status")).to_have_text("Not logged in")
            await page.keyboard.press("g")
            await page.keyboard.press("u")
            await page.wait_for_url(f"{address}/users")
            await page.goto(f"{address}/silences")
            await page.locator("input[name=user_id]").fill("dave")
            await page.locator("[name=reason]").fill("rehearsal")
            await page.locator("button.primary").click()
            await expect(page.get_by_text("rehearsal")).to_be_visible()
            assert page.url == f"{address}/silences"
            assert [one["path"] for one in await page.context.cookies()] == ["/zimwatch"]
            await page.close()  # before the proxy, whose end would be an error of the page's stream
        assert complaints == []
