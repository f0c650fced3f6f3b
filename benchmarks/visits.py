"""Pages in Chromium at a quarter of its speed: the time to DOMContentLoaded, and the bytes of a second visit."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from playwright.async_api import Browser, BrowserContext

from benchmarks import large
from benchmarks.reads import PAGES, into_memory, made_up
from tests.support.chromium import chromium
from tests.support.process import DATABASE, serving

SLOWER: Final = 4
LOADED_MS: Final = 500
SECOND_VISIT_BYTES: Final = 15_360
# Of pages that differ in their filters alone one is enough.
VISITED: Final = (
    "overview",
    "wall",
    "users",
    "users, all columns",
    "users, 200 pasted ids",
    "a user of 40 devices",
    "a user of 100,000 events",
    "alerts",
    "alerts by cause",
    "an alert",
    "silences",
    "settings",
)
_LOADED: Final = """() => {
  const [page] = performance.getEntriesByType("navigation");
  const nodes = document.querySelectorAll("*").length;
  return {ms: page.domContentLoadedEventEnd, html: page.decodedBodySize, sent: page.encodedBodySize, nodes};
}"""


async def measure(folder: Path, users: int, events: int, times: int) -> dict[str, Any]:
    """Each page ``times`` times, in a browser that has been there before."""
    await large.fill(folder, users, events)
    into_memory(folder / DATABASE)
    of = made_up(users)
    found: dict[str, Any] = {}
    async with serving(folder) as (url, _process), chromium() as browser:
        second = await _second_visit(browser, f"{url}/")
        found["bytes of a second visit to the overview"] = second
        found["a second visit: beside the target"] = second / SECOND_VISIT_BYTES
        context = await browser.new_context()
        pages = {name: await _visits(context, url + PAGES[name].format_map(of()), times) for name in VISITED}
        found["pages"] = dict(sorted(pages.items(), key=lambda item: -item[1]["p50 ms"]))
        found["the slowest: beside the target"] = max(one["p50 ms"] for one in pages.values()) / LOADED_MS
    return found


async def _second_visit(browser: Browser, url: str) -> float:
    """The bytes that come over the network, headers among them, but for the stream."""
    context = await browser.new_context()
    page = await context.new_page()
    await page.goto(url, wait_until="load")
    await page.close()
    page = await context.new_page()
    network = await context.new_cdp_session(page)
    loaded: dict[str, float] = {}
    streams: set[str] = set()

    def sent(event: dict[str, Any]) -> None:
        if urlsplit(event["request"]["url"]).path.startswith("/live/"):
            streams.add(event["requestId"])

    def finished(event: dict[str, Any]) -> None:
        loaded[event["requestId"]] = event["encodedDataLength"]

    network.on("Network.requestWillBeSent", sent)
    network.on("Network.loadingFinished", finished)
    await network.send("Network.enable")
    await page.goto(url, wait_until="load")
    await context.close()
    return sum(size for request, size in loaded.items() if request not in streams)


async def _visits(context: BrowserContext, url: str, times: int) -> dict[str, float]:
    took, shown = [], {}
    for _ in range(times + 1):
        page = await context.new_page()
        devtools = await context.new_cdp_session(page)
        await devtools.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
        await page.goto(url, wait_until="domcontentloaded")
        shown = await page.evaluate(_LOADED)
        took.append(shown["ms"])
        await page.close()
    return {
        "p50 ms": statistics.median(took[1:]),
        "fastest ms": min(took[1:]),
        "HTML KB": shown["html"] / 1_000,
        "compressed KB": shown["sent"] / 1_000,
        "nodes": shown["nodes"],
    }
