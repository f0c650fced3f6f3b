"""Pages in Chromium with its complaints, and users with a history."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from playwright.async_api import Browser, Page, Response

from tests.support.running import Zimwatch
from tests.support.wire import wire_event

APP = 1234567890
WIDTHS = [360, 820, 1440]
# Layout shift as Chromium measures it (https://web.dev/articles/cls), and what the content security policy refused.
WATCH = """
window.shifted = 0; window.refused = [];
new PerformanceObserver((list) => {
  for (const one of list.getEntries()) if (!one.hadRecentInput) shifted += one.value;
}).observe({type: "layout-shift", buffered: true});
addEventListener("securitypolicyviolation", (event) => refused.push(event.violatedDirective + " " + event.blockedURI));
"""
# Half of what that page calls good: a slow machine draws a page as it arrives, and a line that wraps moves by 0.03.
SHIFT_MOST = 0.05


async def opened(browser: Browser, complaints: list[str], **options: Any) -> Page:
    context = await browser.new_context(**options)
    await context.add_init_script(WATCH)
    page = await context.new_page()
    page.on(
        "console", lambda message: complaints.append(message.text) if message.type in {"error", "warning"} else None
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return page


async def live(page: Page, url: str) -> None:
    """Opens the page, and waits until its stream is open."""
    async with page.expect_response(is_stream):
        await page.goto(url)


def is_stream(response: Response) -> bool:
    """Whether it is the stream of a page, which polls as long as it has none."""
    return "/live/" in response.url and response.headers.get("content-type") == "text/event-stream"


async def settled(page: Page, path: str = "") -> None:
    """Nothing moved, and nothing was refused."""
    if await page.evaluate("typeof shifted !== 'undefined'"):
        assert await page.evaluate("shifted") < SHIFT_MOST, path or page.url
        assert await page.evaluate("refused") == [], path or page.url


def ago(seconds: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat(timespec="milliseconds")


async def report(
    running: Zimwatch,
    user_id: str,
    *events: dict[str, Any],
    device: str = "phone",
    begin: int = 1,
    token: str | None = None,
) -> None:
    """Reports events of one device, in order."""
    client = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{user_id}/{device}"))
    common = {"user_id": user_id, "client_id": client, "session_id": client, "device_id": device, "platform": "Web"}
    _, answer = await running.send(
        [wire_event(**{**common, "seq": seq, **one}) for seq, one in enumerate(events, begin)],
        **({} if token is None else {"Authorization": f"Bearer {token}"}),
    )
    assert answer["rejected"] == []


async def some_users(running: Zimwatch) -> None:
    """Users in every status."""
    expires = (datetime.now(UTC) + timedelta(hours=2)).isoformat(timespec="milliseconds")
    login = {"type": "login", "offline_login": False, "token_expires_at": expires}
    await report(running, "alice", login | {"occurred_at": ago(90)}, {"occurred_at": ago(89)})
    await report(running, "bob", {"occurred_at": ago(80)}, {"occurred_at": ago(70), "state": 3, "event": 3})
    await report(running, "bob", {"occurred_at": ago(60)}, device="desk")
    kicked = {"state": 0, "event": 4, "extended_data": '{"reason":1,"message":"on another device"}'}
    await report(running, "carol", login | {"occurred_at": ago(55)}, {"occurred_at": ago(54)})
    await report(running, "carol", login | {"occurred_at": ago(30)}, {"occurred_at": ago(29)}, device="desk")
    await report(running, "carol", kicked | {"occurred_at": ago(29.5)}, begin=3)
    await report(running, "carol", {"occurred_at": ago(20), "state": 0, "event": 0}, device="desk", begin=3)
    await report(running, "dave", {"occurred_at": ago(50)}, {"occurred_at": ago(10), "state": 0, "event": 5})
    await report(running, "erin", {"occurred_at": ago(9), "state": 0, "event": 99})
    await report(running, "m" * 300 + "<b>allory", {"occurred_at": ago(8), "state": 0, "event": 2})
    silence = {"matchers": {"user_id": "dave"}, "duration": "4h", "reason": "he tests his phone", "author": "dana"}
    await running.http.post("/v1/silences", json=silence)
