"""The use cases of the README: phone, tablet and desktop, light and dark, with and without JavaScript."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncIterator
from typing import Any

from playwright.async_api import Browser, Page, expect

from tests.support.pages import APP, ago, opened, report, settled, some_users
from tests.support.running import Zimwatch
from tests.support.wire import fresh_event

Look = tuple[int, str, bool]
"""Width, colour scheme, and whether there is JavaScript."""
# Each width, and each colour scheme with and without JavaScript; test_pages has every combination.
LOOKS: list[Look] = [(360, "light", True), (820, "dark", True), (1440, "light", False), (360, "dark", False)]


@contextlib.asynccontextmanager
async def looking(browser: Browser, look: Look, **options: Any) -> AsyncIterator[Page]:
    """A page that looks so. At the end nothing has moved, nothing was refused, and there was nothing to complain of."""
    width, scheme, javascript = look
    complaints: list[str] = []
    page = await opened(
        browser,
        complaints,
        viewport={"width": width, "height": 900},
        color_scheme=scheme,
        java_script_enabled=javascript,
        **options,
    )
    try:
        yield page
        await settled(page)
        assert complaints == []
    except BaseException as error:
        error.add_note(f"at {width} px, {scheme}, {'with' if javascript else 'without'} JavaScript")
        raise
    finally:
        await page.context.close()


async def test_a_support_agent_learns_why_and_what_to_say(running: Zimwatch, browser: Browser) -> None:
    await some_users(running)
    for look in LOOKS:
        async with looking(browser, look) as page:
            await page.goto(running.url)
            if look[2]:
                await page.keyboard.press("/")
                await page.keyboard.type("aro")
            else:
                await page.get_by_label("Find a user by id").fill("aro")
            await page.keyboard.press("Enter")
            await page.get_by_role("link", name="carol").click()
            await expect(page.get_by_role("heading", name="carol")).to_be_visible()
            await expect(page.locator(".head .state")).to_contain_text("Not logged in")
            await expect(page.get_by_text("Say this to the user")).to_be_visible()
            await expect(page.get_by_text("Kicked out by the login on device", exact=False).first).to_be_visible()


async def test_a_developer_reads_the_raw_events_and_shares_them(running: Zimwatch, browser: Browser) -> None:
    await some_users(running)
    for look in LOOKS:
        async with looking(browser, look) as page:
            await page.goto(f"{running.url}/users/{APP}/carol")
            # A mark of the picture leads to its line, by keyboard.
            await page.locator("svg a[aria-label*='Kicked out']").first.focus()
            await page.keyboard.press("Enter")
            line = page.locator("tr:target")
            await expect(line).to_contain_text("Kicked out by the login on device")
            await line.locator("summary").click()
            await expect(line.locator("pre")).to_contain_text('"connection_event": "KICKED_OUT"')
            await page.get_by_role("button", name="Create a link").click()
            await page.get_by_role("link", name="Open", exact=True).click()
            await expect(page.get_by_text("Shared from Zimwatch")).to_be_visible()
            assert "carol" not in await page.content()


async def test_an_operator_sees_the_counts_and_the_settings(running: Zimwatch, browser: Browser) -> None:
    await some_users(running)
    for look in LOOKS:
        async with looking(browser, look) as page:
            await page.goto(f"{running.url}/wall")
            await expect(page.locator(".counts strong").first).to_have_text("2")
            await page.goto(running.url)
            await expect(page.get_by_label("Health of Zimwatch")).to_contain_text("Database ok")
            await page.get_by_text("Show as a table").click()
            await expect(page.get_by_role("columnheader", name="Kicked out")).to_be_visible()
            await page.get_by_role("link", name="Settings").click()
            await page.get_by_text("settings have their defaults").click()
            await expect(page.get_by_text("leases.heartbeat")).to_be_visible()


async def test_who_is_on_call_takes_an_alert_on_and_silences_it(running: Zimwatch, browser: Browser) -> None:
    for number, look in enumerate(LOOKS):
        who, why = f"carol {number}.", f"she tests {number}"
        await running.send([fresh_event(user_id=who, client_id=str(uuid.uuid4()), state=0, event=4)])
        async with looking(browser, look) as page:
            await page.goto(f"{running.url}/alerts")
            await page.get_by_role("link", name=f"{who} was kicked out").click()
            await page.get_by_role("link", name="Acknowledge or silence").click()
            await page.get_by_role("button", name="Acknowledge").click()
            await expect(page.get_by_text("Acknowledged by")).to_be_visible()
            await page.get_by_label("Why").fill(why)
            await page.get_by_role("button", name="Silence").click()
            await page.goto(f"{running.url}/silences")
            row = page.locator("tr", has_text=why)
            await row.get_by_role("button", name="End now").click()
            await expect(row.get_by_text("ended", exact=True)).to_be_visible()


async def test_who_is_on_call_takes_several_alerts_on_at_once(running: Zimwatch, browser: Browser) -> None:
    for number, look in enumerate(LOOKS):
        who = [f"user {number}.{place}." for place in range(3)]
        for user_id in who:
            await running.send([fresh_event(user_id=user_id, client_id=str(uuid.uuid4()), state=0, event=4)])
        async with looking(browser, look) as page:
            await page.goto(f"{running.url}/alerts?state=firing")
            for user_id in who[:2]:
                await page.get_by_role("checkbox", name=user_id).check()
            await page.get_by_role("button", name="Acknowledge …").click()
            await expect(page.locator("tbody tr")).to_have_count(2)
            await page.get_by_role("button", name="Acknowledge 2 alerts").click()
            for user_id in who:
                row = page.locator("tr", has_text=user_id)
                await expect(row).to_contain_text("Acknowledged" if user_id in who[:2] else "Firing")


# The label of a button returns when the test says so, and not 1.5 s after the click.
LABEL_RETURNS_LATER = """
    const later = window.setTimeout;
    window.setTimeout = (done, ms, ...given) => {
        if (ms !== 1500) return later(done, ms, ...given);
        window.labelReturns = done;
    };
"""


async def test_the_text_for_the_user_is_copied(running: Zimwatch, browser: Browser) -> None:
    await some_users(running)
    async with looking(browser, LOOKS[0], permissions=["clipboard-read", "clipboard-write"]) as page:
        await page.add_init_script(LABEL_RETURNS_LATER)
        await page.goto(f"{running.url}/users/{APP}/dave")
        await page.bring_to_front()  # a page without the focus has no clipboard
        button = page.locator("[data-copy=say]")
        label = await button.text_content()
        await button.click()
        await expect(button).to_have_text("Copied")
        await button.click()  # "Copied" is no label to return to
        said = await page.locator("#say").inner_text()
        failed = {"type": "api_error", "method": "sendMessage", "code": 6000121, "message": "not logged in"}
        await report(running, "dave", failed | {"occurred_at": ago(0)}, device="tablet")
        await expect(page.locator("#live")).to_contain_text("sendMessage")
        await expect(button).to_have_text("Copied")
        await page.evaluate("labelReturns()")
        await expect(button).to_have_text(label or "")
        assert await page.evaluate("navigator.clipboard.readText()") == said
        await page.evaluate("shifted = 0")  # a failed call on another device is news, and takes its place
