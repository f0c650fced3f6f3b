"""Users are suggested while an id is typed, by mouse and by keyboard; the numbers of the overview lead to lists."""

from __future__ import annotations

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, expect

from tests.support.pages import APP, opened, settled, some_users
from tests.support.running import Zimwatch
from tests.support.wire import fresh_event


@pytest.mark.parametrize("size", [(390, 844), (1440, 900)])
async def test_users_are_suggested_while_an_id_is_typed(
    running: Zimwatch, browser: Browser, size: tuple[int, int]
) -> None:
    await some_users(running)
    await running.send([fresh_event(user_id=f"carol-{number}") for number in range(20)])
    complaints: list[str] = []
    page = await opened(browser, complaints, viewport={"width": size[0], "height": size[1]})
    await page.goto(running.url)
    field = page.get_by_role("combobox", name="Find a user by id")
    await page.keyboard.press("/")
    await expect(field).to_have_attribute("aria-expanded", "false")
    await page.keyboard.type("car")
    options = page.get_by_role("listbox", name="Users").get_by_role("option")
    await expect(options).to_have_count(8)
    await expect(options.first).to_contain_text("carol")
    assert (await Axe().run(page)).violations_count == 0
    await page.keyboard.press("ArrowUp")
    await expect(options.last).to_have_attribute("aria-selected", "true")
    await page.keyboard.press("ArrowDown")
    await expect(field).to_have_attribute("aria-activedescendant", "suggestion-1")
    await page.keyboard.press("Escape")
    await expect(options).to_have_count(0)
    assert await field.input_value() == "car"
    await page.keyboard.type("ol")
    await page.keyboard.press("ArrowDown")
    await expect(options.first).to_be_visible()
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(f"{running.url}/users/{APP}/carol")
    await page.goto(f"{running.url}/users")
    await page.get_by_label("this text").fill("carol-1")
    await options.filter(has_text="carol-11").click()
    await expect(page).to_have_url(f"{running.url}/users/{APP}/carol-11")
    await settled(page)
    assert complaints == []


async def test_without_a_chosen_suggestion_enter_searches(running: Zimwatch, browser: Browser) -> None:
    await some_users(running)
    page = await opened(browser, [])
    await page.goto(running.url)
    await page.get_by_label("Find a user by id").fill("al")
    await expect(page.get_by_role("option")).to_have_count(1)
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(f"{running.url}/users?q=al")


async def test_a_bar_and_a_number_of_the_overview_lead_to_their_list(running: Zimwatch, browser: Browser) -> None:
    await some_users(running)
    page = await opened(browser, [])
    await page.goto(running.url)
    await page.locator("svg a[href*='happened=kicked_out']").first.click()
    await expect(page.get_by_role("row", name="carol")).to_be_visible()
    await expect(page.get_by_text("it happened once").first).to_be_visible()
    await page.goto(running.url)
    await page.get_by_text("Show as a table").click()
    await page.get_by_role("row", name="The whole day").get_by_role("link").last.click()
    await expect(page.get_by_role("row", name="alice")).to_be_visible()
