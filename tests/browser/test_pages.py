"""Every page in Chromium: with and without JavaScript, on a phone and a desktop, light and dark, in every state."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, expect

from tests.support.pages import APP, WIDTHS, ago, opened, settled, some_users, told
from tests.support.running import Zimwatch

PATHS = [
    "/",
    "/users",
    "/users?status=not_logged_in",
    "/users?q=nobody",
    "/users?status=gone",
    "/users?order=token&as_of=2100-01-01",
    "/users?ids=alice%0Azoe&col_set=1&col=sdk&col=version&col=token&col=seen&col=devices",
    f"/users/{APP}/carol",
    f"/users/{APP}/alice?as_of=2100-01-01",
    f"/users/{APP}/dave?hand_off=1h",
    f"/users/{APP}/nobody",
    "/alerts",
    "/alerts?group=kind",
    "/alerts/1",
    "/alerts/several?alert=1&alert=2&do=silence",
    "/alerts/undelivered",
    "/silences",
    "/settings",
    "/wall",
    "/nowhere",
    "/alerts/999999",
    "/hand-off/none",
]
EMPTY = ["/", "/users", "/users/1/alice", "/alerts", "/alerts/undelivered", "/silences", "/settings", "/wall"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("javascript", [True, False])
async def test_every_page_is_whole_and_fits_and_axe_finds_nothing(
    running: Zimwatch, browser: Browser, scheme: Literal["light", "dark"], width: int, *, javascript: bool
) -> None:
    complaints: list[str] = []
    await some_users(running)
    page = await opened(
        browser,
        complaints,
        viewport={"width": width, "height": 900},
        color_scheme=scheme,
        java_script_enabled=javascript,
    )
    await page.goto(f"{running.url}/users/{APP}/dave?hand_off=1h")
    link = await page.locator("#hand-off-link").input_value()
    for path in [*PATHS, link.removeprefix(running.url)]:
        complaints.clear()
        response = await page.goto(running.url + path)
        assert response is not None
        await expect(page.locator("main h1, main h2").first).to_be_attached()
        if javascript:
            assert await page.evaluate("document.documentElement.scrollWidth") <= width, path
            await settled(page)
            await page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
            found = await Axe().run(page)
            assert found.violations_count == 0, f"{path}: {found.generate_report()}"
        # Chromium itself reports the page that is not there.
        assert [one for one in complaints if response.ok or "status of" not in one] == [], path


CUT = """(ids) => ids.filter((one) => one.textContent.length < 25 && one.scrollWidth > one.clientWidth)
  .map((one) => one.textContent)"""


async def test_short_ids_are_whole_at_any_width(running: Zimwatch, browser: Browser) -> None:
    await some_users(running)
    await told(running, "grzegorz.kowalski", {"occurred_at": ago(1)})
    page = await opened(browser, [])
    for width in range(360, 1300, 30):
        await page.set_viewport_size({"width": width, "height": 900})
        for path in ("/", "/users"):
            await page.goto(running.url + path)
            assert await page.locator(".people .id").evaluate_all(CUT) == [], f"{path} at {width}"
            assert await page.evaluate("document.documentElement.scrollWidth") <= width, f"{path} at {width}"


async def test_with_no_data_every_page_is_whole_too(running: Zimwatch, browser: Browser) -> None:
    complaints: list[str] = []
    for locale in ("en-GB", "zh-CN"):
        page = await opened(browser, complaints, locale=locale)
        for path in EMPTY:
            await page.goto(running.url + path)
            found = await Axe().run(page)
            assert found.violations_count == 0, f"{path}: {found.generate_report()}"
            await settled(page)
    # Chromium itself reports the user that is not there.
    assert [one for one in complaints if "status of" not in one] == []


async def test_whoever_has_no_token_is_told_so_in_a_page_that_can_be_read(running: Zimwatch, browser: Browser) -> None:
    await running.store.create_token("read", app_id=None, expires_at_us=None)
    page = await opened(browser, [])
    # As a browser shows it when its visitor has closed the sign-in box.
    async with running.http.get("/", headers={"Accept": "text/html"}) as response:
        assert response.status == 401
        refused = await response.text()
    await page.route("**/refused", lambda route: route.fulfill(body=refused, content_type="text/html"))
    await page.goto(running.url + "/refused")
    await expect(page.get_by_role("heading", name="Please sign in")).to_be_visible()
    found = await Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


async def test_times_are_the_viewers_and_the_tip_is_utc(running: Zimwatch, browser: Browser) -> None:
    await told(running, "alice", {"occurred_at": "2026-11-23T20:03:20Z"})
    page = await opened(browser, [], timezone_id="Asia/Shanghai", locale="zh-CN")
    await page.goto(f"{running.url}/users/{APP}/alice")
    since = page.locator(".since time").first
    await expect(since).to_have_text("2026-11-24 04:03:20")
    assert await since.get_attribute("title") == "2026-11-23 20:03:20 UTC"
    await expect(page.locator("footer")).to_contain_text("Asia/Shanghai")


HOSTILE = [
    "a" * 10_000,
    "\u202e\u0645\u0631\u062d\u0628\u0627 admin",
    "<script>x</script>\"'>",
    "nul\0l\x1b[31m",
    "🙂" * 2_000,
]


@pytest.mark.parametrize("width", [360, 1440])
async def test_hostile_data_stays_in_its_place(running: Zimwatch, browser: Browser, width: int) -> None:
    complaints: list[str] = []
    year = timedelta(days=366)
    for number, text in enumerate(HOSTILE):
        off = (datetime.now(UTC) + (year if number % 2 else -year)).isoformat(timespec="milliseconds")
        await told(
            running,
            text,
            {"occurred_at": off, "platform": text[:64], "app_version": text[:64], "extended_data": text},
            {"type": "api_error", "method": text[:64], "code": 1, "message": text, "occurred_at": off},
        )
    for number in range(40):
        await told(running, "mallory", {"occurred_at": ago(40 - number)}, device=f"device {number}")
    page = await opened(browser, complaints, viewport={"width": width, "height": 900})
    await page.goto(f"{running.url}/users")
    links = await page.locator("#user-rows th a").evaluate_all("(all) => all.map((one) => one.href)")
    assert len(links) == len(HOSTILE) + 1
    for address in ["/", "/users", *(link.removeprefix(running.url) for link in links)]:
        response = await page.goto(running.url + address)
        assert response is not None
        assert response.status == 200
        assert await page.evaluate("document.documentElement.scrollWidth") <= width, address[:80]
        found = await Axe().run(page)
        assert found.violations_count == 0, f"{address[:80]}: {found.generate_report()}"
        await settled(page)
    assert complaints == []
