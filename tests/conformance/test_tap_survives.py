"""Recorded events arrive once and in order, whatever happens to the server, the page, the tab or the browser."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import os
import shutil
import signal
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from playwright.async_api import Browser, BrowserContext, Error, Page, Request, async_playwright

from sidecar.settings import LeaseSettings
from tests.conformance import watching
from tests.conformance.app_pages import app_server, to
from tests.support.chromium import FLAGS, chromium
from tests.support.process import free_port
from tests.support.running import zimwatch

# The SDK detects some 3 s after the login that it is offline, and treats a token as expired 2 s before its expiry.
TOKEN_S = 7
# For users who act before the expiry, also on a busy machine.
ACTS_TOKEN_S = 14
# For users who leave long before it.
LEAVES_TOKEN_S = 120
FULL_BYTES = 6_000
RUN = """(options) => {
  const say = (what) => { report(what); };
  return watchedApp({ ZIM, ZimTap, say, heartbeatSeconds: 0, ...options });
}"""
WATCH = "(options) => { window.tap = ZimTap.install(ZIM, options); }"
# The browser fires `online` when its network returns, and the SDK retries at once.
BACK_ONLINE = "window.dispatchEvent(new Event('online'))"

pytestmark = [pytest.mark.browser, pytest.mark.node]


class App:
    """One user's app on pages of one browser profile: ``log`` is the output of its SDK, over all pages."""

    def __init__(self, user_id: str, address: str, endpoint: str, **options: Any) -> None:
        self.user_id = user_id
        self.endpoint = endpoint
        self.log: list[watching.LogLine] = []
        self._address = f"{address}own"
        self._options = {"endpoint": endpoint, "appId": watching.APP, "userId": user_id, "userName": "", **options}
        self._running: asyncio.Task[Any] | None = None

    async def open(self, context: BrowserContext) -> Page:
        """A page on which the app does not run yet."""
        page = await context.new_page()
        await page.expose_function("report", lambda what: self.log.append(what))  # noqa: PLW0108 - it is wrapped
        await page.goto(self._address)
        return page

    def options(self, token_s: int = TOKEN_S) -> dict[str, Any]:
        """For a login that begins now."""
        return {**self._options, "token": watching.token04(token_s)}

    def start(self, page: Page, token_s: int = TOKEN_S) -> None:
        """Logs in until the token expires."""
        self._running = asyncio.create_task(page.evaluate(RUN, self.options(token_s)))

    async def expired(self) -> None:
        """Waits until the token expires."""
        assert self._running is not None
        await asyncio.wait_for(self._running, watching.ENDS_WITHIN_S)

    async def interrupted(self, page: Page) -> None:
        """Waits until it is offline after having been online, and this is recorded."""

        async def seen() -> bool:
            return {one["data"].get("state") for one in self.log if "data" in one} >= {2, 3}

        await watching.eventually(seen)
        assert await page.evaluate("tap.flush()") > 0

    async def lost(self) -> None:
        """Marks the page on which it ran as closed."""
        assert self._running is not None
        with contextlib.suppress(Error):
            await self._running

    def check(self, folder: Path) -> None:
        """Each event arrived once and in order: the callbacks, and by the sequence numbers all the others."""
        rows = watching.stored(folder, self.user_id)
        assert watching.stored_callbacks(rows) == watching.emitted_callbacks(self.log)
        clients = list(dict.fromkeys(row["client_id"] for row in rows))
        for client in clients:
            seqs = [row["seq"] for row in rows if row["client_id"] == client]
            assert seqs == list(range(1, len(seqs) + 1))
        assert len({row["id"] for row in rows}) == len(rows)

    async def arrived(self, folder: Path) -> None:
        """Waits until the last callback has arrived."""

        async def seen() -> bool:
            return len(watching.stored_callbacks(watching.stored(folder, self.user_id))) >= len(
                watching.emitted_callbacks(self.log)
            )

        await watching.eventually(seen)


@contextlib.asynccontextmanager
async def own_browser(profile: Path, network: int) -> AsyncIterator[tuple[BrowserContext, Process]]:
    """A browser in its own process group, which can be killed, with a profile that remains."""
    port_file = profile / "DevToolsActivePort"
    port_file.unlink(missing_ok=True)
    process = await asyncio.create_subprocess_exec(
        str(shutil.which("chromium")),
        *FLAGS,
        to(network),
        *(f"--user-data-dir={profile}", "--remote-debugging-port=0", "about:blank"),
        start_new_session=True,
        stdout=DEVNULL,
        stderr=DEVNULL,
    )
    try:

        async def listening() -> bool:
            return port_file.exists() and bool(port_file.read_text())

        await watching.eventually(listening)
        async with async_playwright() as playwright:
            browser = await playwright.chromium.connect_over_cdp(f"http://127.0.0.1:{port_file.read_text().split()[0]}")
            yield browser.contexts[0], process
    finally:
        if process.returncode is None:
            await kill(process)


async def kill(process: Process) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


async def duplicates(address: str) -> float:
    """How many events the server received again."""
    async with aiohttp.ClientSession() as http, http.get(f"{address}/metrics") as response:
        lines = (await response.text()).splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith('zimwatch_events_total{result="duplicate"'))


async def stays(alice: App, browser: Browser) -> Page:
    page = await alice.open(await browser.new_context())
    alice.start(page)
    await alice.expired()
    return page


async def reloads(bob: App, browser: Browser) -> Page:
    page = await bob.open(await browser.new_context())
    bob.start(page, LEAVES_TOKEN_S)
    await bob.interrupted(page)
    await page.reload()
    await bob.lost()
    bob.start(page)
    await bob.expired()
    return page


async def closes(carol: App, browser: Browser) -> None:
    context = await browser.new_context()
    page = await carol.open(context)
    carol.start(page)
    await carol.expired()
    other = await carol.open(context)
    await other.evaluate(WATCH, {"endpoint": carol.endpoint, "heartbeatSeconds": 1})
    await page.close()


async def shares(dave: App, erin: App, browser: Browser) -> list[Page]:
    context = await browser.new_context()
    pages = [await app.open(context) for app in (dave, erin)]
    for app, page in zip((dave, erin), pages, strict=True):
        app.start(page)
    await asyncio.gather(dave.expired(), erin.expired())
    return pages


async def is_killed(frank: App, profile: Path, network: int) -> None:
    async with own_browser(profile, network) as (context, process):
        page = await frank.open(context)
        frank.start(page, LEAVES_TOKEN_S)
        await frank.interrupted(page)
        await kill(process)
        await frank.lost()


async def runs_full(grace: App, browser: Browser) -> Page:
    page = await grace.open(await browser.new_context())
    grace.start(page, ACTS_TOKEN_S)
    await grace.interrupted(page)
    for _ in range(12):
        before = len(grace.log)
        await page.evaluate(BACK_ONLINE)

        async def again(count: int = before) -> bool:
            return len(grace.log) > count

        await watching.eventually(again)
    await grace.expired()
    return page


async def test_a_server_that_was_down_during_a_login_gets_every_event_once_and_in_order(tmp_path: Path) -> None:
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"

    async with app_server(endpoint) as address, watching.dead_network() as network, chromium(to(network)) as browser:
        alice, bob, carol, dave, erin, frank = (
            App(name, address, endpoint) for name in ("alice", "bob", "carol", "dave", "erin", "frank")
        )
        grace = App("grace", address, endpoint, queueBytes=FULL_BYTES)
        profile = tmp_path / "profile"
        alices, bobs, _, (daves, erins), _, graces = await asyncio.gather(
            stays(alice, browser),
            reloads(bob, browser),
            closes(carol, browser),
            shares(dave, erin, browser),
            is_killed(frank, profile, network),
            runs_full(grace, browser),
        )
        full = await graces.evaluate("tap.status()")

        async with zimwatch(tmp_path, port=port), own_browser(profile, network) as (context, _process):
            page = await frank.open(context)
            await page.evaluate(WATCH, {"endpoint": endpoint})
            await asyncio.gather(*(one.evaluate("tap.flush()") for one in (alices, bobs, daves, erins, graces)))
            everybody = (alice, bob, carol, dave, erin, frank)
            await asyncio.gather(*(app.arrived(tmp_path) for app in everybody))
            for app in everybody:
                app.check(tmp_path)
            assert await duplicates(endpoint) == 0

            check_full(full, grace, tmp_path)


def check_full(full: dict[str, Any], grace: App, folder: Path) -> None:
    """Only repeats of RECONNECTING were dropped, and all others arrived."""
    assert full["dropped"] == 0 < full["droppedRepeats"]
    assert full["queuedBytes"] <= FULL_BYTES
    emitted, kept = watching.emitted_callbacks(grace.log), watching.stored(folder, grace.user_id)
    assert len(kept) == full["queued"]
    assert len(emitted) - len(watching.stored_callbacks(kept)) == full["droppedRepeats"]
    assert changes(watching.stored_callbacks(kept)) == changes(emitted)


def changes(callbacks: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The callbacks without those that repeat the state before."""
    return [one for before, one in zip([None, *callbacks], callbacks, strict=False) if before is None or one != before]


async def test_an_unstable_network_loses_no_event(tmp_path: Path) -> None:
    async with (
        zimwatch(tmp_path) as running,
        app_server(running.url) as address,
        watching.dead_network() as network,
        chromium(to(network)) as browser,
    ):
        context = await browser.new_context()
        judy = App("judy", address, running.url)
        page = await judy.open(context)
        judy.start(page, ACTS_TOKEN_S)
        for offline in (True, False, True, False, True):
            before = len(judy.log)
            await context.set_offline(offline)

            async def more(count: int = before) -> bool:
                return len(judy.log) > count

            await watching.eventually(more)
        await judy.expired()
        await context.set_offline(offline=False)
        await judy.arrived(tmp_path)
        judy.check(tmp_path)


async def test_a_frozen_page_sends_no_heartbeats_until_it_is_resumed(tmp_path: Path) -> None:
    async with (
        zimwatch(tmp_path, leases=LeaseSettings(heartbeat="3s")) as running,  # so clients send a heartbeat each second
        app_server(running.url) as address,
        watching.dead_network() as network,
        chromium(to(network)) as browser,
    ):
        beats = {"alice": 0, "bob": 0}

        async def opened(user_id: str) -> Page:
            app = App(user_id, address, running.url, heartbeatSeconds=0.2)
            page = await app.open(await browser.new_context())

            def count(request: Request) -> None:
                if request.method == "POST":
                    body = request.post_data_buffer or b""
                    body = gzip.decompress(body) if request.headers.get("content-encoding") == "gzip" else body
                    beats[user_id] += body.count(b'"type":"heartbeat"')

            page.on("request", count)
            await page.evaluate(f"(options) => {{ ({RUN})(options); }}", app.options(token_s=60))
            return page

        async def beaten(user_id: str, times: int) -> None:
            wanted = beats[user_id] + times

            async def reached() -> bool:
                return beats[user_id] >= wanted

            await watching.eventually(reached)

        alices, _ = await asyncio.gather(opened("alice"), opened("bob"))
        await asyncio.gather(beaten("alice", 1), beaten("bob", 1))
        # Headless Chromium freezes no pages: the test dispatches the events.
        await alices.evaluate("document.dispatchEvent(new Event('freeze'))")
        await beaten("bob", 2)  # those in flight
        frozen = beats["alice"]
        await beaten("bob", 3)
        assert beats["alice"] == frozen
        await alices.evaluate("document.dispatchEvent(new Event('resume'))")
        await beaten("alice", 2)
