"""Every action by keyboard: where the focus is can be seen, and it outlives what changes around it."""

from __future__ import annotations

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect

from tests.support.pages import APP, ago, live, opened, report, some_users
from tests.support.running import Zimwatch


async def test_keys_help_and_close(running: Zimwatch, browser: Browser) -> None:
    page = await opened(browser, [])
    await page.goto(running.url)
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog")).to_be_visible()
    found = await Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    shown = await page.locator("#help dt").evaluate_all("(all) => all.map((one) => one.textContent.trim())")
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_be_hidden()
    for key, path in (("u", "/users"), ("a", "/alerts"), ("s", "/settings"), ("o", "/")):
        assert f"g {key}" in shown
        await page.keyboard.press("g")
        await page.keyboard.press(key)
        await expect(page).to_have_url(f"{running.url}{path}")


async def test_the_wall_has_keys_to_the_pages_and_a_shared_page_names_none(running: Zimwatch, browser: Browser) -> None:
    await some_users(running)
    page = await opened(browser, [])
    await page.goto(f"{running.url}/wall")
    await page.keyboard.press("?")
    await expect(page.locator("#help .keys kbd", has_text="g")).to_have_count(5)
    await page.keyboard.press("Escape")
    await page.keyboard.press("g")
    await page.keyboard.press("u")
    await expect(page).to_have_url(f"{running.url}/users")
    await page.goto(f"{running.url}/hand-off/none")
    await page.keyboard.press("?")
    await expect(page.locator("#help .keys kbd", has_text="g")).to_have_count(0)


async def test_what_is_open_and_where_the_keyboard_is_outlive_a_change(running: Zimwatch, browser: Browser) -> None:
    await some_users(running)
    page = await opened(browser, [])
    await live(page, f"{running.url}/users/{APP}/carol")
    raw = page.locator("#event-rows details").last
    await raw.locator("summary").click()
    mark = page.locator("svg a").first
    await mark.focus()
    focused = await mark.get_attribute("id")
    await report(running, "carol", {"occurred_at": ago(0)}, device="tablet")
    await expect(page.locator(".head .state")).to_contain_text("Online")
    assert await raw.evaluate("(one) => one.open")
    assert await page.evaluate("document.activeElement.id") == focused


# Whether what has the focus is drawn so that it shows, and nothing lies over its middle.
SEEN = """
() => {
  const one = document.activeElement, box = one.getBoundingClientRect();
  const drawn = one.closest("svg") ? one.querySelector(".mark") : one, style = getComputedStyle(drawn);
  const rings = one.closest("svg") ? parseFloat(style.strokeWidth) >= 3 : style.outlineStyle !== "none";
  const over = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
  const free = over !== null && (one.contains(over) || over.contains(one) || one.labels?.[0]?.contains(over));
  const inside = box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
  return {what: one.outerHTML.slice(0, 120), rings, free: Boolean(free), inside, id: one.id, tag: one.tagName};
}
"""


async def stops(page: Page, key: str) -> int:
    """How often the key led on to something that shows, on a page just opened; at most 60 are looked at."""
    for count in range(60):
        await page.keyboard.press(key)
        if await page.evaluate("document.activeElement === document.body"):
            return count
        stop = await page.evaluate(SEEN)
        assert stop["rings"] and stop["free"] and stop["inside"], (page.url, key, stop)  # noqa: PT018
    return 60


@pytest.mark.parametrize(
    ("width", "key"),
    [
        (360, "Tab"),
        (1440, "Shift+Tab"),
        pytest.param(360, "Shift+Tab", marks=pytest.mark.soak),
        pytest.param(1440, "Tab", marks=pytest.mark.soak),
    ],
)
async def test_every_stop_of_the_tab_key_can_be_seen_and_lies_under_nothing(
    running: Zimwatch, browser: Browser, width: int, key: str
) -> None:
    await some_users(running)
    page = await opened(browser, [], viewport={"width": width, "height": 700})
    for path in ("/", "/users", f"/users/{APP}/carol", "/alerts", "/alerts/1", "/silences", "/settings"):
        await page.goto(running.url + path)
        if path == "/alerts":
            # With something chosen the bar comes along.
            await page.evaluate("document.querySelector('.choose input').checked = true")
        assert await stops(page, key) > 5, path


async def test_several_alerts_are_chosen_and_taken_on_by_keyboard(running: Zimwatch, browser: Browser) -> None:
    await some_users(running)
    page = await opened(browser, [])
    await page.goto(f"{running.url}/alerts?state=firing")
    boxes = page.locator("tbody .choose input")
    count = await boxes.count()
    assert count > 1
    await page.get_by_role("checkbox", name="Select all").focus()
    await page.keyboard.press("Space")
    for place in range(count):
        await expect(boxes.nth(place)).to_be_checked()
    await boxes.first.focus()
    await page.keyboard.press("Space")
    await expect(page.get_by_role("checkbox", name="Select all")).not_to_be_checked()
    await page.get_by_role("button", name="Acknowledge …").focus()
    await page.keyboard.press("Enter")
    await page.get_by_role("button", name=f"Acknowledge {count - 1} alert").focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("tbody").get_by_text("Acknowledged")).to_have_count(count - 1)


async def test_what_is_chosen_and_focused_stays_so_while_alerts_come(running: Zimwatch, browser: Browser) -> None:
    await some_users(running)
    page = await opened(browser, [])
    await live(page, f"{running.url}/alerts")
    box = page.locator("tbody .choose input").last
    chosen = await box.get_attribute("id")
    await box.focus()
    await page.keyboard.press("Space")
    await report(running, "frank", {"occurred_at": ago(0)}, {"occurred_at": ago(0), "state": 0, "event": 4})
    await expect(page.get_by_role("link", name="frank was kicked out")).to_be_visible()
    assert await page.evaluate("document.activeElement.id") == chosen
    await expect(page.locator(f"#{chosen}")).to_be_checked()


async def test_the_focus_stays_on_its_row_of_every_live_list(running: Zimwatch, browser: Browser) -> None:
    await some_users(running)
    for path, number in (("/", 1), ("/users", 2), (f"/users/{APP}/alice", 3)):
        page = await opened(browser, [])
        await live(page, running.url + path)
        if path.endswith("alice"):
            row = page.locator("#event-rows summary").first
        else:
            row = page.get_by_role("link", name="alice")
        await row.focus()
        focused = await row.evaluate("(one) => { window.focusedBefore = one.textContent; return one.textContent; }")
        await report(running, "alice", {"occurred_at": ago(0), "state": 3, "event": 3}, begin=number + 2)
        await expect(page.locator("main .status.offline").first).to_be_visible()
        assert await page.evaluate("document.activeElement.textContent") == focused, path
        await page.close()
