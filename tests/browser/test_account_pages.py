"""An account as people use it, in Chromium: the link, the password, one-time codes, signing out everywhere."""

from __future__ import annotations

import re
import time

import pyotp
import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect

from tests.support.accounts import PASSWORD, with_password
from tests.support.pages import opened
from tests.support.running import Zimwatch

NEW = "another long password"


async def signs_in(page: Page, name: str, password: str) -> None:
    await page.get_by_label("Name").fill(name)
    await page.get_by_label("Password or token").fill(password)
    await page.get_by_role("button", name="Sign in").click()


async def is_whole(page: Page) -> None:
    """It fits, and axe finds nothing."""
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), page.url
    found = await Axe().run(page)
    assert found.violations_count == 0, f"{page.url}: {found.generate_report()}"


@pytest.mark.parametrize("width", [360, 1440])
async def test_a_new_colleague_sets_a_password_by_the_link_and_codes_and_signs_in_with_both(
    browser: Browser, running: Zimwatch, width: int
) -> None:
    await with_password(running.store, "root", "admin")
    await with_password(
        running.store, "erin-with-a-name-as-long-as-a-name-of-an-account-may-be", apps=frozenset({7, 22, 4_294_967_295})
    )
    complaints: list[str] = []
    size = {"width": width, "height": 800}
    root = await opened(browser, complaints, viewport=size)
    await root.goto(f"{running.url}/accounts")
    await signs_in(root, "root", PASSWORD)
    await root.get_by_text("New account", exact=True).click()
    await root.get_by_label("Name", exact=True).fill("dana")
    await root.locator("#new-account select").select_option("support")
    await root.get_by_role("button", name="Add, and make a link").click()
    link = await root.locator("#set-password").inner_text()
    await is_whole(root)
    dana = await opened(browser, complaints, viewport=size)
    code = dana.get_by_label("Code of your authenticator app, or a recovery code")
    await dana.goto(link)
    await is_whole(dana)
    await dana.get_by_label("New password").fill(NEW)
    await dana.get_by_label("The same again").fill(NEW)
    await dana.get_by_role("button", name="Set the password").click()
    await signs_in(dana, "dana", NEW)
    await dana.get_by_role("link", name="Account").click()
    await is_whole(dana)
    await dana.get_by_role("link", name="Set up").click()
    await is_whole(dana)
    assert await dana.locator("img.qr").evaluate("one => one.naturalWidth > 0"), "the policy lets the picture in"
    totp = pyotp.TOTP(re.sub(r"\s", "", await dana.locator("#totp-secret").inner_text()))
    await dana.get_by_label("The code that it shows").fill(totp.now())
    await dana.get_by_label("Present password").fill(NEW)
    await dana.get_by_role("button", name="Turn on").click()
    recovery = (await dana.locator("#recovery").inner_text()).split()
    await is_whole(dana)
    await dana.get_by_role("link", name="Continue").click()
    await dana.get_by_role("button", name="Sign out everywhere").click()
    await signs_in(dana, "dana", NEW)
    await expect(code).to_be_focused()
    await is_whole(dana)
    await dana.keyboard.type(recovery[0])
    await dana.keyboard.press("Enter")
    await expect(dana.get_by_role("heading", name="Overview")).to_be_visible()
    await dana.get_by_role("button", name="Sign out").click()
    await signs_in(dana, "dana", NEW)
    await expect(code).to_be_focused()
    await dana.keyboard.type(totp.at(time.time(), counter_offset=1))
    await dana.keyboard.press("Enter")
    await dana.get_by_role("link", name="Account").click()
    await expect(dana.get_by_text("9 recovery codes are left.")).to_be_visible()
    assert complaints == []
