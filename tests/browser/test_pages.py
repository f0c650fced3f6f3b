"""The pages in Chromium: with and without JavaScript, on a phone and a desktop, light and dark, in both languages."""

from __future__ import annotations

import asyncio
import shutil
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, Route, async_playwright, expect

from tests.support.running import Zimwatch, zimwatch
from tests.support.wire import fresh_event, wire_event

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-first-run",
]
APP = 1234567890
WIDTHS = [360, 768, 1440]
# Layout shift as Chromium measures it (https://web.dev/articles/cls), and what the content security policy refused.
WATCH = """
window.shifted = 0; window.refused = [];
new PerformanceObserver((list) => {
  for (const one of list.getEntries()) if (!one.hadRecentInput) shifted += one.value;
}).observe({type: "layout-shift", buffered: true});
addEventListener("securitypolicyviolation", (event) => refused.push(event.violatedDirective + " " + event.blockedURI));
"""
SHIFT_MOST = 0.02


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Zimwatch]:
    async with zimwatch(tmp_path) as running:
        yield running


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        yield browser
        await browser.close()


async def opened(browser: Browser, complaints: list[str], **options: Any) -> Page:
    context = await browser.new_context(**options)
    await context.add_init_script(WATCH)
    page = await context.new_page()
    page.on("console", lambda told: complaints.append(told.text) if told.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return page


async def live(page: Page, url: str) -> None:
    """Opens the page, and waits until its stream is open."""
    async with page.expect_response(lambda response: "/live/" in response.url):
        await page.goto(url)


async def settled(page: Page, path: str = "") -> None:
    """Nothing moved, and nothing was refused."""
    if await page.evaluate("typeof shifted !== 'undefined'"):
        assert await page.evaluate("shifted") < SHIFT_MOST, path or page.url
        assert await page.evaluate("refused") == [], path or page.url


def ago(seconds: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat(timespec="milliseconds")


async def told(running: Zimwatch, user_id: str, *events: dict[str, Any], device: str = "phone", begin: int = 1) -> None:
    """Reports events of one device, in order."""
    client = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{user_id}/{device}"))
    common = {"user_id": user_id, "client_id": client, "session_id": client, "device_id": device, "platform": "Web"}
    _, answer = await running.send(
        [wire_event(**{**common, "seq": seq, **one}) for seq, one in enumerate(events, begin)]
    )
    assert answer["rejected"] == []


async def some_users(running: Zimwatch) -> None:
    """Everybody with a story."""
    expires = (datetime.now(UTC) + timedelta(hours=2)).isoformat(timespec="milliseconds")
    login = {"type": "login", "offline_login": False, "token_expires_at": expires}
    await told(running, "alice", login | {"occurred_at": ago(90)}, {"occurred_at": ago(89)})
    await told(running, "bob", {"occurred_at": ago(80)}, {"occurred_at": ago(70), "state": 3, "event": 3})
    await told(running, "bob", {"occurred_at": ago(60)}, device="desk")
    kicked = {"state": 0, "event": 4, "extended_data": '{"reason":1,"message":"on another device"}'}
    await told(running, "carol", login | {"occurred_at": ago(55)}, {"occurred_at": ago(54)})
    await told(running, "carol", login | {"occurred_at": ago(30)}, {"occurred_at": ago(29)}, device="desk")
    await told(running, "carol", kicked | {"occurred_at": ago(29.5)}, begin=3)
    await told(running, "carol", {"occurred_at": ago(20), "state": 0, "event": 0}, device="desk", begin=3)
    await told(running, "dave", {"occurred_at": ago(50)}, {"occurred_at": ago(10), "state": 0, "event": 5})
    await told(running, "erin", {"occurred_at": ago(9), "state": 0, "event": 99})
    await told(running, "m" * 300 + "<b>allory", {"occurred_at": ago(8), "state": 0, "event": 2})
    asked = {"matchers": {"user_id": "dave"}, "duration": "4h", "reason": "he tests his phone", "author": "dana"}
    await running.http.post("/v1/silences", json=asked)


PATHS = [
    "/",
    "/users",
    "/users?status=not_logged_in",
    "/users?q=nobody",
    "/users?status=gone",
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
]


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
    for path in PATHS:
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


async def test_with_no_data_every_page_is_whole_too(running: Zimwatch, browser: Browser) -> None:
    complaints: list[str] = []
    for locale in ("en-GB", "zh-CN"):
        page = await opened(browser, complaints, locale=locale)
        for path in ("/", "/users", "/settings", "/wall"):
            await page.goto(running.url + path)
            found = await Axe().run(page)
            assert found.violations_count == 0, f"{path}: {found.generate_report()}"
    assert complaints == []


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
    await told(running, "alice", {"occurred_at": ago(0), "state": 0, "event": 5}, begin=3)
    rows = [overview.locator("tr", has_text="alice"), users.locator("tr", has_text="alice"), alice.locator(".head")]
    for row in rows:
        await expect(row.get_by_text("Token expired").or_(row.get_by_text("token expired")).first).to_be_visible()
    for page, _ in pages:
        assert await page.evaluate("window.notReloaded")
        await settled(page)
    assert complaints == []


async def test_rows_wait_above_the_list_until_they_are_asked_for(running: Zimwatch, browser: Browser) -> None:
    complaints: list[str] = []
    await some_users(running)
    page = await opened(browser, complaints)
    await live(page, f"{running.url}/users")
    before = await page.locator("#user-rows th").all_inner_texts()
    await told(running, "frank", {"occurred_at": ago(0)})
    await told(running, "alice", {"occurred_at": ago(0), "state": 3, "event": 3}, begin=3)
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


async def test_what_is_open_and_where_the_keyboard_is_outlive_a_change(running: Zimwatch, browser: Browser) -> None:
    await some_users(running)
    page = await opened(browser, [])
    await live(page, f"{running.url}/users/{APP}/carol")
    raw = page.locator("#event-rows details").last
    await raw.locator("summary").click()
    mark = page.locator("svg a").first
    await mark.focus()
    focused = await mark.get_attribute("id")
    await told(running, "carol", {"occurred_at": ago(0)}, device="tablet")
    await expect(page.locator(".head .huge")).to_contain_text("Online")
    assert await raw.evaluate("(one) => one.open")
    assert await page.evaluate("document.activeElement.id") == focused


async def test_a_page_comes_alive_however_late_a_script_arrives(running: Zimwatch, browser: Browser) -> None:
    page = await opened(browser, [])
    late = asyncio.Event()

    async def wait(route: Route) -> None:
        await late.wait()
        await route.continue_()

    await page.route("**/hx-sse-*.js", wait)
    async with page.expect_response(lambda response: "/live/" in response.url):
        await page.goto(running.url, wait_until="commit")
        await page.wait_for_function("window.htmx")
        await page.evaluate("new Promise((done) => setTimeout(done))")  # what htmx may have put off is done by now
        late.set()


async def test_the_first_page_teaches_and_comes_alive_by_itself(running: Zimwatch, browser: Browser) -> None:
    complaints: list[str] = []
    page = await opened(browser, complaints)
    await live(page, running.url)
    await expect(page.get_by_text("Nothing has been reported yet")).to_be_visible()
    # The command of the page works as it stands.
    process = await asyncio.create_subprocess_shell(
        await page.locator("#example-curl").inner_text(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    answer, _ = await process.communicate()
    assert b'"accepted":1' in answer
    await expect(page.get_by_role("link", name="alice")).to_be_visible()
    assert complaints == []


async def test_a_support_agent_learns_why_and_what_to_say(running: Zimwatch, browser: Browser) -> None:
    await some_users(running)
    for javascript in (True, False):
        page = await opened(browser, [], java_script_enabled=javascript, viewport={"width": 360, "height": 800})
        await page.goto(running.url)
        if javascript:
            await page.keyboard.press("/")
            await page.keyboard.type("aro")
        else:
            await page.get_by_label("Find a user by id").fill("aro")
        await page.keyboard.press("Enter")
        await page.get_by_role("link", name="carol").click()
        await expect(page.get_by_role("heading", name="carol")).to_be_visible()
        await expect(page.locator(".huge")).to_have_text("Not logged in")
        await expect(page.get_by_text("Say this to the user")).to_be_visible()
        await expect(page.get_by_text("Kicked out by the login on device", exact=False).first).to_be_visible()


async def test_a_developer_reads_what_the_sdk_said_and_hands_it_on(running: Zimwatch, browser: Browser) -> None:
    await some_users(running)
    for javascript in (True, False):
        page = await opened(browser, [], java_script_enabled=javascript)
        await page.goto(f"{running.url}/users/{APP}/carol")
        # A mark of the picture leads to its line, by keyboard.
        mark = page.locator("svg a[aria-label*='Kicked out']").first
        await mark.focus()
        await page.keyboard.press("Enter")
        line = page.locator("tr:target")
        await expect(line).to_contain_text("Kicked out by the login on device")
        await line.locator("summary").click()
        await expect(line.locator("pre")).to_contain_text('"connection_event": "KICKED_OUT"')
        await page.get_by_role("button", name="Make a link").click()
        await page.get_by_role("link", name="Open it").click()
        await expect(page.get_by_text("Handed over from Zimwatch")).to_be_visible()
        assert "carol" not in await page.content()


async def test_an_operator_sees_how_it_stands_and_what_is_in_force(running: Zimwatch, browser: Browser) -> None:
    await some_users(running)
    for javascript in (True, False):
        page = await opened(browser, [], java_script_enabled=javascript)
        await page.goto(f"{running.url}/wall")
        await expect(page.locator(".counts strong").first).to_have_text("2")
        await page.goto(running.url)
        await expect(page.get_by_label("Zimwatch itself")).to_contain_text("Database commits")
        await page.get_by_text("The same as a table").click()
        await expect(page.get_by_role("columnheader", name="Kicked out")).to_be_visible()
        await page.get_by_role("link", name="Settings").click()
        await expect(page.get_by_text("leases.heartbeat")).to_be_visible()


@pytest.mark.parametrize("javascript", [True, False])
async def test_support_takes_an_alert_on_and_silences_it(
    running: Zimwatch, browser: Browser, *, javascript: bool
) -> None:
    await running.send([fresh_event(user_id="carol", state=0, event=4)])
    complaints: list[str] = []
    page = await opened(browser, complaints, java_script_enabled=javascript)
    await page.goto(running.url + "/alerts")
    await page.get_by_role("link", name="carol was kicked out").click()
    await page.get_by_role("button", name="Acknowledge").click()
    await expect(page.get_by_text("Taken on by")).to_be_visible()
    await page.get_by_label("Why").fill("she tests")
    await page.get_by_role("button", name="Silence").click()
    await page.goto(running.url + "/silences")
    await expect(page.get_by_text("she tests")).to_be_visible()
    await page.get_by_role("button", name="End now").click()
    await expect(page.get_by_text("ended", exact=True)).to_be_visible()
    assert complaints == []


async def test_an_operator_takes_several_alerts_on_at_once(running: Zimwatch, browser: Browser) -> None:
    for javascript in (True, False):
        who = [f"user {number} {javascript}" for number in range(3)]
        for user_id in who:
            await running.send([fresh_event(user_id=user_id, client_id=str(uuid.uuid4()), state=0, event=4)])
        page = await opened(browser, [], java_script_enabled=javascript)
        await page.goto(f"{running.url}/alerts?state=firing")
        for user_id in who[:2]:
            await page.get_by_role("checkbox", name=user_id).check()
        await page.get_by_role("button", name="Acknowledge …").click()
        await expect(page.locator("tbody tr")).to_have_count(2)
        await page.get_by_role("button", name="Acknowledge 2 alerts").click()
        for user_id in who:
            row = page.locator("tr", has_text=user_id)
            await expect(row).to_contain_text("Acknowledged" if user_id in who[:2] else "Firing")


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


async def test_times_are_the_viewers_and_the_tip_is_utc(running: Zimwatch, browser: Browser) -> None:
    await told(running, "alice", {"occurred_at": "2026-11-23T20:03:20Z"})
    page = await opened(browser, [], timezone_id="Asia/Shanghai", locale="zh-CN")
    await page.goto(f"{running.url}/users/{APP}/alice")
    since = page.locator(".since time").first
    await expect(since).to_have_text("2026-11-24 04:03:20")
    assert await since.get_attribute("title") == "2026-11-23 20:03:20 UTC"
    await expect(page.locator("footer")).to_contain_text("Asia/Shanghai")


async def test_keys_help_and_close(running: Zimwatch, browser: Browser) -> None:
    page = await opened(browser, [])
    await page.goto(running.url)
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog")).to_be_visible()
    found = await Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_be_hidden()
    await page.keyboard.press("g")
    await page.keyboard.press("u")
    await expect(page).to_have_url(f"{running.url}/users")


async def test_what_is_to_be_said_is_copied(running: Zimwatch, browser: Browser) -> None:
    await some_users(running)
    page = await opened(browser, [], permissions=["clipboard-read", "clipboard-write"])
    await page.goto(f"{running.url}/users/{APP}/dave")
    await page.locator("[data-copy=say]").click()
    await expect(page.locator("[data-copy=say]")).to_have_text("Copied")
    assert await page.evaluate("navigator.clipboard.readText()") == "Your session has ended. Please log in again."


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
