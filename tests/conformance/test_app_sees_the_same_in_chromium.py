"""An app in a page sees the same of the real SDK without the tap and with a tap whose environment fails."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from playwright.async_api import Browser

from tests.conformance import watching
from tests.conformance.app_pages import app_server, to
from tests.support.chromium import chromium
from tests.support.running import zimwatch

FAULTS = [
    "",  # nothing fails
    "storage is refused",
    "storage never answers",
    "storage is full",
    "storage takes it back",
    "locks are refused",
    "locks throw",
    "fetch throws",
]
AT_ONCE = 3
NOWHERE = 9  # the discard port
LOG = """async ([options, fault]) => {
  // A well-formed Token04: the expiry, 16 bytes of IV and 128 of cipher, each with its length before it.
  const token04 = (seconds) => {
    const view = new DataView(new ArrayBuffer(8 + 2 + 16 + 2 + 128));
    view.setBigInt64(0, BigInt(Math.floor(Date.now() / 1000) + seconds));
    view.setInt16(8, 16);
    view.setInt16(26, 128);
    return "04" + btoa(String.fromCharCode(...new Uint8Array(view.buffer)));
  };
  if (fault) faults[fault](options);
  if (options) window.tap = ZimTap.install(ZIM, options);
  const watch = ({ unhandled, uncaught }) => {
    addEventListener("unhandledrejection", (event) => { event.preventDefault(); unhandled(event.reason); });
    addEventListener("error", (event) => { event.preventDefault(); uncaught(event.error); });
  };
  return appLog({ ZIM, token04, watch });
}"""
# The results of `isFromDestroyedClient` for errors thrown in the named scripts, innermost first.
TRIPPED = """async (thrown) => {
  const opening = indexedDB.open("the test's own");
  await new Promise((resolve) => (opening.onsuccess = resolve));
  const database = opening.result;
  database.close();
  const within = (script, code) =>
    new Function("database", "inner", `${code}\\n//# sourceURL=${location.origin}${script}`);
  return thrown.map(([code, ...scripts]) => {
    let run = within(scripts[0], code).bind(null, database);
    for (const script of scripts.slice(1)) run = within(script, "inner()").bind(null, database, run);
    try {
      run();
    } catch (error) {
      return isFromDestroyedClient(error);
    }
  });
}"""
# The SDK alone: the first error of a client that is destroyed right after its login.
DESTROYED = """async (token) => {
  const tripped = new Promise((resolve) => addEventListener("unhandledrejection", (event) => resolve(event.reason)));
  const zim = ZIM.create({ appID: 1234 });
  await zim.login("alice", { userName: "Alice", token, isOfflineLogin: true });
  zim.destroy();
  return isFromDestroyedClient(await tripped);
}"""
CLOSED_DATABASE = "database.transaction('a')"

pytestmark = [pytest.mark.browser, pytest.mark.node]


async def app_log(browser: Browser, address: str, endpoint: str | None, fault: str = "") -> list[str]:
    """The log of an app in its own browser profile; queued events are sent afterwards."""
    context = await browser.new_context()
    page = await context.new_page()
    await page.goto(address)
    options = {"endpoint": endpoint} if endpoint else None
    log: list[str] = await asyncio.wait_for(page.evaluate(LOG, [options, fault]), watching.ENDS_WITHIN_S)
    if endpoint and fault != "storage never answers":
        await page.evaluate("tap.flush()")
    await context.close()
    # The place of RECONNECTING among the other callbacks is random; the app itself waits for it.
    return [line for line in log if "[3,3]" not in line]


async def test_the_app_sees_the_same_whatever_fails_around_the_tap(tmp_path: Path) -> None:
    slots = asyncio.Semaphore(AT_ONCE)

    async def seen(page: str, endpoint: str | None, fault: str = "") -> list[str]:
        async with slots:
            return await app_log(browser, address + page, endpoint, fault)

    async with (
        zimwatch(tmp_path) as running,
        app_server(running.url) as address,
        chromium(to(NOWHERE)) as browser,
    ):
        bare, closed, *tapped = await asyncio.gather(
            seen("own", None),
            seen("closed", running.url),
            *(seen("own", running.url, fault) for fault in FAULTS),
        )
        _, answer = await running.get("/v1/users/1234/alice/events?limit=500")
    assert len(bare) > 50
    assert closed == bare, "a Content-Security-Policy that forbids the server"
    for fault, log in zip(FAULTS, tapped, strict=True):
        assert log == bare, fault
    # From every page except those whose policy or fetch blocks requests.
    assert len({event["client_id"] for event in answer["events"]}) >= len(FAULTS) - 2


async def test_only_errors_of_a_destroyed_client_are_left_out_of_the_log() -> None:
    cases = {
        (CLOSED_DATABASE, "/sdk.js"): True,
        ("null.econf", "/sdk.js"): True,
        (CLOSED_DATABASE, "/zim-tap.js"): False,
        (CLOSED_DATABASE, "/zim-tap.js", "/sdk.js"): False,
        (CLOSED_DATABASE, "/sdk.js", "/zim-tap.js"): False,
        (CLOSED_DATABASE, "/app-log.js"): False,
        ("null.econf", "/zim-tap.js"): False,
        ("null.econf", "/sdk.js", "/zim-tap.js"): False,
        ("null.onLogout", "/sdk.js"): False,
        ("undefined.econf", "/sdk.js"): False,
        ("throw new Error('another')", "/sdk.js"): False,
        ("throw {code: 6000121}", "/sdk.js"): False,
        ("throw null", "/sdk.js"): False,
    }
    async with app_server("http://127.0.0.1:9") as address, chromium(to(NOWHERE)) as browser:
        page = await browser.new_page()
        await page.goto(address + "own")
        assert await page.evaluate(TRIPPED, [list(case) for case in cases]) == list(cases.values())


async def test_the_sdk_alone_fails_if_destroyed_right_after_a_login() -> None:
    async with app_server("http://127.0.0.1:9") as address, chromium(to(NOWHERE)) as browser:
        page = await browser.new_page()
        await page.goto(address + "own")
        assert await asyncio.wait_for(page.evaluate(DESTROYED, watching.token04(60)), watching.ENDS_WITHIN_S)
