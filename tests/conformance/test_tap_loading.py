"""How pages load the tap, and its messages to developers; in Chromium, with a fake SDK."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from playwright.async_api import Browser, Page

from tests.conformance.app_pages import SDK_FOLDER
from tests.conformance.event_server import event_server
from tests.conformance.watching import eventually
from tests.support.chromium import chromium
from tests.support.process import free_port, serving
from tests.support.small_server import served

DOCS = Path(__file__).parents[2] / "docs/web-tap.md"
SDK = """<!doctype html><meta charset="utf-8"><title>An app</title><script>
class ZIM {
  static create() { return (ZIM.shared ??= new ZIM()); }
  static getInstance() { return ZIM.shared ?? null; }
  static getVersion() { return "9.9.9"; }
  slots = new Map();
  on(type, handler) { this.slots.set(type, handler); }
  off(type) { this.slots.delete(type); }
  login() { this.slots.get("connectionStateChanged")?.(this, { state: 2, event: 0 }); return Promise.resolve(); }
}
window.errors = [];
addEventListener("error", (event) => errors.push(event.message));
addEventListener("unhandledrejection", (event) => errors.push(String(event.reason)));
addEventListener("load", () => { window.isLoaded = true; });
</script>
"""
OWN_COPY = f'{SDK}<script src="/zim-tap.js"></script>'
APP = """<script>
  const zim = ZIM.create(1);
  zim.on("connectionStateChanged", () => { window.handled = (window.handled ?? 0) + 1; });
  zim.login("alice", "");
</script><p>The app</p>"""
LATER = "<script>window.begin = () => { ZIM.create(1).login('alice', ''); };</script>"

pytestmark = [pytest.mark.browser, pytest.mark.node]


def snippet(endpoint: str) -> str:
    """The snippet of docs/web-tap.md, as copied by a reader."""
    (found,) = re.findall(r"```html\n(<script>\nimport\(.*?</script>)\n```", DOCS.read_text(), re.DOTALL)
    return str(found).replace("https://zimwatch.example.com", endpoint)


@contextlib.asynccontextmanager
async def app(html: str, policy: str | None = None) -> AsyncIterator[str]:
    """The address of an app's page."""

    async def page(_request: web.Request) -> web.Response:
        headers = {"Content-Security-Policy": policy} if policy else {}
        return web.Response(text=html, content_type="text/html", headers=headers)

    async def tap(_request: web.Request) -> web.FileResponse:
        return web.FileResponse(SDK_FOLDER / "tap/zim-tap.js")

    async with served(web.get("/", page), web.get("/zim-tap.js", tap)) as address:
        yield f"{address}/"


async def opened(browser: Browser, address: str, warnings: list[str]) -> Page:
    page = await (await browser.new_context()).new_page()
    page.on("console", lambda line: warnings.append(line.text) if line.type == "warning" else None)
    await page.goto(address, wait_until="load")
    return page


async def check_untouched(browser: Browser, endpoint: str) -> None:
    """With the snippet the page loads, its app runs, and nothing is thrown."""
    async with app(SDK + snippet(endpoint) + APP) as address:
        page = await opened(browser, address, [])
        assert await page.evaluate("[window.isLoaded, window.handled, window.errors]") == [True, 1, []]
        await page.context.close()


async def test_the_snippet_neither_blocks_nor_breaks_a_page_while_zimwatch_is_stopped_down_or_slow(
    tmp_path: Path,
) -> None:
    async def slow(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        headers = ("200 OK", "Content-Type: text/javascript", "Access-Control-Allow-Origin: *", "Content-Length: 9999")
        writer.write(("HTTP/1.1 " + "\r\n".join(headers) + "\r\n\r\n/* the rest never comes */").encode())
        writers.append(writer)

    writers: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(slow, "127.0.0.1", 0)
    async with chromium() as browser, serving(tmp_path) as (endpoint, process):
        await check_untouched(browser, f"http://127.0.0.1:{free_port()}")
        await check_untouched(browser, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        process.send_signal(signal.SIGSTOP)
        try:
            await check_untouched(browser, endpoint)
        finally:
            process.send_signal(signal.SIGCONT)
        server.close()
        for writer in writers:
            writer.close()
    assert writers


async def test_the_snippet_installs_before_create_or_not_at_all(tmp_path: Path) -> None:
    async with serving(tmp_path) as (endpoint, _), chromium() as browser:
        warnings: list[str] = []
        async with app(SDK + snippet(endpoint) + APP) as address:
            page = await opened(browser, address, warnings)
            await eventually(lambda: _is(bool(warnings)))
            assert "too late: install the tap before ZIM.create()" in warnings[0]
            assert await page.evaluate("[window.handled, window.errors, window.zimTap === undefined]") == [1, [], True]
        async with app(SDK + snippet(endpoint) + LATER) as address:
            page = await opened(browser, address, warnings)
            await page.wait_for_function("window.zimTap")
            await page.evaluate("begin()")
            assert await page.evaluate("zimTap.flush()") == 0
    assert len(warnings) == 1


async def _is(value: bool) -> bool:  # noqa: FBT001 - a condition to wait for
    return value


async def install(page: Page, endpoint: str) -> Any:
    return await page.evaluate(
        """async (endpoint) => {
          window.tap = ZimTap.install(ZIM, { endpoint });
          ZIM.create(1).login("alice", "");
          await tap.flush();
        }""",
        endpoint,
    )


async def test_a_blocking_policy_is_reported_once_and_by_name() -> None:
    warnings: list[str] = []
    async with (
        event_server() as server,
        app(OWN_COPY, "connect-src 'self'") as address,
        chromium() as browser,
    ):
        page = await opened(browser, address, warnings)
        await install(page, server.url)
        for _ in range(2):
            await page.evaluate("tap.flush()")
        problem = await page.evaluate("tap.status().problem")
    assert problem == (f"the page's Content-Security-Policy blocks {server.url}/v1/events: name it in connect-src")
    assert [line for line in warnings if line.startswith("ZimTap")] == [f"ZimTap: {problem}"]
    assert server.requests == []


async def test_a_policy_that_blocks_other_requests_is_not_reported() -> None:
    warnings: list[str] = []
    async with event_server() as server, app(OWN_COPY, f"connect-src {server.url}") as address, chromium() as browser:
        page = await opened(browser, address, warnings)
        await page.evaluate("fetch('http://127.0.0.1:9/v1/events').catch(() => {})")
        await install(page, server.url)
        assert await page.evaluate("tap.status().problem") is None
    assert [line for line in warnings if line.startswith("ZimTap")] == []


async def test_a_problem_ends_once_another_tab_has_delivered() -> None:
    async with (
        event_server(lambda number, _batch: web.Response(status=503) if number == 1 else None) as server,
        app(OWN_COPY) as address,
        chromium() as browser,
    ):
        page = await opened(browser, address, [])
        await install(page, server.url)
        assert await page.evaluate("[tap.status().problem, tap.status().queued > 0]") == [
            "the server answered 503",
            True,
        ]
        other = await page.context.new_page()
        await other.goto(address)
        await other.evaluate("async (endpoint) => { await ZimTap.install(ZIM, { endpoint }).flush(); }", server.url)
        assert len({event["id"] for event in server.accepted}) == len(server.accepted) == 3
        await page.evaluate("tap.flush()")
        status = await page.evaluate("tap.status()")
    assert (status["problem"], status["failures"], status["queued"]) == (None, 0, 0)


async def test_a_withdrawn_consent_empties_the_queue_of_all_tabs() -> None:
    async with (
        event_server(lambda number, _batch: web.Response(status=503) if number == 1 else None) as server,
        app(OWN_COPY) as address,
        chromium() as browser,
    ):
        page = await opened(browser, address, [])
        await install(page, server.url)
        assert await page.evaluate("tap.status().queued") > 0
        await page.evaluate("tap.stop()")
        assert await page.evaluate("[tap.status().queued, tap.status().queuedBytes]") == [0, 0]
        other = await page.context.new_page()
        await other.goto(address)
        await install(other, server.url)
    assert [event["seq"] for event in server.accepted] == [1, 2, 3]


async def test_after_a_withdrawn_consent_nothing_is_sent_and_a_later_one_begins_a_new_client() -> None:
    script = """async ([endpoint, queue]) => {
        const begin = (heartbeatSeconds) => {
            const tap = ZimTap.install(ZIM, { endpoint, queue, heartbeatSeconds });
            ZIM.create(1).on("connectionStateChanged", () => {});
            ZIM.shared.login("alice", "");
            return tap;
        };
        const tap = begin(0.05);
        const sent = tap.flush(); // it reads the queue meanwhile
        await Promise.all([tap.stop(), sent]);
        await new Promise((resolve) => setTimeout(resolve, 200)); // heartbeats would have come
        const left = [await tap.flush(), tap.status().queued];
        ZIM.shared = null; // destroy() in the SDK
        const later = begin(15);
        await later.flush();
        later.uninstall();
        return left;
    }"""
    for queue in (True, False):
        async with event_server() as server, app(OWN_COPY) as address, chromium() as browser:
            page = await opened(browser, address, [])
            options = [server.url, "zimwatch-tap" if queue else False]
            assert await page.evaluate(script, options) == [0, 0]
        told = [event for event in server.accepted if event["type"] != "heartbeat"]
        assert [event["seq"] for event in told] == [1, 2, 3], queue
        assert len({event["client_id"] for event in server.accepted}) == 1


async def test_a_batch_that_is_being_packed_when_consent_is_withdrawn_is_not_sent() -> None:
    script = """async (endpoint) => {
        const Packing = CompressionStream;
        window.CompressionStream = class extends Packing {
            constructor(format) {
                super(format);
                window.stopped = tap.stop();
            }
        };
        const tap = ZimTap.install(ZIM, { endpoint, queue: false, appVersion: "4".repeat(256) });
        ZIM.create(1).on("connectionStateChanged", () => {});
        for (let call = 0; call < 9; call += 1) ZIM.shared.login("alice", "");
        const left = await tap.flush();
        return [left, await window.stopped];
    }"""
    async with event_server() as server, app(OWN_COPY) as address, chromium() as browser:
        page = await opened(browser, address, [])
        assert await page.evaluate(script, server.url) == [0, None]
    assert server.requests == []


async def test_pages_that_share_a_queue_share_the_interval_between_heartbeats() -> None:
    """One of them sends for all, and gets the answers."""
    named: list[int | None] = [None]
    beats: list[str] = []

    def paced(_number: int, batch: list[Any]) -> web.Response:
        beats.extend(event["user_id"] for event in batch if event["type"] == "heartbeat")
        return web.json_response(
            {"accepted": len(batch), "duplicates": 0, "rejected": [], "heartbeat_after_s": named[0]}
        )

    script = """async ([endpoint, user]) => {
        window.tap = ZimTap.install(ZIM, { endpoint, heartbeatSeconds: 3600 });
        ZIM.create(1).on("connectionStateChanged", () => {});
        ZIM.shared.login(user, "");
        while (await tap.flush()) {}
    }"""
    async with event_server(paced) as server, app(OWN_COPY) as address, chromium() as browser:
        context = await browser.new_context()
        quiet, other = [await context.new_page() for _ in range(2)]
        for page, user in ((quiet, "alice"), (other, "bob")):
            await page.goto(address)
            await page.evaluate(script, [server.url, user])
            named[0] = 1  # of which only the other page gets an answer

        async def has_learnt() -> bool:
            return "alice" in beats

        await eventually(has_learnt)
