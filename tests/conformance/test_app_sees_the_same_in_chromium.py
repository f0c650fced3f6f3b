"""What an app in a page sees of the real SDK is the same without the tap and with one around which things go wrong."""

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
    "",  # all is well
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

pytestmark = [pytest.mark.browser, pytest.mark.node]


async def app_log(browser: Browser, address: str, endpoint: str | None, fault: str = "") -> list[str]:
    """The log of an app in a profile of its own; then what waits is sent."""
    context = await browser.new_context()
    page = await context.new_page()
    await page.goto(address)
    options = {"endpoint": endpoint} if endpoint else None
    log: list[str] = await asyncio.wait_for(page.evaluate(LOG, [options, fault]), watching.ENDS_WITHIN_S)
    if endpoint and fault != "storage never answers":
        await page.evaluate("tap.flush()")
    await context.close()
    # The SDK leaves it to chance when RECONNECTING comes among the other callbacks; the app itself waits for it.
    return [line for line in log if "[3,3]" not in line]


async def test_the_app_sees_the_same_whatever_goes_wrong_with_the_tap(tmp_path: Path) -> None:
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
    # From every page but the one whose policy, and the one whose fetch, lets nothing out.
    assert len({event["client_id"] for event in answer["events"]}) >= len(FAULTS) - 2
