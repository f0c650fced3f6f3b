"""Open pages change without a reload, and nothing moves."""

from __future__ import annotations

import asyncio
import uuid

from playwright.async_api import Browser, Route, expect

from tests.support.pages import APP, ago, is_stream, live, opened, report, settled, some_users
from tests.support.running import Zimwatch
from tests.support.wire import fresh_event


async def test_a_change_is_on_the_open_pages_without_a_reload_and_nothing_moves(
    running: Zimwatch, browser: Browser
) -> None:
    complaints: list[str] = []
    await some_users(running)
    overview, users, alice = [await opened(browser, complaints) for _ in range(3)]
    pages = ((overview, "/"), (users, "/users"), (alice, f"/users/{APP}/alice"))
    for page, path in pages:
        await live(page, running.url + path)
        await page.evaluate("window.notReloaded = true")
        await expect(page.locator("main .status.online").first).to_be_visible()
    await report(running, "alice", {"occurred_at": ago(0), "state": 0, "event": 5}, begin=3)
    rows = [overview.locator("tr", has_text="alice"), users.locator("tr", has_text="alice"), alice.locator(".head")]
    for row in rows:
        await expect(row.get_by_text("Token expired").or_(row.get_by_text("token expired")).first).to_be_visible()
    for page, _ in pages:
        assert await page.evaluate("window.notReloaded")
        await settled(page)
    assert complaints == []


async def test_new_rows_wait_above_the_list_until_a_click(running: Zimwatch, browser: Browser) -> None:
    complaints: list[str] = []
    await some_users(running)
    page = await opened(browser, complaints)
    await live(page, f"{running.url}/users")
    before = await page.locator("#user-rows th").all_inner_texts()
    await report(running, "frank", {"occurred_at": ago(0)})
    await report(running, "alice", {"occurred_at": ago(0), "state": 3, "event": 3}, begin=3)
    waiting = page.get_by_role("button", name="2 changes, show")
    await expect(waiting).to_be_visible()
    # alice's own row tells at once, in its place.
    await expect(page.locator("tr", has_text="alice")).to_contain_text("Offline")
    assert await page.locator("#user-rows th").all_inner_texts() == before
    await settled(page)
    await page.keyboard.press(".")
    await expect(page.locator("#user-rows th").first).to_have_text("alice")
    assert (await page.locator("#user-rows th").all_inner_texts())[:2] == ["alice", "frank"]
    await expect(waiting).to_be_hidden()
    assert complaints == []


async def test_a_page_comes_alive_however_late_a_script_arrives(running: Zimwatch, browser: Browser) -> None:
    page = await opened(browser, [])
    late = asyncio.Event()

    async def wait(route: Route) -> None:
        await late.wait()
        await route.continue_()

    await page.route("**/live.js", wait)
    async with page.expect_response(is_stream):
        await page.goto(running.url, wait_until="domcontentloaded")
        await expect(page.locator("main")).to_be_visible()
        late.set()


async def test_the_first_page_teaches_and_comes_alive_by_itself(running: Zimwatch, browser: Browser) -> None:
    complaints: list[str] = []
    page = await opened(browser, complaints)
    await live(page, running.url)
    await expect(page.get_by_text("Nothing has been reported yet")).to_be_visible()
    # The command on the page works unchanged.
    process = await asyncio.create_subprocess_shell(
        await page.locator("#example-curl").inner_text(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    answer, _ = await process.communicate()
    assert b'"accepted":1' in answer
    await expect(page.get_by_role("link", name="alice")).to_be_visible()
    assert complaints == []


async def test_an_alert_is_on_the_open_page_without_a_reload(running: Zimwatch, browser: Browser) -> None:
    complaints: list[str] = []
    page = await opened(browser, complaints)
    await live(page, running.url + "/alerts")
    await page.evaluate("window.notReloaded = true")
    carol = str(uuid.uuid4())
    await running.send([fresh_event(user_id="carol", client_id=carol, state=0, event=4)])
    await expect(page.get_by_role("link", name="carol was kicked out")).to_be_visible()
    await expect(page.locator("main .fires")).to_be_visible()
    await running.send([fresh_event(user_id="carol", client_id=carol, seq=2)])
    await expect(page.locator("tbody").get_by_text("Resolved")).to_be_visible()
    assert await page.evaluate("window.notReloaded")
    assert complaints == []


async def test_nine_windows_of_one_browser_are_all_updated(running: Zimwatch, browser: Browser) -> None:
    """A browser opens six connections to a server over HTTP/1.1, whatever the number of its windows."""
    await some_users(running)
    context = await browser.new_context()
    users = ["alice", "bob", "carol", "dave", "erin"]
    paths = ["/", "/wall", "/users", "/alerts", *(f"/users/{APP}/{name}" for name in users)]
    pages = [await context.new_page() for _ in paths]
    for page, path in zip(pages, paths, strict=True):
        await page.goto(running.url + path)
        await page.evaluate("window.notReloaded = true")
    for name in users:
        await report(running, name, {"occurred_at": ago(0)}, device="tablet")
    for page in pages[4:]:
        await expect(page.locator(".head .status")).to_have_text("Online")
        await expect(page.get_by_text("tablet").first).to_be_attached()
    await expect(pages[1].locator(".counts strong").first).to_have_text("5")
    # A window that is closed leaves its stream to another, and no window holds the others up.
    for page in pages[:4]:
        await page.close()
    await report(running, "erin", {"occurred_at": ago(0), "state": 0, "event": 5}, device="tablet", begin=2)
    await expect(pages[-1].locator(".head .status")).to_have_text("Not logged in")
    assert await pages[-1].evaluate("window.notReloaded")
    await context.close()
