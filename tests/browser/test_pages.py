"""Every page in Chromium: with and without JavaScript, on a phone and a desktop, light and dark, in every state."""

from __future__ import annotations

import itertools
import re
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, expect

from dashboard.parts.user_columns import PAGE_COLUMNS
from tests.support.pages import APP, WIDTHS, ago, is_stream, opened, report, settled, some_users
from tests.support.running import Zimwatch
from tests.support.tokens import new_token

PATHS = [
    "/",
    "/users",
    "/users?status=not_logged_in",
    "/users?q=nobody",
    "/users?status=gone",
    "/users?order=token&as_of=2100-01-01",
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
    "/tokens",
    "/accounts",
    "/audit",
    "/account",
    "/findings",
    "/rejected",
    "/token",
    "/wall",
    "/nowhere",
    "/alerts/999999",
    "/hand-off/none",
]
EMPTY = ["/", "/users", "/users/1/alice", "/alerts", "/alerts/undelivered", "/silences", "/settings", "/wall"]


# Each takes 10 to 20 seconds; those not listed are among the long tests.
OFTEN: Final = ((True, 360, "dark"), (True, 1440, "light"), (False, 820, "light"))
LOOKS: Final = [
    pytest.param(*look, marks=[] if look in OFTEN else [pytest.mark.soak])
    for look in itertools.product((True, False), WIDTHS, ("light", "dark"))
]


@pytest.mark.parametrize(("javascript", "width", "scheme"), LOOKS)
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
    await page.goto(f"{running.url}/users/{APP}/dave?hand_off=1h")
    link = await page.locator("#share-link").input_value()
    for path in [*PATHS, link.removeprefix(running.url)]:
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


# The longest that each cell of a row can say: a state in doubt, a time, a reason, an app, a platform.
FILL_ROWS = """() => {
  const widest = {
    Status: '<span class="row"><span class="status not_logged_in">Not logged in</span>' +
      '<span class="tag dashed">unconfirmed</span><span class="tag dashed">server disagrees</span></span>',
    Since: "<time>59 seconds ago</time>", "Last seen": "<time>59 seconds ago</time>",
    "Token ends": "<time>in 59 minutes</time>", Why: "Kicked out, maybe by its own old connection",
    App: "4294967295", Platform: "MiniProgram", SDK: "2.28.0-beta.12", "App version": "2026.11.30-rc1",
  };
  for (const cell of document.querySelectorAll(".people td")) cell.innerHTML = widest[cell.dataset.label];
}"""
# Short ids that are cut, and cells whose content runs into the next one.
CUT = """() => [...document.querySelectorAll(".people .id")]
  .filter((one) => one.textContent.length < 25)
  .filter((one) => one.scrollWidth > one.clientWidth || one.scrollHeight > one.clientHeight)
  .concat([...document.querySelectorAll(".people td:not(.cut)")].filter((one) => one.scrollWidth > one.clientWidth))
  .map((one) => one.textContent)"""


async def test_short_ids_are_whole_at_any_width_whatever_the_other_cells_show(
    running: Zimwatch, browser: Browser
) -> None:
    await some_users(running)
    await report(running, "grzegorz.kowalski", {"occurred_at": ago(1)})
    page = await opened(browser, [])
    await page.route("**/live/**", lambda route: route.abort())  # the rows stay as they are filled here
    every_column = "/users?col_set=1" + "".join(f"&col={name}" for name in PAGE_COLUMNS)
    for path in ("/", "/users", every_column):
        await page.goto(running.url + path)
        await page.evaluate(FILL_ROWS)
        for width in range(360, 1300, 30):
            await page.set_viewport_size({"width": width, "height": 900})
            assert await page.evaluate(CUT) == [], f"{path} at {width}"
            assert await page.evaluate("document.documentElement.scrollWidth") <= width, f"{path} at {width}"


async def test_with_no_data_every_page_is_whole_too(running: Zimwatch, browser: Browser) -> None:
    complaints: list[str] = []
    for locale in ("en-GB", "zh-CN"):
        page = await opened(browser, complaints, locale=locale)
        for path in EMPTY:
            await page.goto(running.url + path)
            found = await Axe().run(page)
            assert found.violations_count == 0, f"{path}: {found.generate_report()}"
            await settled(page)
    # Chromium itself reports the user that is not there.
    assert [one for one in complaints if "status of" not in one] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_refused_person_gets_a_readable_page(running: Zimwatch, browser: Browser, scheme: str) -> None:
    await new_token(running.store, "read")
    page = await opened(browser, [], color_scheme=scheme)
    await page.goto(running.url)
    await page.get_by_label("Password or token").fill("zw_guess")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_be_visible()
    found = await Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    # What a program's credentials get in a browser.
    async with running.http.get("/", headers={"Accept": "text/html", "Authorization": "Bearer zw_guess"}) as response:
        assert response.status == 401
        refused = await response.text()
    await page.route("**/refused", lambda route: route.fulfill(body=refused, content_type="text/html"))
    await page.goto(running.url + "/refused")
    await expect(page.get_by_role("heading", name="Please sign in")).to_be_visible()
    found = await Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


WRITTEN = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\s*(?:UTC|[+-]\d\d:\d\d)?")
# All that a page says: its text, tips, labels and the titles of its pictures. The tip of a moment has it in UTC.
EVERYTHING = """() => [
  document.body.innerText,
  ...[...document.querySelectorAll("[title]:not([data-at])")].map((one) => one.title),
  ...[...document.querySelectorAll("[aria-label]")].map((one) => one.ariaLabel),
  ...[...document.querySelectorAll("svg title")].map((one) => one.textContent),
].join("\\n")"""
ENDS = {"type": "login", "offline_login": False, "token_expires_at": "2026-12-01T00:30:00Z"}


@pytest.mark.parametrize(
    ("zone", "offset", "since"),
    [
        ("Asia/Shanghai", "+08:00", "2026-11-24 04:03:20"),
        ("America/St_Johns", "-03:30", "2026-11-23 16:33:20"),
        ("UTC", "UTC", "2026-11-23 20:03:20"),
    ],
)
async def test_all_times_of_a_page_are_in_the_viewers_zone_and_name_their_offset(
    running: Zimwatch, browser: Browser, zone: str, offset: str, since: str
) -> None:
    await report(
        running, "alice", ENDS | {"occurred_at": "2026-11-23T20:03:19Z"}, {"occurred_at": "2026-11-23T20:03:20Z"}
    )
    page = await opened(browser, [], timezone_id=zone, locale="en-GB")
    for path in (f"/users/{APP}/alice", f"/users/{APP}/alice?as_of=2026-11-24", "/users", "/"):
        await page.goto(running.url + path)
        if path != "/":
            shown = await page.evaluate(EVERYTHING)
            assert {moment.split(" ", 2)[2] for moment in WRITTEN.findall(shown)} == {offset}, path
        await expect(page.locator("footer")).to_contain_text(zone)
    await page.goto(f"{running.url}/users/{APP}/alice")
    await expect(page.locator(".since time").first).to_have_text(f"{since} {offset}")
    await expect(page.locator(".since time").first).to_have_attribute("title", "2026-11-23 20:03:20 UTC")
    # What comes by the stream is in the same zone.
    async with page.expect_response(is_stream):
        await page.reload()
    await report(running, "alice", {"state": 3, "event": 3, "occurred_at": "2026-11-23T21:03:20Z"}, begin=3)
    await expect(page.locator(".since time").first).to_contain_text(":03:20" if offset != "-03:30" else ":33:20")
    await expect(page.locator(".head")).to_contain_text("Offline")
    shown = await page.evaluate(EVERYTHING)
    assert {moment.split(" ", 2)[2] for moment in WRITTEN.findall(shown)} == {offset}


async def test_what_is_copied_from_a_page_means_the_same_when_it_is_pasted(running: Zimwatch, browser: Browser) -> None:
    await report(running, "alice", {"occurred_at": "2026-11-23T20:03:20Z"})
    shanghai = await opened(browser, [], timezone_id="Asia/Shanghai")
    await shanghai.goto(f"{running.url}/users/{APP}/alice")
    copied = await shanghai.locator(".since time").first.inner_text()
    for options in (
        {"timezone_id": "Asia/Shanghai"},
        {"timezone_id": "America/New_York"},
        {"java_script_enabled": False},
    ):
        page = await opened(browser, [], **options)
        await page.goto(f"{running.url}/users?as_of=2026-11-24T00:00:00Z")
        await page.get_by_text("More filters").click()
        await page.locator("[name=as_of]").fill(f" {copied}")
        await page.get_by_role("button", name="Show", exact=True).click()
        shown = page.locator(".callout time")
        await expect(shown).to_have_attribute("datetime", "2026-11-23T20:03:20.000Z")
        # The box says the same moment, and sends it again as it was.
        await page.get_by_role("button", name="Show", exact=True).click()
        await expect(page.locator(".callout time")).to_have_attribute("datetime", "2026-11-23T20:03:20.000Z")


async def test_a_time_typed_without_an_offset_is_in_the_zone_of_the_page(running: Zimwatch, browser: Browser) -> None:
    page = await opened(browser, [], timezone_id="Asia/Shanghai")
    for typed, meant in (
        ("2026-11-24 04:03", "2026-11-23T20:03:00.000Z"),
        ("2026-11-24", "2026-11-23T16:00:00.000Z"),
        ("2026-11-24T04:03:20.5", "2026-11-23T20:03:20.500Z"),
        ("2026-11-24T04:03:20.5Z", "2026-11-24T04:03:20.500Z"),
    ):
        await page.goto(f"{running.url}/users?as_of=2026-11-24T00:00:00Z")
        await page.get_by_text("More filters").click()
        await page.locator("[name=as_of]").fill(typed)
        await page.get_by_role("button", name="Show", exact=True).click()
        await expect(page.locator(".callout time")).to_have_attribute("datetime", meant)


async def test_an_id_that_looks_like_a_time_is_shown_as_it_is(running: Zimwatch, browser: Browser) -> None:
    name = "2026-11-23 20:03:20 UTC"
    await report(running, name, {})
    page = await opened(browser, [], timezone_id="Asia/Shanghai")
    await page.goto(f"{running.url}/users")
    await expect(page.locator("a.id")).to_have_text(name)
    assert await page.locator("a.id").get_attribute("title") == name


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
        await report(
            running,
            text,
            {"occurred_at": off, "platform": text[:64], "app_version": text[:64], "extended_data": text},
            {"type": "api_error", "method": text[:64], "code": 1, "message": text, "occurred_at": off},
        )
    for number in range(40):
        await report(running, "mallory", {"occurred_at": ago(40 - number)}, device=f"device {number}")
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


async def test_a_printed_list_begins_on_its_first_page_and_breaks_between_rows(
    running: Zimwatch, browser: Browser
) -> None:
    for number in range(50):
        await report(running, f"user {number:02}", {})
    moves = [{"state": 3 - number % 2, "event": 3 - 3 * (number % 2)} for number in range(50)]
    await report(running, "alice", *moves)
    page = await opened(browser, [])
    await page.emulate_media(media="print")
    for path, most in (("/users", 2), (f"/users/{APP}/alice", 3), ("/", 2)):
        await page.goto(running.url + path)
        printed = await page.pdf(format="A4", print_background=True)
        assert len(re.findall(rb"/Type\s*/Page\b", printed)) <= most, path
        await page.set_viewport_size({"width": 690, "height": 1000})  # A4 within its margins
        # A row is a row of a table, and no cell lies on the next one.
        overlaps = await page.evaluate(
            """() => [...document.querySelectorAll("tbody tr")].flatMap((row) => {
              const cells = [...row.cells].map((cell) => {
                const range = document.createRange();
                range.selectNodeContents(cell);
                return range.getBoundingClientRect();
              }).filter((box) => box.width);
              return cells.slice(1).filter((box, place) => box.left < cells[place].right - 1);
            }).length"""
        )
        assert overlaps == 0, path
        assert await page.locator(".table:visible thead").first.is_visible()
        assert not await page.locator("form").first.is_visible()
