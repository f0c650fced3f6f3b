"""The list of users to whom something happened, and the numbers of the overview that lead to it."""

from __future__ import annotations

import csv
import re
import uuid
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any, Final

import pytest

from dashboard.parts.user_links import as_of_path, happened_path, others_path
from dashboard.text.times import iso
from tests.support.clocks import Machine
from tests.support.events import APP_ID, BEGIN_US, Phone
from tests.support.running import Zimwatch, zimwatch
from tests.support.wire import fresh_event

# An en dash.
DASH: Final = "\u2013"


def kick(user_id: str, minutes: float, **fields: Any) -> dict[str, Any]:
    at = (datetime.now(UTC) - timedelta(minutes=minutes)).isoformat(timespec="milliseconds")
    return fresh_event(**{"user_id": user_id, "occurred_at": at, "state": 0, "event": 4} | fields)


async def page(running: Zimwatch, path: str, status: int = 200) -> str:
    async with running.http.get(path) as answer:
        assert answer.status == status
        return unescape(await answer.text())


def listed(text: str) -> list[str]:
    return re.findall(r'<tr data-key="\d+/([^"]*)"', text)


def totals(text: str) -> set[str]:
    """How many users are shown and how many there are, as the page says it."""
    return {" ".join(found.split()) for found in re.findall(r"\d+-\d+ of [^<]*", text.replace(DASH, "-"))}


async def test_users_are_listed_by_what_happened_with_a_total(running: Zimwatch) -> None:
    sdk = {"name": "zego-zim-web", "version": "2.28.0"}
    await running.send([kick("alice", 90), kick("bob", 20, sdk=sdk, platform="Android"), kick("carol", 5)])
    await running.send([kick("carol", 4), fresh_event(user_id="dave")])
    text = await page(running, "/users?happened=kicked_out&within=1h")
    assert listed(text) == ["carol", "bob"]
    assert totals(text) == {"1-2 of 2 users; it happened 3 times"}
    assert '<span class="tag">2' in text
    assert listed(await page(running, "/users?happened=kicked_out&within=24h&order=newest")) == [
        "carol",
        "bob",
        "alice",
    ]
    assert listed(await page(running, "/users?happened=kicked_out&sdk=2.28.0&platform=Android")) == ["bob"]
    assert listed(await page(running, f"/users?happened=kicked_out&app_id={APP_ID}&q=aro")) == ["carol"]
    assert listed(await page(running, "/users?happened=kicked_out&status=online")) == []
    export = await page(running, "/users.csv?happened=kicked_out&within=1h")
    rows = list(csv.DictReader(export.splitlines()))
    assert [(row["user_id"], row["happened_times"]) for row in rows] == [("carol", "2"), ("bob", "1")]
    assert rows[0]["happened_at"] > rows[1]["happened_at"]
    assert totals(await page(running, "/users")) == {"1-4 of 4 users"}


async def test_an_open_list_gets_whom_it_happens_to(running: Zimwatch) -> None:
    async def part(seen: str = "") -> tuple[int, list[str], str]:
        headers = {"Accept": "text/html", "Last-Event-ID": seen}
        async with running.http.get("/live/users?happened=kicked_out&within=1h", headers=headers) as answer:
            return answer.status, listed(await answer.text()), answer.headers["Last-Event-ID"]

    await running.send([kick("alice", 5)])
    _, found, seen = await part()
    assert found == ["alice"]
    assert (await part(seen))[0] == 204
    await running.send([kick("bob", 6), kick("carol", 4), kick("dave", 61)])
    assert (await part(seen))[:2] == (200, ["carol", "alice", "bob"])
    await running.send([kick("bob", 3)])
    assert (await part(seen))[1] == ["bob", "carol", "alice"]


async def test_each_page_says_which_of_all_users_it_has(running: Zimwatch) -> None:
    await running.send([kick(f"user-{number:03}", number / 10) for number in range(120)])
    text, seen = await page(running, "/users?happened=kicked_out"), []
    for shown in ("1-50", "51-100", "101-120"):
        assert totals(text) == {f"{shown} of 120 users; it happened 120 times"}
        seen += listed(text)
        if further := re.search(r'href="(/users\?[^"]*cursor=[^"]*)"', text):
            text = await page(running, further[1])
    assert sorted(seen) == [f"user-{number:03}" for number in range(120)]
    assert totals(await page(running, "/users?q=user-&match=prefix")) == {"1-50 of 50+ users"}
    assert totals(await page(running, "/users?q=user-00&match=prefix")) == {"1-10 of 10 users"}


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("happened=eaten", "Happened must be one of kicked_out"),
        ("within=1h", "Within needs happened"),
        ("happened=kicked_out&within=soon", "Within must be a duration"),
        ("happened=kicked_out&from=noon", "From must be a moment"),
        ("happened=kicked_out&from=2026-11-23&until=2026-11-22", "Until must be later than from"),
        ("happened=kicked_out&within=1h&from=2026-11-23", "Within cannot be combined"),
        ("happened=kicked_out&order=id", "listed as of now"),
        ("happened=kicked_out&as_of=2026-11-23", "listed as of now"),
    ],
)
async def test_a_wrong_filter_is_named(running: Zimwatch, query: str, named: str) -> None:
    assert named in await page(running, f"/users?{query}", 400)


async def test_a_number_of_the_overview_is_that_of_its_list(running: Zimwatch) -> None:
    await running.send([kick("alice", 30), kick("alice", 31), kick("bob", 1), kick("carol", 300)])
    await running.send([kick("dave", 1, event=5), fresh_event(user_id="erin", type="login", offline_login=False)])
    text = await page(running, "/")
    links = re.findall(r'<a[^>]*href="(/users\?happened=[^"]*)"[^>]*>(.*?)</a>', text, re.DOTALL)
    counts = []
    for path, inside in links:
        number = re.search(r">(\d+) \u00b7|^\s*(\d+)\s*$", inside)
        assert number is not None, inside
        counts.append(int(number[1] or number[2]))
        found = await page(running, path)
        times = [int(times or 1) for times in re.findall(r"it happened (?:once|(\d+) times)", found)[:1]]
        assert (times or [0]) == counts[-1:], path
        assert bool(listed(found)) == bool(counts[-1])
    assert counts.count(4) >= 2
    states = re.findall(r'<a href="(/users\?status=[^"]*)">\s*(?:<span>.*?<strong>)?(\d+)', text, re.DOTALL)
    for path, count in states:
        assert totals(await page(running, path)) == {f"1-{count} of {count} user{'s' * (count != '1')}"} - {
            "1-0 of 0 users"
        }, path
    assert {count for _, count in states} == {"0", "5"}


async def test_the_users_of_an_hour_are_those_of_its_list(tmp_path: Path) -> None:
    machine = Machine()
    async with zimwatch(tmp_path, machine=machine) as running:
        for number, seconds in enumerate((0, 1_500, 3_000, 3_000, 5_000)):
            machine.passes(seconds)
            at = iso(machine.now_us)
            state = {"state": 0, "event": 0} if number == 3 else {}
            await running.send([fresh_event(user_id=f"user-{number}", occurred_at=at, **state)])
        text = await page(running, "/")
        states = re.findall(r'<a href="(/users\?status=[^"]*)">(\d+)', text)
        for path, count in states:
            found = totals(await page(running, path))
            assert found == ({f"1-{count} of {count} user{'s' * (count != '1')}"} if int(count) else set()), path
        assert {count for path, count in states if "status=online" in path and "as_of" in path} == {"2", "3"}
        assert len([path for path, _ in states if "as_of" not in path]) == 3
        assert totals(await page(running, f"/users?q=user-1&as_of={iso(machine.now_us)}")) == {"1-1 of 1 user"}


async def test_one_exact_hit_opens_the_user_and_several_are_a_list(running: Zimwatch) -> None:
    await running.send([fresh_event(user_id="alice"), fresh_event(user_id="alice2")])

    async def goes(query: str) -> str | None:
        async with running.http.get(f"/users?{query}", allow_redirects=False) as answer:
            return answer.headers.get("Location")

    assert await goes("q=alice&match=contains&order=newest") == f"/users/{APP_ID}/alice"
    assert await goes(f"q=alice&app_id={APP_ID}") == f"/users/{APP_ID}/alice"
    assert await goes("q=alic") is None
    assert await goes("q=alice&match=prefix") is None
    assert await goes("q=alice&status=online") is None
    await running.send([fresh_event(user_id="alice", app_id=7, client_id=str(uuid.uuid4()))])
    assert await goes("q=alice") is None
    assert await goes("q=alice&app_id=7") == "/users/7/alice"


def test_an_address_names_what_it_is_about() -> None:
    assert (
        happened_path("kicked_out", within="1h", app_id=7, platform="Web", sdk_version="2.28.0", app_version="1+2")
        == "/users?happened=kicked_out&within=1h&app_id=7&platform=Web&sdk=2.28.0&version=1%2B2"
    )
    assert happened_path("logged_in", from_us=BEGIN_US, until_us=BEGIN_US + 1_000) == (
        "/users?happened=logged_in&from=2026-11-23T14:00:00Z&until=2026-11-23T14:00:00.001Z"
    )
    kicked = Phone("alice").says("DISCONNECTED", "KICKED_OUT", at=59, sdk_version="2.28.0")
    assert others_path(kicked) == (
        f"/users?happened=kicked_out&from=2026-11-23T13:30:00Z&until=2026-11-23T14:31:00Z&app_id={APP_ID}&sdk=2.28.0"
    )
    assert others_path(Phone("alice").says("CONNECTED", "SUCCESS", at=0)) is None
    assert as_of_path("online", BEGIN_US, BEGIN_US) == "/users?status=online&as_of=2026-11-23T13%3A59%3A59.999Z"
    assert as_of_path(None, BEGIN_US, BEGIN_US - 1) == "/users?"


async def test_suggestions_are_some_users_whose_id_begins_with_what_was_typed(running: Zimwatch) -> None:
    await running.send([fresh_event(user_id=f"user-{number:02}") for number in range(30)])
    await running.send([fresh_event(user_id="user-05", app_id=7), fresh_event(user_id="<b>")])

    async def suggested(query: str) -> list[str]:
        return re.findall(r'data-path="([^"]*)"', await page(running, f"/users/suggestions?{query}"))

    assert await suggested("q=user-") == [f"/users/{APP_ID}/user-{number:02}" for number in range(5)] + [
        "/users/7/user-05",
        *(f"/users/{APP_ID}/user-{number:02}" for number in (5, 6)),
    ]
    assert await suggested("q=user-&app_id=7") == ["/users/7/user-05"]
    assert await suggested("q=ser-") == []
    assert await suggested("q=") == []
    assert await suggested("") == []
    assert await suggested("q=%3Cb") == [f"/users/{APP_ID}/%3Cb%3E"]
    await page(running, "/users/suggestions?q=user&app_id=many", 400)


async def test_a_finding_leads_to_the_others_to_whom_it_happens(running: Zimwatch) -> None:
    sdk = {"name": "zego-zim-web", "version": "2.28.0"}
    client = str(uuid.uuid4())
    failed = {"type": "api_error", "method": "sendMessage", "code": 6000121, "message": "", "client_id": client}

    def events(user_id: str, **fields: Any) -> list[dict[str, Any]]:
        made = [kick(user_id, 2 - seq / 10, seq=seq, **failed, **fields) for seq in range(1, 4)]
        return [{key: value for key, value in one.items() if key not in {"state", "event"}} for one in made]

    await running.send([*events("alice", sdk=sdk), *events("bob", sdk=sdk), *events("carol")])
    text = await page(running, f"/users/{APP_ID}/alice")
    others = re.search(r'href="(/users\?happened=[^"]*)">Who else\?', text)
    assert others is not None
    assert sorted(listed(await page(running, others[1]))) == ["alice", "bob"]
    shared = await page(running, f"/users/{APP_ID}/alice?hand_off=1h")
    link = re.search(r"/hand-off/[^<\"]*", shared)
    assert link is not None
    text = await page(running, link[0])
    assert "calls failed" in text.lower() or "failed" in text
    assert "happened=" not in text
