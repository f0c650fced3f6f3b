"""Live updates of open pages, and their cost."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dashboard import live, page, page_request
from sidecar.web import changes
from tests.support.clocks import Machine
from tests.support.running import Zimwatch, zimwatch
from tests.support.streams import streaming
from tests.support.tokens import new_token
from tests.support.wire import fresh_event, wire_event

ALICE = "/users/1234567890/alice"


async def shown_id(running: Zimwatch, path: str) -> str:
    """The id of the live part in the page itself."""
    async with running.http.get(path) as response:
        found = re.search(r'"Last-Event-ID": "(\w+)"', await response.text())
    assert found is not None
    return found[1]


@pytest.mark.parametrize("path", ["/", "/users", "/users?status=online", "/wall", ALICE])
async def test_an_open_page_is_sent_its_current_content(running: Zimwatch, path: str) -> None:
    await running.send([wire_event()])
    async with streaming(running.http, f"/live{path}") as stream:
        first = await stream.next()
        await running.send([wire_event(seq=2, state=0, event=5)])
        changed = await stream.next() if path == "/users?status=online" else await stream.next_with("Not logged in")
        assert changed.id != first.id
        # Later commits that follow, such as an alert's state, are sent as well.
        while await shown_id(running, path) != changed.id:
            changed = await stream.next()


async def test_a_page_with_the_newest_part_is_sent_nothing_until_a_change(running: Zimwatch) -> None:
    await running.send([wire_event()])
    known = await shown_id(running, ALICE)
    async with streaming(running.http, f"/live{ALICE}", {"Last-Event-ID": known}) as stream:
        await running.send([wire_event(seq=2, state=3, event=3)])
        changed = await stream.next()
        assert changed.id != known
        assert "Offline" in changed.data


async def test_a_page_that_reconnects_gets_the_current_part(running: Zimwatch) -> None:
    await running.send([wire_event()])
    known = await shown_id(running, ALICE)
    for seq, (state, event) in enumerate([(3, 3), (2, 0), (0, 4)], start=2):
        await running.send([wire_event(seq=seq, state=state, event=event)])
    async with streaming(running.http, f"/live{ALICE}", {"Last-Event-ID": known}) as stream:
        assert "Kicked out by another login" in (await stream.next()).data


async def test_a_page_is_never_sent_an_older_part(running: Zimwatch) -> None:
    await running.send([wire_event(state=0, event=4)])
    silence = {"matchers": {"user_id": "alice"}, "duration": "4h", "reason": "a test"}
    async with streaming(running.http, "/live/silences") as before:
        await before.next()
        # The cached part is rendered a moment later, and may not have the silence yet.
        await running.http.post("/v1/silences", json=silence)
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
    monkeypatch.setattr(live, "REFRESH_S", 3_600.0)  # no page is rendered because time passed
    await running.send([fresh_event(state=0, event=4)])
    async with (
        streaming(running.http, f"/live{path}") as one,
        streaming(running.http, f"/live{path}", {"Accept-Language": "zh-CN"}) as other,
    ):
        for stream in (one, other):
            await stream.next()
        await asyncio.sleep(2 * live.PAUSE_S)  # the effects of the event are sent
        if acknowledged:
            await running.http.post("/v1/alerts/1/ack", json={"author": "dana"})
            await one.next_with("Acknowledged" if path != "/alerts/1" else "dana")
            await other.next_with("已认领" if path != "/alerts/1" else "dana")
        else:
            silence = {"matchers": {"user_id": "alice"}, "duration": "4h", "reason": "a test"}
            await running.http.post("/v1/silences", json=silence)
            for stream in (one, other):
                await stream.next_with("a test")
            await running.http.delete("/v1/silences/1")
            await one.next_with(">ended<")
            await other.next_with(">已结束<")


async def test_a_silence_that_ends_by_itself_is_ended_on_open_pages_at_once(
    running: Zimwatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "REFRESH_S", 3_600.0)
    silence = {"matchers": {"user_id": "alice"}, "duration": "3s", "reason": "a test"}
    async with streaming(running.http, "/live/silences") as stream:
        await stream.next()
        await running.http.post("/v1/silences", json=silence)
        await stream.next_with("in force")
        await stream.next_with(">ended<")


async def test_a_users_page_is_not_rendered_for_another_user(
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
        for number, other in enumerate(("bob", "carol"), 1):
            # Alice's event may be followed after her page was opened, but before the first update about another user.
            before = made
            await running.send([wire_event(user_id=other, client_id=f"00000000-0000-4000-8000-00000000000{number}")])
            await users.next_with(other)
        assert made == before


@pytest.fixture
async def standing(tmp_path: Path) -> AsyncIterator[Zimwatch]:
    """By a stopped clock, so that no "1 s ago" changes a part."""
    async with zimwatch(tmp_path, machine=Machine()) as running:
        yield running


async def test_what_many_look_at_is_made_once(standing: Zimwatch, monkeypatch: pytest.MonkeyPatch) -> None:
    running, made = standing, 0
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
    _, secret = await new_token(running.store, "read", 7)
    async with running.http.get(f"/live{ALICE}", headers={"Authorization": f"Bearer {secret}"}) as response:
        assert response.status == 403
    async with running.http.get("/live/users") as response:
        assert response.status == 401


def views() -> int:
    """How many views are kept up to date."""
    return tasks("live ")


def tasks(name: str) -> int:
    """How many tasks run whose names begin so."""
    return sum(task.get_name().startswith(name) for task in asyncio.all_tasks())


async def test_a_query_that_no_page_reads_makes_no_other_view(running: Zimwatch) -> None:
    await running.send([wire_event()])
    async with contextlib.AsyncExitStack() as stack:
        for number in range(40):
            path = f"/live/users?status=online&x={number}&y[]=%2F"
            first = await (await stack.enter_async_context(streaming(running.http, path))).next()
            assert f"x={number}" not in first.data
        assert views() == 1
    async with running.http.get("/users?status=online&x=1") as response:
        assert 'hx-sse:connect="/live/users?status=online"' in await response.text()


async def test_a_reader_has_a_bounded_number_of_views_and_keeps_nobody_from_theirs(running: Zimwatch) -> None:
    secrets = [(await new_token(running.store, "read"))[1] for _ in range(2)]
    greedy, other = ({"Authorization": f"Bearer {secret}"} for secret in secrets)
    async with contextlib.AsyncExitStack() as stack:
        for number in range(live.VIEWS_A_READER):
            await stack.enter_async_context(streaming(running.http, f"/live/users?q=u{number}", greedy))
        async with running.http.get("/live/users?q=more", headers=greedy) as response:
            assert (response.status, response.headers["Retry-After"]) == (429, "30")
        # What is open already may be opened again, and another reader looks at what they like.
        await stack.enter_async_context(streaming(running.http, "/live/users?q=u0", greedy))
        await stack.enter_async_context(streaming(running.http, "/live/users?q=more", other))
        assert views() == live.VIEWS_A_READER + 1


async def test_a_reader_that_goes_away_leaves_nothing_open(standing: Zimwatch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "KEEP_ALIVE_S", 3600.0)
    async with contextlib.AsyncExitStack() as stack:
        for number in range(3):
            await (await stack.enter_async_context(streaming(standing.http, f"/live/users?q=u{number}"))).next()
        await (await stack.enter_async_context(streaming(standing.http, "/v1/stream"))).next()
        assert (views(), tasks("stream of changes")) == (3, 1)
    async with asyncio.timeout(30):
        while views() or tasks("stream of changes"):  # noqa: ASYNC110 - a task that ends has no event
            await asyncio.sleep(0.01)


def test_what_a_form_of_a_page_asks_is_read() -> None:
    templates = Path(page_request.__file__).parent / "templates"
    texts = [
        file.read_text() for file in (templates / "live/users.html", templates / "users.html", templates / "user.html")
    ]
    fields = {name for text in texts for name in re.findall(r'<(?:input|select|textarea)[^>]* name="([a-z_]+)"', text)}
    assert fields
    assert fields <= page_request.FIELDS


async def test_a_page_without_a_connection_for_a_stream_asks_for_its_part(running: Zimwatch) -> None:
    await running.send([wire_event()])
    known = await shown_id(running, ALICE)
    once = {"Accept": "text/html", "Last-Event-ID": known}
    while True:  # what follows from an event in a later commit, such as an alert's state, changes the part too
        async with running.http.get(f"/live{ALICE}", headers=once) as response:
            if response.status == 204:
                break
            once["Last-Event-ID"] = response.headers["Last-Event-ID"]
    await running.send([wire_event(seq=2, state=3, event=3)])
    async with running.http.get(f"/live{ALICE}", headers=once) as response:
        assert (response.status, response.content_type) == (200, "text/html")
        assert "Offline" in await response.text()
        assert response.headers["Last-Event-ID"] == await shown_id(running, ALICE)
    assert views() == 0
