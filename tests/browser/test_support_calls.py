"""Calls to support on a day of 5,000 users: the first screen after the search has the answer and what to say."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page

from sidecar.domain.units import SECOND_US
from tests.support import made_day
from tests.support.pages import APP, opened
from tests.support.running import Zimwatch

USERS = 5_000
PHONE, DESKTOP = (390, 844), (1440, 900)


class Call(msgspec.Struct, frozen=True):
    """``says`` the caller; the agent types ``typed``. ``kind``: of the finding that is the answer, None for none.

    ``summary``: what the answer begins with, where it is not the first finding of now.
    """

    says: str
    typed: str
    kind: str | None
    summary: str = ""


CALLS = (
    Call("My messages fail, and yet I am online.", "erin", "calls_failing"),
    Call("My phone and my browser keep logging each other out.", "carol", "kicked_by_other_device"),
    Call("I was logged out in the middle of a chat.", "dave", "token_not_renewed"),
    Call("I cannot log in at all.", "frank", "login_refused"),
    Call("In this hotel I am on and off.", "grace", "unstable_network"),
    Call("Nobody reaches me; my phone was in my pocket.", "heidi", "silent_device"),
    Call("It says that it is connecting, and nothing happens.", "ivan", "never_logged_in"),
    Call("It has never worked on this computer.", "judy", "clock_wrong"),
    Call("It is all down!", "victor", "part_of_storm"),
    Call(
        "Yesterday at ten to four I was thrown out.",
        "walter yesterday 15:50",
        "kicked_by_other_device",
        "walter was kicked out on Android",
    ),
    Call("I was logged out, and I did not do that.", "trent", "kicked_by_other_device"),
    Call("It works for him …", "bob", None),
    Call("… but not for me.", "olivia", "plan_limit"),
    Call("… and not for me, on the same network.", "peggy", "old_sdk"),
    Call("The first message after a push is lost.", "sybil", "called_before_connected"),
    Call("It takes several attempts to get in.", "rupert", "duplicate_login_calls"),
    Call("I am online, and others see me offline.", "niaj", "server_disagrees"),
)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Zimwatch]:
    """The day is made once."""
    folder = tmp_path_factory.mktemp("day")
    made = await made_day.write(folder, USERS)
    assert len(made.people) == USERS
    async with made_day.served(folder) as running:
        yield running


async def _expected(running: Zimwatch, call: Call) -> tuple[str, str | None]:
    """The answer, and what to say where the API gives it."""
    if call.summary:
        return call.summary, None
    _, user = await running.get(f"/v1/users/{APP}/{call.typed}")
    first: dict[str, Any] = user["findings"][0] if user["findings"] else {}
    assert first.get("kind") == call.kind, call
    return str(first.get("summary", "Online")), first.get("say")


async def _search(page: Page, typed: str) -> None:
    """Types into the search box, and presses Enter."""
    await page.keyboard.press("/")
    await page.keyboard.type(typed)
    async with page.expect_navigation():
        await page.keyboard.press("Enter")


async def _off_screen(found: Locator, text: str | None, screen: tuple[int, int]) -> str | None:
    """Why a person does not read it on the first screen; None if all of it is there."""
    if await found.count() != 1:
        return "is not there"
    shown = (await found.inner_text()).strip()
    if not shown or (text is not None and text not in shown):
        return f"is {shown!r} and not {text!r}"
    box = await found.bounding_box()
    if box is None:
        return "is hidden"
    right, bottom = box["x"] + box["width"], box["y"] + box["height"]
    fits = box["x"] >= 0 and box["y"] >= 0 and right <= screen[0] and bottom <= screen[1]
    return None if fits else f"is outside of the first screen: {box}"


# Both sizes in one test, or two processes would make the day.
async def test_the_first_screen_has_the_answer_and_what_to_say(running: Zimwatch, browser: Browser) -> None:
    for screen in (PHONE, DESKTOP):
        await _answers_calls(running, browser, screen)


async def _answers_calls(running: Zimwatch, browser: Browser, screen: tuple[int, int]) -> None:
    complaints: list[str] = []
    viewport = {"width": screen[0], "height": screen[1]}
    page = await opened(browser, complaints, viewport=viewport, timezone_id="UTC", locale="en")
    await page.context.clock.set_fixed_time(made_day.END_US / SECOND_US)
    await page.goto(running.url)
    problems = []
    for call in CALLS:
        summary, say = await _expected(running, call)
        await _search(page, call.typed)
        answer = page.locator(".user-head .finding" if call.kind else ".user-head .state.huge")
        shown = (("the answer", answer, summary), ("what to say", page.locator("#say"), say))
        problems += [
            f"{call.typed}: {what} {why}"
            for what, found, text in shown
            if (why := await _off_screen(found, text, screen)) is not None
        ]
    assert problems == [], screen
    assert complaints == [], screen


async def test_a_moment_in_a_search_is_in_the_viewers_time_zone(running: Zimwatch, browser: Browser) -> None:
    for zone, typed in (("Asia/Shanghai", "walter 11-23 23:50"), ("America/New_York", "walter yesterday 10:50")):
        page = await opened(browser, [], timezone_id=zone, locale="en")
        await page.context.clock.set_fixed_time(made_day.END_US / SECOND_US)
        await page.goto(running.url)
        await _search(page, typed)
        assert page.url == f"{running.url}/users/{APP}/walter?as_of=2026-11-23T15:50:00.000Z", zone
