"""An open page when a lease runs out and when ZEGO's server disagrees; and these pages on a phone and for everybody."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, expect

from sidecar.settings import ZegoSettings
from tests.support.clocks import Machine
from tests.support.events import APP_ID
from tests.support.pages import is_stream, opened
from tests.support.running import Zimwatch, zimwatch
from tests.support.wire import wire_event
from tests.support.zego import SECRET, user_action

ZEGO = ZegoSettings(callback_secrets=(f"{APP_ID}:{SECRET}",))


async def told_by_zego(running: Zimwatch, action: int, at: float) -> None:
    async with running.http.post("/v1/callbacks/zego", json=user_action(action, at=at)) as response:
        assert response.status == 200


async def test_an_open_page_stops_saying_online_plainly_when_the_lease_runs_out(
    tmp_path: Path,
    browser: Browser,
) -> None:
    machine, complaints = Machine(), list[str]()
    async with zimwatch(tmp_path, machine=machine) as running:
        await running.send([wire_event(), wire_event(type="heartbeat", seq=2)])
        overview, users, alice = [await opened(browser, complaints) for _ in range(3)]
        pages = ((overview, "/"), (users, "/users"), (alice, f"/users/{APP_ID}/alice"))
        for page, path in pages:
            async with page.expect_response(is_stream):
                await page.goto(running.url + path)
            await page.evaluate("window.notReloaded = true")
            await expect(page.locator("main .unconfirmed")).to_have_count(0)
        machine.passes(46)
        for page, _ in pages:
            await expect(page.locator("main .status.online.doubtful").first).to_be_visible(timeout=5_000)
            await expect(page.get_by_text("unconfirmed", exact=True).first).to_be_visible()
            assert await page.evaluate("window.notReloaded")
        await running.send([wire_event(type="heartbeat", seq=2)])
        for page, _ in pages:
            await expect(page.locator("main .doubtful")).to_have_count(0, timeout=5_000)
        assert complaints == []


async def test_an_open_page_says_so_once_devices_and_server_have_disagreed_for_long_enough(
    tmp_path: Path,
    browser: Browser,
) -> None:
    machine, complaints = Machine(), list[str]()
    async with zimwatch(tmp_path, zego=ZEGO, machine=machine) as running:
        await running.send([wire_event()])
        page = await opened(browser, complaints)
        async with page.expect_response(is_stream):
            await page.goto(f"{running.url}/users/{APP_ID}/alice")
        await told_by_zego(running, 1, at=0)
        await expect(page.get_by_text("Logged out", exact=True)).to_be_visible(timeout=5_000)
        machine.passes(46)
        await expect(page.get_by_text("Devices and server disagree")).to_be_visible(timeout=5_000)
        assert complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1440])
async def test_pages_with_a_servers_view_are_whole_and_fit(
    tmp_path: Path,
    browser: Browser,
    scheme: Literal["light", "dark"],
    width: int,
) -> None:
    machine, complaints = Machine(), list[str]()
    async with zimwatch(tmp_path, zego=ZEGO, machine=machine) as running:
        await running.send([wire_event(), wire_event(type="heartbeat", seq=2)])
        await told_by_zego(running, 0, at=0)
        await told_by_zego(running, 2, at=1)
        machine.passes(60)
        page = await opened(browser, complaints, viewport={"width": width, "height": 900}, color_scheme=scheme)
        for path in ("/", "/users?unconfirmed=true", f"/users/{APP_ID}/alice"):
            await page.goto(running.url + path)
            await expect(page.locator("main .unconfirmed").first).to_be_visible()
            assert await page.evaluate("document.documentElement.scrollWidth") <= width
            found = await Axe().run(page)
            assert found.violations_count == 0, found.generate_report()
        assert complaints == []
