"""How much a screen shows: heights of rows, where lists begin, and a wall that nobody scrolls."""

from __future__ import annotations

import re
from typing import Any

from playwright.async_api import Browser, ViewportSize, expect

from sidecar.clock import now_us
from sidecar.domain.units import SECOND_US
from sidecar.store.access import tokens
from tests.support.accounts import PASSWORD, with_password
from tests.support.pages import ago, opened, report
from tests.support.running import Zimwatch
from tests.support.tokens import new_token
from tests.support.wire import fresh_event

ROW_PX = 36
PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1440, "height": 900}
WALLS: tuple[ViewportSize, ...] = (
    {"width": 1280, "height": 720},
    {"width": 1920, "height": 1080},
    {"width": 3840, "height": 2160},
)
ORIGIN = "https://staging.of-the-shop.example.com"
LONG = "user-with-an-id-that-never-ends-" * 8
ROWS = """() => [...document.querySelectorAll("tbody tr")].filter((row) => row.checkVisibility())
  .map((row) => Math.round(row.getBoundingClientRect().height))"""
# The middles of what the line of filters shows.
LINES = """() => [...document.querySelectorAll(".filters > *")].filter((one) => one.checkVisibility())
  .map((one) => { const box = one.getBoundingClientRect(); return Math.round((box.top + box.bottom) / 2); })"""
# Parts of the wall that are cut, leave the screen, or lie on their neighbour.
WRONG = """() => {
  const found = [];
  const isCut = (part, by) => part.scrollWidth > part.clientWidth + by || part.scrollHeight > part.clientHeight + by;
  const parts = document.querySelectorAll("main > *, #live > *, .wall-body > *, .fires-now > li, .counts > li");
  for (const part of parts) {
    if (part.matches(".unseen")) continue;
    const box = part.getBoundingClientRect(), next = part.nextElementSibling?.getBoundingClientRect();
    const name = `${part.tagName}.${part.className}`;
    if (isCut(part, 2)) found.push(`${name} is cut`);
    if (box.bottom > innerHeight + 1 || box.right > innerWidth + 1) found.push(`${name} leaves the screen`);
    if (next && next.left < box.right - 1 && next.top < box.bottom - 1) found.push(`${name} lies on its neighbour`);
  }
  for (const part of document.querySelectorAll(".fires-now li > :not(.id), .counts a > *, .strip li")) {
    if (part.scrollWidth > part.clientWidth + 1 && part.clientWidth) found.push(`${part.className} is cut`);
  }
  return isCut(document.documentElement, 0) ? [...found, "it scrolls"] : found;
}"""
# The share of the screen's width from the first card or table to the last.
USED = """() => {
  const boxes = [...document.querySelectorAll("main :is(.card, .table)")].map((one) => one.getBoundingClientRect());
  return (Math.max(...boxes.map((box) => box.right)) - Math.min(...boxes.map((box) => box.left))) / innerWidth;
}"""

# Of tables that have to be scrolled sideways, what is beyond the edge.
SCROLLED = """() => [...document.querySelectorAll(".table")].flatMap((one) => [...one.querySelectorAll("tbody *")]
  .filter((part) => part.getBoundingClientRect().right > one.getBoundingClientRect().right + 1)
  .map((part) => part.outerHTML))"""


async def kicked(running: Zimwatch, *users: str) -> None:
    """These users are kicked out, of which an alert fires."""
    events = [fresh_event(user_id=user_id, state=0, event=4) for user_id in users]
    assert (await running.send(events))[1]["rejected"] == []


async def some_alerts(running: Zimwatch) -> None:
    """Alerts of many users; that of carol is resolved, although it is the newest."""
    await kicked(running, *(f"user-{number:02}" for number in range(60)))
    await report(running, "carol", {"state": 0, "event": 4, "occurred_at": ago(2)}, {"occurred_at": ago(1)})


async def test_a_row_is_36_pixels_high_and_the_filters_are_one_line(running: Zimwatch, browser: Browser) -> None:
    await some_alerts(running)
    page = await opened(browser, [], viewport=DESKTOP)
    for path in ("/users", "/alerts", "/alerts?group=kind"):
        await page.goto(running.url + path)
        heights = await page.evaluate(ROWS)
        assert len(heights) > 10, path
        assert set(heights) <= {ROW_PX, ROW_PX + 1}, path
        middles = await page.evaluate(LINES)
        assert not middles or max(middles) - min(middles) <= 1, path


async def test_a_wide_screen_has_no_empty_third(running: Zimwatch, browser: Browser) -> None:
    await some_alerts(running)
    for width in (1440, 1920, 2560):
        page = await opened(browser, [], viewport={"width": width, "height": 1000})
        for path in ("/", "/users", "/alerts", "/alerts/1", "/silences", "/settings"):
            await page.goto(running.url + path)
            assert await page.evaluate(USED) > 2 / 3, (path, width)


async def test_a_list_begins_in_the_first_third_of_a_phone(running: Zimwatch, browser: Browser) -> None:
    await some_alerts(running)
    page = await opened(browser, [], viewport=PHONE, has_touch=True)
    await page.goto(f"{running.url}/silences")
    await page.get_by_label("Why").fill("planned work")
    await page.get_by_label("User id, * for any text").fill("alice")
    await page.get_by_role("button", name="Silence", exact=True).click()
    await expect(page.locator("tbody tr")).to_have_count(1)
    for path in ("/users", "/users?happened=kicked_out&within=24h", "/alerts", "/alerts?state=firing", "/silences"):
        await page.goto(running.url + path)
        top = await page.locator("tbody tr").first.evaluate("(row) => row.getBoundingClientRect().top")
        assert top < PHONE["height"] / 3, path


async def test_a_phone_shows_the_other_filters_on_request(running: Zimwatch, browser: Browser) -> None:
    await report(running, "alice", {})
    for javascript in (True, False):
        page = await opened(browser, [], viewport=PHONE, java_script_enabled=javascript)
        await page.goto(f"{running.url}/users?status=online")
        status = page.locator("select[name=status]")
        await expect(status).not_to_be_visible()
        await page.get_by_role("checkbox", name="Filters").check()
        await status.select_option("offline")
        await page.get_by_role("button", name="Show", exact=True).click()
        await expect(page).to_have_url(re.compile("status=offline"))


async def test_what_fires_comes_first_and_what_is_acknowledged_after_it(running: Zimwatch, browser: Browser) -> None:
    await report(running, "dave", {"state": 0, "event": 5, "occurred_at": ago(9)})
    await kicked(running, "erin", "frank")
    await report(running, "carol", {"state": 0, "event": 4, "occurred_at": ago(2)}, {"occurred_at": ago(1)})
    page = await opened(browser, [])
    await page.goto(f"{running.url}/alerts?q=frank")
    await page.get_by_role("link", name="frank was kicked out").click()
    await page.get_by_role("button", name="Acknowledge", exact=True).click()
    await page.goto(f"{running.url}/alerts")
    rows = await page.locator("tbody tr").all_inner_texts()
    named = [re.search(r"dave|erin|frank|carol", row) for row in rows]
    assert [one and one[0] for one in named][-2:] == ["frank", "carol"]
    assert {one and one[0] for one in named[:-2]} == {"dave", "erin"}
    grey = await page.locator("tr.resolved .id").evaluate("(one) => getComputedStyle(one).color")
    firing = page.locator("tbody tr:not(.resolved) .id").first
    assert await firing.evaluate("(one) => getComputedStyle(one).color") != grey


async def test_a_wall_is_never_scrolled_whatever_fires(running: Zimwatch, browser: Browser) -> None:
    looks: dict[str, Any] = {"timezone_id": "Asia/Shanghai", "color_scheme": "dark"}
    walls = [await opened(browser, [], locale=locale, **looks) for locale in ("en-GB", "zh-CN")]

    async def fits() -> None:
        for page in walls:
            await page.goto(f"{running.url}/wall")
            for size in WALLS:
                await page.set_viewport_size(size)
                assert await page.evaluate(WRONG) == [], size
                # Of letters that fill the same part of each screen.
                assert await page.locator(".counts strong").first.evaluate(
                    "(one) => parseFloat(getComputedStyle(one).fontSize) / innerHeight > .08"
                )

    await fits()
    await report(running, "alice", {})
    await kicked(running, "carol", LONG, "张伟的很长很长的用户名" * 6)
    await fits()
    await kicked(running, *(f"user-{number:03}" for number in range(200)))
    await fits()
    await expect(walls[0].locator(".fires-now li")).to_have_count(8)
    await expect(walls[0].locator(".firing")).to_contain_text(re.compile(r"20\d alerts firing"))


async def test_the_clock_of_a_wall_ticks_in_the_viewers_zone_and_names_it(running: Zimwatch, browser: Browser) -> None:
    page = await opened(browser, [], timezone_id="America/St_Johns")
    await page.clock.install(time="2026-11-24T12:00:00Z")
    await page.goto(f"{running.url}/wall")
    clock = page.locator(".wall-clock")
    await expect(clock).to_contain_text("08:30:0")
    await expect(clock).to_contain_text("America/St_Johns -03:30")
    await page.clock.fast_forward("01:00")
    await expect(clock).to_contain_text("08:31:0")
    plain = await opened(browser, [], java_script_enabled=False)
    await plain.goto(f"{running.url}/wall")
    await expect(plain.locator(".wall-clock")).to_have_text(re.compile(r"^\s*\d\d:\d\d\s+UTC\s*$"))


async def test_no_table_of_the_settings_is_wider_than_the_page(running: Zimwatch, browser: Browser) -> None:
    await with_password(running.store, "root", "admin")
    await with_password(running.store, "a-colleague-with-a-long-name@example.com", apps=frozenset({7, 4_294_967_295}))
    for scope in ("ingest", "forward"):
        token, _ = await new_token(running.store, scope, 4_294_967_295, name="what the token is for", origins=(ORIGIN,))
        await running.store.write(tokens.rotate, token.id, overlap_us=SECOND_US, now_us=now_us())
    page = await opened(browser, [])
    await page.goto(f"{running.url}/sign-in")
    await page.get_by_label("Name").fill("root")
    await page.get_by_label("Password or token").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("link", name="Account")).to_be_visible()
    for width in (360, 980, 1024, 1200, 1440):
        await page.set_viewport_size({"width": width, "height": 800})
        for path in ("/tokens", "/accounts", "/audit", "/account"):
            await page.goto(running.url + path)
            assert await page.evaluate(SCROLLED) == [], (path, width)
