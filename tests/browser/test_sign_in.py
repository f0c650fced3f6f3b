"""Signing in and out as people do it, in Chromium."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, Page, Route, expect

from sidecar.web import changes
from tests.support.pages import is_stream, opened, report, settled
from tests.support.running import Zimwatch
from tests.support.tokens import new_token, revoke

CHAT = "https://chat.example/"


async def sign_in(page: Page, secret: str, name: str = "") -> None:
    await page.get_by_label("Name").fill(name)
    await page.get_by_label("Password or token").fill(secret)
    await page.get_by_role("button", name="Sign in").click()


async def from_chat(page: Page, html: str) -> None:
    """Opens a page of another site that holds this."""

    async def answer(route: Route) -> None:
        await route.fulfill(content_type="text/html", body=html)

    await page.route(CHAT, answer)
    await page.goto(CHAT)


@pytest.mark.parametrize("width", [360, 1440])
async def test_a_person_signs_in_by_keyboard_gets_the_requested_page_and_signs_out(
    browser: Browser, running: Zimwatch, width: int
) -> None:
    _, secret = await new_token(running.store, "read")
    complaints: list[str] = []
    page = await opened(browser, complaints, viewport={"width": width, "height": 800})
    await page.goto(f"{running.url}/users?status=online&q=ali")
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    await expect(page.get_by_label("Name")).to_be_focused()
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    await page.keyboard.press("Tab")
    await page.keyboard.type("zw_guess")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_have_text("The token is unknown.")
    await expect(page.get_by_label("Password or token")).to_be_focused()
    await page.keyboard.type(secret)
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(f"{running.url}/users?status=online&q=ali")
    await settled(page)
    (cookie,) = await page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Lax", "/")
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    await page.get_by_role("button", name="Sign out").click()
    await expect(page).to_have_url(f"{running.url}/sign-in")
    assert await page.context.cookies() == []
    await page.go_back()
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert all("401" in one for one in complaints), complaints


async def test_a_link_from_a_chat_opens_signed_in_and_a_foreign_form_does_nothing(
    browser: Browser, running: Zimwatch
) -> None:
    _, secret = await new_token(running.store, "read")
    _, mallorys = await new_token(running.store, "write")
    page = await opened(browser, [])
    await page.goto(running.url)
    await sign_in(page, secret, "dana")
    await expect(page.get_by_role("button", name="Sign out")).to_have_attribute(
        "title", "Signed in as dana, by token 1"
    )
    await from_chat(page, f'<a href="{running.url}/alerts">alert 7</a>')
    await page.get_by_role("link").click()
    await expect(page.get_by_role("heading", name="Alerts")).to_be_visible()
    for path in ("sign-in", "sign-out"):
        fields = f'<input name="password" value="{mallorys}"><button>go</button>'
        await from_chat(page, f'<form method="post" action="{running.url}/{path}">{fields}</form>')
        async with page.expect_response(f"{running.url}/{path}") as answer:
            await page.get_by_role("button", name="go").click()
        assert (await answer.value).status == 403
    await page.goto(running.url)
    await expect(page.get_by_role("button", name="Sign out")).to_have_attribute(
        "title", "Signed in as dana, by token 1"
    )


async def test_an_open_page_says_that_it_is_signed_out_and_goes_on_where_it_was(
    browser: Browser, running: Zimwatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "KEEP_ALIVE_S", 0.1)
    token, secret = await new_token(running.store, "read")
    _, other = await new_token(running.store, "read")
    _, ingest = await new_token(running.store, "ingest")
    await report(running, "alice", {}, token=ingest)
    page = await opened(browser, [])
    await page.goto(f"{running.url}/users?q=ali")
    async with page.expect_response(is_stream):  # the stream is open
        await sign_in(page, secret)
    boxes: list[str] = []
    page.on("dialog", lambda dialog: boxes.append(dialog.message))
    await revoke(running.store, token)
    notice = page.locator("#connection")
    await expect(notice).to_contain_text("The token was revoked: live updates have stopped.")
    await expect(page.get_by_role("link", name="alice").first).to_be_visible()
    await notice.get_by_role("link", name="Sign in").click()
    await expect(page.get_by_text("The token was revoked.")).to_be_visible()
    await sign_in(page, other)
    await expect(page).to_have_url(f"{running.url}/users?q=ali")
    assert boxes == []


async def test_chromium_understands_the_challenge_of_the_api(browser: Browser, running: Zimwatch) -> None:
    _, secret = await new_token(running.store, "read")
    page = await opened(browser, [], http_credentials={"username": "dana", "password": secret})
    answer = await page.goto(f"{running.url}/v1/summary")
    assert answer is not None
    assert answer.status == 200
