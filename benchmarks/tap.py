"""The cost of the Web tap for a page, beside the bare SDK in the same run: `make benchtap`.

Chromium runs the real SDK bare, and again with the tap on it. **A callback**: the SDK's slot is called as the SDK calls
it, ten times between two looks at the clock, because a page's clock is coarse. **A call**: an API call that the SDK
refuses at once, awaited. **The main thread**: the processor time of its tasks as Chromium counts it (``TaskDuration``)
while 1,000 events that come one by one are recorded into IndexedDB with the server away, less what the bare page takes
for the same callbacks; and while they are delivered.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

from playwright.async_api import CDPSession, Page

from tests.conformance.app_pages import app_server, to
from tests.support.chromium import chromium
from tests.support.process import free_port
from tests.support.running import zimwatch

QUEUED = 1_000
AT_A_TIME = 10
NOWHERE = 9
# `slot` is what the SDK holds for the callback: the app's handler, or the tap's with the app's behind it.
PREPARE = """(options) => {
  const on = ZIM.prototype.on;
  ZIM.prototype.on = function (type, slot) {
    if (type === "connectionStateChanged") window.slot = slot;
    return on.apply(this, arguments);
  };
  if (options) window.tap = ZimTap.install(ZIM, options);
  window.zim = ZIM.create({ appID: 1 });
  zim.setLogConfig({ logLevel: "disable" });
  window.seen = 0;
  zim.on("connectionStateChanged", (_zim, data) => { seen += data.state; });
}"""
CALLBACKS_US = """async ([rounds, each]) => {
  const took = [];
  for (let round = 0; round < rounds; round += 1) {
    const began = performance.now();
    for (let count = 0; count < each; count += 1) slot(zim, { state: 2 + count % 2, event: 0, extendedData: "{}" });
    took.push((performance.now() - began) * 1000 / each);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return took;
}"""
CALLS_US = """async ([rounds, each]) => {
  const took = [];
  for (let round = 0; round < rounds; round += 1) {
    const began = performance.now();
    for (let count = 0; count < each; count += 1) await zim.queryUsersInfo(["bob"], {}).catch(() => {});
    took.push((performance.now() - began) * 1000 / each);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return took;
}"""
RECORD = """async (count) => {
  for (let done = 0; done < count; done += 1) {
    slot(zim, { state: 2 + done % 2, event: 0, extendedData: "{}" });
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}"""


async def busy_ms(cdp: CDPSession) -> float:
    """The time of the page's main thread so far."""
    metrics = await cdp.send("Performance.getMetrics")
    return float(next(one["value"] for one in metrics["metrics"] if one["name"] == "TaskDuration")) * 1_000


async def spent_ms(page: Page, cdp: CDPSession, work: str, given: object = None) -> float:
    """The time of the main thread for an evaluation."""
    before = await busy_ms(cdp)
    await page.evaluate(work, given)
    return await busy_ms(cdp) - before


async def measure(rounds: int) -> dict[str, float]:
    """Medians for a callback and a call, and the main thread's milliseconds for 100 events."""
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    found: dict[str, float] = {}
    async with app_server(endpoint) as address, chromium(to(NOWHERE)) as browser:

        async def opened(options: dict[str, Any] | None) -> tuple[Page, CDPSession]:
            page = await (await browser.new_context()).new_page()
            await page.goto(f"{address}own")
            await page.evaluate(PREPARE, options)
            cdp = await page.context.new_cdp_session(page)
            await cdp.send("Performance.enable", {"timeDomain": "threadTicks"})
            return page, cdp

        for name, options in (("bare", None), ("tap", {"endpoint": endpoint})):
            page, cdp = await opened(options)
            for kind, script in (("callback", CALLBACKS_US), ("call", CALLS_US)):
                await page.evaluate(script, [rounds // 10, AT_A_TIME])  # the first ones compile
                took = await page.evaluate(script, [rounds, AT_A_TIME])
                found[f"{name}_{kind}_us"] = statistics.median(took)
            await page.context.close()

        bare_ms = await spent_ms(*await opened(None), RECORD, QUEUED)
        page, cdp = await opened({"endpoint": endpoint, "heartbeatSeconds": 0})
        recorded_ms = await spent_ms(page, cdp, RECORD, QUEUED)
        found["record_100_ms"] = (recorded_ms - bare_ms) / QUEUED * 100
        await page.evaluate("tap.flush()")
        queued = (await page.evaluate("tap.status()"))["queued"]
        if queued != QUEUED:
            raise RuntimeError(f"{queued} events wait, not {QUEUED}")
        with tempfile.TemporaryDirectory(prefix="zimwatch-bench-") as folder:
            async with zimwatch(Path(folder), port=port):
                found["deliver_100_ms"] = await spent_ms(page, cdp, "tap.flush()") / QUEUED * 100
        left = (await page.evaluate("tap.status()"))["queued"]
        if left:
            raise RuntimeError(f"{left} events were not delivered")
    return found


def main() -> None:
    """Prints the results, and writes all of them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200, help="of ten callbacks each (%(default)s)")
    parser.add_argument("--json", type=Path, default=Path(".build/benchtap.json"), help="(%(default)s)")
    options = parser.parse_args()
    found = asyncio.run(measure(options.rounds))
    for kind, words in (("callback", "a callback"), ("call", "a call that is refused")):
        bare, tap = found[f"bare_{kind}_us"], found[f"tap_{kind}_us"]
        print(f"{words}: {tap - bare:.1f} µs of the tap's own (median; {tap:.1f} with it, {bare:.1f} bare)")
    print(
        f"main thread for 100 of {QUEUED:,} events: {found['record_100_ms']:.1f} ms to record them,"
        f" {found['deliver_100_ms']:.1f} ms to deliver them"
    )
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({name: round(value, 3) for name, value in found.items()}, indent=2) + "\n")
    print(f"written to {options.json}")


if __name__ == "__main__":
    main()
