"""The pages in Chromium: with and without JavaScript, on a phone and a desktop, light and dark."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.support.running import Zimwatch, zimwatch
from tests.support.wire import fresh_event, wire_event

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-first-run",
]
APP = 1234567890


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Zimwatch]:
    async with zimwatch(tmp_path) as running:
        yield running


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        yield browser
        await browser.close()


async def opened(browser: Browser, complaints: list[str], **options: Any) -> Page:
    page = await browser.new_page(**options)
    page.on("console", lambda told: complaints.append(told.text) if told.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return page


async def some_users(running: Zimwatch) -> None:
    for number, (state, event) in enumerate([(2, 0), (3, 3), (0, 4), (0, 5), (0, 2)]):
        user_id = ["alice", "bob", "carol", "dave", "m" * 300 + "<b>allory"][number]
        await running.send([wire_event(user_id=user_id, client_id=str(uuid.uuid4()), state=state, event=event)])


async def test_a_change_is_on_the_open_pages_without_a_reload(running: Zimwatch, browser: Browser) -> None:
    complaints: list[str] = []
    await running.send([wire_event()])
    overview, users, alice = [await opened(browser, complaints) for _ in range(3)]
    pages = ((overview, "/"), (users, "/users"), (alice, f"/users/{APP}/alice"))
    for page, path in pages:
        async with page.expect_response(lambda response: "/v1/stream" in response.url):
            await page.goto(running.url + path)
        await page.evaluate("window.notReloaded = true")
        await expect(page.locator("main .status.online").first).to_be_visible()
    await running.send([wire_event(seq=2, state=0, event=5)])
    for page, _ in pages:
        await expect(page.get_by_text("token expired").first).to_be_visible(timeout=3_000)
        assert await page.evaluate("window.notReloaded")
    assert complaints == []


async def hold_whole_and_fitting(
    running: Zimwatch,
    browser: Browser,
    paths: dict[str, str],
    scheme: Literal["light", "dark"],
    width: int,
    *,
    javascript: bool,
) -> None:
    """Each path shows what its selector finds, fits the width, and has nothing to complain of."""
    complaints: list[str] = []
    page = await opened(
        browser,
        complaints,
        viewport={"width": width, "height": 900},
        color_scheme=scheme,
        java_script_enabled=javascript,
    )
    for path, selector in paths.items():
        await page.goto(running.url + path)
        await expect(page.locator(selector).first).to_be_visible()
        if javascript:
            assert await page.evaluate("document.documentElement.scrollWidth") <= width
            found = await Axe().run(page)
            assert found.violations_count == 0, found.generate_report()
    assert complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1440])
@pytest.mark.parametrize("javascript", [True, False])
async def test_every_page_is_whole_and_fits(
    running: Zimwatch, browser: Browser, scheme: Literal["light", "dark"], width: int, *, javascript: bool
) -> None:
    await some_users(running)
    paths = ["/", "/users", "/users?status=not_logged_in", f"/users/{APP}/carol"]
    shown = dict.fromkeys(paths, "main .status.not_logged_in")
    await hold_whole_and_fitting(running, browser, shown, scheme, width, javascript=javascript)


async def test_support_finds_a_user_without_javascript(running: Zimwatch, browser: Browser) -> None:
    await some_users(running)
    page = await opened(browser, [], java_script_enabled=False)
    await page.goto(running.url)
    await page.get_by_label("Find a user by id").fill("aro")
    await page.keyboard.press("Enter")
    await page.get_by_role("link", name="carol").click()
    await expect(page.get_by_text("Another device logged in with the same account")).to_be_visible()
    await expect(page.get_by_text("Say this to the user")).to_be_visible()


async def some_alerts(running: Zimwatch) -> None:
    stories = [("carol", 4, "Android"), ("dave", 5, "Web"), ("bob", 2, "Win"), ("m" * 300 + "<b>allory", 6, None)]
    for user_id, event, platform in stories:
        told = {"user_id": user_id, "event": event, "state": 0}
        await running.send([fresh_event(**told, **({"platform": platform} if platform else {}))])
    await running.http.post("/v1/alerts/1/ack", json={"author": "dana"})
    asked = {"matchers": {"user_id": "dave"}, "duration": "4h", "reason": "he tests his phone", "author": "dana"}
    await running.http.post("/v1/silences", json=asked)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1440])
@pytest.mark.parametrize("javascript", [True, False])
async def test_every_page_of_alerts_is_whole_and_fits(
    running: Zimwatch, browser: Browser, scheme: Literal["light", "dark"], width: int, *, javascript: bool
) -> None:
    await some_alerts(running)
    shown = {
        "/alerts": ".severity.critical",
        "/alerts?state=firing&kind=kicked_out": ".taken",
        "/alerts/1": "#ack",
        "/silences": "#live",
        "/alerts/undelivered": "h1",
    }
    await hold_whole_and_fitting(running, browser, shown, scheme, width, javascript=javascript)


@pytest.mark.parametrize("javascript", [True, False])
async def test_support_takes_an_alert_on_and_silences_it(
    running: Zimwatch, browser: Browser, *, javascript: bool
) -> None:
    await running.send([fresh_event(user_id="carol", state=0, event=4)])
    complaints: list[str] = []
    page = await opened(browser, complaints, java_script_enabled=javascript)
    await page.goto(running.url + "/alerts")
    await page.get_by_role("link", name="carol was kicked out").click()
    await page.get_by_role("button", name="Acknowledge").click()
    await expect(page.get_by_text("taken on by")).to_be_visible()
    await page.get_by_label("Why").fill("she tests")
    await page.get_by_role("button", name="Silence").click()
    await page.goto(running.url + "/silences")
    await expect(page.get_by_text("she tests")).to_be_visible()
    await page.get_by_role("button", name="End now").click()
    await expect(page.get_by_text("ended", exact=True)).to_be_visible()
    assert complaints == []


async def test_an_alert_is_on_the_open_page_without_a_reload(running: Zimwatch, browser: Browser) -> None:
    complaints: list[str] = []
    page = await opened(browser, complaints)
    async with page.expect_response(lambda response: "/v1/stream" in response.url):
        await page.goto(running.url + "/alerts")
    await page.evaluate("window.notReloaded = true")
    carol = str(uuid.uuid4())
    await running.send([fresh_event(user_id="carol", client_id=carol, state=0, event=4)])
    await expect(page.get_by_role("link", name="carol was kicked out")).to_be_visible(timeout=3_000)
    await expect(page.locator("main .fires")).to_be_visible()
    await running.send([fresh_event(user_id="carol", client_id=carol, seq=2)])
    await expect(page.locator("tbody").get_by_text("resolved")).to_be_visible(timeout=3_000)
    assert await page.evaluate("window.notReloaded")
    assert complaints == []
