"""Open pages: what they are told, and what it costs."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dashboard import live, page
from tests.support.running import Zimwatch, zimwatch
from tests.support.streams import streaming
from tests.support.wire import fresh_event, wire_event

ALICE = "/users/1234567890/alice"


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Zimwatch]:
    async with zimwatch(tmp_path) as running:
        yield running


async def shown_id(running: Zimwatch, path: str) -> str:
    """The id of the live part in the page itself."""
    async with running.http.get(path) as response:
        found = re.search(r'"Last-Event-ID": "(\w+)"', await response.text())
    assert found is not None
    return found[1]


@pytest.mark.parametrize("path", ["/", "/users", "/users?status=online", "/wall", ALICE])
async def test_an_open_page_is_told_what_it_would_show_now(running: Zimwatch, path: str) -> None:
    await running.send([wire_event()])
    async with streaming(running.http, f"/live{path}") as stream:
        first = await stream.next()
        await running.send([wire_event(seq=2, state=0, event=5)])
        changed = await stream.next() if path == "/users?status=online" else await stream.next_with("Not logged in")
        assert changed.id != first.id
        # What follows from a change in a later commit, such as an alert's state, is told as well.
        while await shown_id(running, path) != changed.id:
            changed = await stream.next()


async def test_a_page_that_has_the_newest_is_told_nothing_until_something_changes(running: Zimwatch) -> None:
    await running.send([wire_event()])
    known = await shown_id(running, ALICE)
    async with streaming(running.http, f"/live{ALICE}", {"Last-Event-ID": known}) as stream:
        await running.send([wire_event(seq=2, state=3, event=3)])
        told = await stream.next()
        assert told.id != known
        assert "Offline" in told.data


async def test_a_page_that_was_away_gets_all_of_it_as_it_stands(running: Zimwatch) -> None:
    await running.send([wire_event()])
    known = await shown_id(running, ALICE)
    for seq, (state, event) in enumerate([(3, 3), (2, 0), (0, 4)], start=2):
        await running.send([wire_event(seq=seq, state=state, event=event)])
    async with streaming(running.http, f"/live{ALICE}", {"Last-Event-ID": known}) as stream:
        assert "this one was kicked out" in (await stream.next()).data


async def test_a_page_is_never_told_what_is_older_than_it(running: Zimwatch) -> None:
    await running.send([wire_event(state=0, event=4)])
    asked = {"matchers": {"user_id": "alice"}, "duration": "4h", "reason": "a test"}
    async with streaming(running.http, "/live/silences") as before:
        await before.next()
        # The part that is held is made anew a moment later: it may not have heard of it yet.
        await running.http.post("/v1/silences", json=asked)
        known = await shown_id(running, "/silences")
        async with streaming(running.http, "/live/silences", {"Last-Event-ID": known}) as after:
            assert "a test" in (await before.next()).data
            await running.http.delete("/v1/silences/1")
            await after.next_with(">ended<")


@pytest.mark.parametrize(
    ("path", "acknowledged"), [("/alerts", True), ("/alerts/1", True), (ALICE, True), ("/silences", False)]
)
async def test_what_one_person_does_to_an_alert_is_on_the_open_pages_of_the_others_at_once(
    running: Zimwatch, monkeypatch: pytest.MonkeyPatch, path: str, *, acknowledged: bool
) -> None:
    monkeypatch.setattr(live, "REFRESH_S", 3_600.0)  # no page is made anew because time went by
    await running.send([fresh_event(state=0, event=4)])
    async with (
        streaming(running.http, f"/live{path}") as one,
        streaming(running.http, f"/live{path}", {"Accept-Language": "zh-CN"}) as other,
    ):
        for stream in (one, other):
            await stream.next()
        await asyncio.sleep(2 * live.PAUSE_S)  # what the event did is told
        if acknowledged:
            await running.http.post("/v1/alerts/1/ack", json={"author": "dana"})
            await one.next_with("Acknowledged" if path != "/alerts/1" else "dana")
            await other.next_with("已认领" if path != "/alerts/1" else "dana")
        else:
            asked = {"matchers": {"user_id": "alice"}, "duration": "4h", "reason": "a test"}
            await running.http.post("/v1/silences", json=asked)
            for stream in (one, other):
                await stream.next_with("a test")
            await running.http.delete("/v1/silences/1")
            await one.next_with(">ended<")
            await other.next_with(">已结束<")


async def test_a_silence_that_ends_by_itself_is_ended_on_open_pages_at_once(
    running: Zimwatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "REFRESH_S", 3_600.0)
    asked = {"matchers": {"user_id": "alice"}, "duration": "3s", "reason": "a test"}
    async with streaming(running.http, "/live/silences") as stream:
        await stream.next()
        await running.http.post("/v1/silences", json=asked)
        await stream.next_with("in force")
        await stream.next_with(">ended<")


async def test_a_users_page_is_not_made_anew_for_another_user(
    running: Zimwatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = 0
    fill = page.fill

    def counting(name: str, /, **values: object) -> str:
        nonlocal made
        made += name == "live/user.html"
        return fill(name, **values)

    monkeypatch.setattr(live, "fill", counting)
    await running.send([wire_event()])
    async with streaming(running.http, f"/live{ALICE}") as alice, streaming(running.http, "/live/users") as users:
        await alice.next()
        await running.send([wire_event(user_id="bob", client_id="00000000-0000-4000-8000-000000000001")])
        await users.next_with("bob")
        assert made == 1


async def test_what_many_look_at_is_made_once(running: Zimwatch, monkeypatch: pytest.MonkeyPatch) -> None:
    made = 0
    fill = page.fill

    def counting(name: str, /, **values: object) -> str:
        nonlocal made
        made += 1
        return fill(name, **values)

    monkeypatch.setattr(live, "fill", counting)
    await running.send([wire_event()])
    async with (
        streaming(running.http, "/live/") as one,
        streaming(running.http, "/live/") as two,
        streaming(running.http, "/live/") as three,
    ):
        first = {(await stream.next()).id for stream in (one, two, three)}
        assert len(first) == 1
        made = 0
        await running.send([wire_event(seq=2, state=0, event=5)])
        later = {(await stream.next_with("Token expired")).id for stream in (one, two, three)}
        assert len(later) == 1
        assert made <= 2  # once for the change, and perhaps once for time that went on


async def test_a_language_is_a_page_of_its_own(running: Zimwatch) -> None:
    await running.send([wire_event()])
    async with (
        streaming(running.http, f"/live{ALICE}") as english,
        streaming(running.http, f"/live{ALICE}", {"Accept-Language": "zh-CN"}) as chinese,
    ):
        assert "Online" in (await english.next()).data
        assert "在线" in (await chinese.next()).data


async def test_a_token_of_another_app_hears_nothing(running: Zimwatch) -> None:
    _, secret = await running.store.create_token("read", 7, None)
    async with running.http.get(f"/live{ALICE}", headers={"Authorization": f"Bearer {secret}"}) as response:
        assert response.status == 403
    async with running.http.get("/live/users") as response:
        assert response.status == 401
