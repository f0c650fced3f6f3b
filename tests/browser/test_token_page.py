"""The page that checks a token, in Chromium: what is pasted is read there, and not sent before somebody says so."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Error, Page, expect

from sidecar.settings import ZegoSettings
from tests.support.pages import opened, settled
from tests.support.running import Zimwatch, zimwatch
from tests.support.token04 import FLAWED, SECRET, content, made

APP = 1234567890
ZEGO = ZegoSettings(server_secrets=(f"{APP}:{SECRET}",))


def token(life_s: int = 3_600, mode: int | None = 1) -> str:
    at_s = int(time.time())
    return made(content(APP, "alice", at_s, at_s + life_s), mode=mode)


async def verdict(page: Page) -> Any:
    """The verdict, and the kinds of problems, as they are seen."""
    return await page.evaluate(
        """() => {
          const seen = (name) => [...document.querySelectorAll(`[data-${name}]`)]
            .filter((one) => one.checkVisibility()).map((one) => one.dataset[name]);
          return [seen("verdict").join(), seen("kind")];
        }"""
    )


async def test_a_token_is_read_in_the_browser_as_on_the_server_and_nothing_is_sent(
    running: Zimwatch, browser: Browser
) -> None:
    complaints: list[str] = []
    page = await opened(browser, complaints)
    await page.goto(f"{running.url}/token")
    assert await verdict(page) == ["none", []]
    await settled(page)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    for text, flaw in FLAWED:
        if "\ud800" not in text and text.strip():
            await page.fill("#token", text)
            assert await verdict(page) == ["bad", [flaw]], text[:40]
            await expect(page.locator("#token-facts")).to_be_hidden()
    for life_s, kind in ((-5, "expired"), (20, "too_short"), (25 * 86_400, "too_long")):
        await page.fill("#token", token(life_s))
        assert await verdict(page) == ["bad", [kind]]
    for mode, cipher in ((None, "AES-CBC"), (0, "AES-CBC"), (1, "AES-GCM")):
        await page.fill("#token", f'  "{token(mode=mode)}"\n')
        assert await verdict(page) == ["good", []]
        await expect(page.locator("#token-cipher")).to_have_text(cipher)
        await expect(page.locator("#token-cbc")).to_be_visible(visible=cipher == "AES-CBC")
    await expect(page.locator("#token-expiry")).to_contain_text("in 59 minutes")
    await page.fill("#token", "")
    assert await verdict(page) == ["none", []]
    assert requests == []
    assert page.url == f"{running.url}/token"
    assert await page.evaluate("refused") == []
    assert complaints == []


async def test_a_token_that_expires_meanwhile_is_said_to_have(running: Zimwatch, browser: Browser) -> None:
    page = await opened(browser, [])
    await page.clock.install()
    await page.goto(f"{running.url}/token")
    await page.fill("#token", token(40))
    assert await verdict(page) == ["good", []]
    await page.clock.fast_forward(20_000)
    assert await verdict(page) == ["bad", ["too_short"]]
    await page.clock.fast_forward(30_000)
    assert await verdict(page) == ["bad", ["expired"]]


async def test_with_the_secret_the_answer_has_the_content_and_no_token(tmp_path: Path, browser: Browser) -> None:
    async with zimwatch(tmp_path, zego=ZEGO) as running:
        for javascript in (True, False):
            complaints: list[str] = []
            page = await opened(
                browser,
                complaints,
                java_script_enabled=javascript,
                viewport={"width": 390 if javascript else 1440, "height": 844},
                color_scheme="dark" if javascript else "light",
            )
            await page.goto(f"{running.url}/token")
            given = token()
            await page.fill("#token", given)
            await page.get_by_role("button", name="Check with the ServerSecret").click()
            await expect(page.locator("pre")).to_contain_text('"user_id": "alice"')
            assert page.url == f"{running.url}/token"
            assert given not in await page.content()
            assert await page.input_value("#token") == ""
            assert not await page.locator("[data-verdict=bad]").is_visible()
            if javascript:
                await settled(page)
                assert (await Axe().run(page)).violations_count == 0
                await page.fill("#token", token(20))
                await expect(page.get_by_text("It ends in less than 30 s")).to_be_visible()
                await expect(page.locator("pre")).to_have_count(0)
                assert (await Axe().run(page)).violations_count == 0
            assert complaints == []
            # The way back leads to no copy of the answer, which says no-store, and sends the form no second time.
            await page.goto(f"{running.url}/users")
            with pytest.raises(Error, match="ERR_CACHE_MISS"):
                await page.go_back()


async def test_without_javascript_and_secrets_the_page_says_that_it_must_be_sent(
    running: Zimwatch, browser: Browser
) -> None:
    page = await opened(browser, [], java_script_enabled=False)
    await page.goto(f"{running.url}/token")
    await expect(page.get_by_text("Without JavaScript it has to be sent to be read")).to_be_visible()
    await page.fill("#token", token(20))
    await page.get_by_role("button", name="Send and check").click()
    await expect(page.get_by_text("It ends in less than 30 s")).to_be_visible()
