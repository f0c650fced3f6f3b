"""The page of a user in Chromium: the answer on the first screen, the way to the evidence, moments and copies."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import Browser, Page, expect

from tests.support.pages import APP, ago, opened, report, settled
from tests.support.running import Zimwatch

SCREENS = [(390, 844), (1440, 900)]
FAILED = {"type": "api_error", "method": "sendMessage", "code": 6000105, "message": "response timeout"}


async def failing(running: Zimwatch, *, after: int = 0) -> None:
    """Erin's calls fail; then come so many events, each a line of its own."""
    renewed = {"type": "token_renewed", "code": 0, "token_expires_at": None}
    await report(
        running,
        "erin",
        {"occurred_at": ago(900)},
        *(FAILED | {"occurred_at": ago(800 - number)} for number in range(6)),
        *(renewed | {"occurred_at": ago(700 - number)} for number in range(after)),
    )


async def is_on_screen(page: Page, selector: str) -> bool:
    return bool(
        await page.locator(selector).evaluate(
            "(one) => { const box = one.getBoundingClientRect(); return box.top >= 0 && box.bottom <= innerHeight; }"
        )
    )


@pytest.mark.parametrize("javascript", [True, False])
@pytest.mark.parametrize("screen", SCREENS)
async def test_what_is_wrong_and_what_to_say_are_on_the_first_screen(
    running: Zimwatch, browser: Browser, screen: tuple[int, int], *, javascript: bool
) -> None:
    await failing(running)
    viewport = {"width": screen[0], "height": screen[1]}
    page = await opened(browser, [], viewport=viewport, java_script_enabled=javascript)
    await page.goto(f"{running.url}/users/{APP}/erin")
    for selector in ("#who", ".head .state", "#finding", ".head .since", "#say"):
        assert await is_on_screen(page, selector), selector
    await expect(page.locator("#finding")).to_contain_text("6 calls failed")
    if screen[0] > 1_000:
        assert await is_on_screen(page, "#advice")
    # The finding is what catches the eye, and not the status.
    sizes = [await page.locator(one).evaluate("(one) => parseFloat(getComputedStyle(one).fontSize)") for one in (
        "#finding", ".head .status"
    )]  # fmt: skip
    assert sizes[0] > sizes[1]
    if javascript:
        await settled(page)


@pytest.mark.parametrize("javascript", [True, False])
@pytest.mark.parametrize("after", [0, 70])
async def test_a_finding_leads_to_its_evidence_which_is_marked(
    running: Zimwatch, browser: Browser, after: int, *, javascript: bool
) -> None:
    await failing(running, after=after)
    page = await opened(browser, [], viewport={"width": 390, "height": 844}, java_script_enabled=javascript)
    await page.goto(f"{running.url}/users/{APP}/erin")
    await page.get_by_role("link", name="6 events").click()
    line = page.locator("tr.sought" if after else "tr:target")
    await expect(line).to_have_count(1)
    await expect(line).to_contain_text("sendMessage failed")
    await expect(line).to_be_in_viewport()
    plain = await page.locator("#event-rows tr").last.evaluate("(one) => getComputedStyle(one).backgroundColor")
    assert await line.evaluate("(one) => getComputedStyle(one).backgroundColor") != plain or after == 0


async def test_a_marked_time_is_copied_with_its_date_and_zone(running: Zimwatch, browser: Browser) -> None:
    await failing(running)
    page = await opened(browser, [], timezone_id="Asia/Shanghai")
    await page.goto(f"{running.url}/users/{APP}/erin")
    time = page.locator("#event-rows time").first
    await expect(time).to_have_attribute("title", re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$"))
    copied = await time.evaluate(
        "(one) => { getSelection().selectAllChildren(one); return getSelection().toString(); }"
    )
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+08:00", copied)
    # What is seen of it is shorter: the hidden parts take no room.
    seen = await time.evaluate("(one) => one.getBoundingClientRect().width")
    assert seen < 130
    await page.locator("input[name=as_of]:not([type=hidden])").fill(copied)
    await page.get_by_role("button", name="Show", exact=True).click()
    shown = page.locator(".callout.past time")
    await expect(shown).to_have_text(copied)


async def test_a_moment_is_picked_or_typed_in_the_zone_of_the_page(running: Zimwatch, browser: Browser) -> None:
    await failing(running)
    picked = datetime.now(UTC) - timedelta(hours=1)
    for zone, hours, javascript in (("Asia/Shanghai", 8, True), ("UTC", 0, False)):
        page = await opened(browser, [], timezone_id=zone, java_script_enabled=javascript)
        await page.goto(f"{running.url}/users/{APP}/erin")
        label = "Asia/Shanghai" if javascript else "UTC"
        await expect(page.get_by_text("or pick one")).to_contain_text(label)
        local = (picked + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%S")
        await page.locator("input[name=at]").fill(local)
        await page.get_by_role("button", name="Show", exact=True).click()
        shown = page.locator(".callout.past time")
        await expect(shown).to_have_attribute("datetime", picked.strftime("%Y-%m-%dT%H:%M:%S.000Z"))
        # The picker has the moment of the page, from which another one is picked.
        await expect(page.locator("input[name=at]")).to_have_value(local)
        await page.locator("input[name=as_of]:not([type=hidden])").fill("yesterday 15:50")
        await page.get_by_role("button", name="Show", exact=True).click()
        day = (datetime.now(UTC) + timedelta(hours=hours) - timedelta(days=1)).date()
        meant = datetime(day.year, day.month, day.day, 15, 50, tzinfo=UTC) - timedelta(hours=hours)
        await expect(shown).to_have_attribute("datetime", meant.strftime("%Y-%m-%dT%H:%M:%S.000Z"))
        await page.get_by_role("link", name="+1 h").click()
        later = meant + timedelta(hours=1)
        await expect(shown).to_have_attribute("datetime", later.strftime("%Y-%m-%dT%H:%M:%S.000Z"))


@pytest.mark.parametrize("javascript", [True, False])
async def test_a_timeline_wider_than_the_screen_opens_at_its_newest_end(
    running: Zimwatch, browser: Browser, *, javascript: bool
) -> None:
    await failing(running)
    page = await opened(browser, [], viewport={"width": 390, "height": 844}, java_script_enabled=javascript)
    await page.goto(f"{running.url}/users/{APP}/erin")
    lanes, now = page.locator(".lanes"), page.locator(".lanes line.now")
    box, line = await lanes.bounding_box(), await now.bounding_box()
    assert box is not None
    assert line is not None
    assert box["x"] < line["x"] < box["x"] + box["width"]
