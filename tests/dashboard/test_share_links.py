"""Share links: the history as of their creation, without any text chosen by a sender."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from sidecar.clock import now_us
from sidecar.ingest.callback import answer_event
from tests.support.events import APP_ID
from tests.support.running import Zimwatch
from tests.support.wire import fresh_event

BROWSER = {"Accept": "text/html"}
ALICE = "/users/1234567890/alice"
ALICE_CLIENT = {"client_id": "0197a1b2-0000-7000-8000-000000000001", "session_id": None}


async def text_of(running: Zimwatch, address: str) -> str:
    async with running.http.get(address, headers=BROWSER) as response:
        assert response.status == 200
        return html.unescape(await response.text())


async def link(running: Zimwatch, **query: str) -> str:
    query_string = "&".join(f"{name}={quote(value)}" for name, value in {"hand_off": "1h", **query}.items())
    found = re.search(r'value="(http://[^"]+/hand-off/[\w.-]+)"', await text_of(running, f"{ALICE}?{query_string}"))
    assert found is not None
    return found[1]


def event(seq: int, **fields: Any) -> dict[str, Any]:
    return fresh_event(seq=seq, **ALICE_CLIENT) | fields


async def test_a_link_as_of_a_future_moment_shows_what_was_known_when_it_was_made(running: Zimwatch) -> None:
    await running.send([event(1, state=2, event=0)])
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    made = [await link(running, as_of=tomorrow), await link(running)]
    before = [await text_of(running, one) for one in made]
    await running.send([event(2, state=0, event=4)])
    now = [await text_of(running, one) for one in made]
    for was, shows in zip(before, now, strict=True):
        assert "The SDK is connected." in shows
        assert "kicked out" not in shows
        assert without_nonce(was) == without_nonce(shows)


def without_nonce(text: str) -> str:
    return re.sub(r'nonce="[^"]*"', "", text)


@pytest.mark.parametrize(
    "fields",
    [
        {"platform": "made-up words"},
        {"sdk": {"name": "made-up words", "version": "made-up words"}},
        {"sdk": {"name": "zim-web", "version": "2.27.0-made-up words"}},
        {"app_version": "1.0 made-up words"},
        {"device_id": "made-up words"},
        {"reporter": {"name": "made-up words", "version": "made-up words"}},
        {"state": "made-up words", "event": 0},
        {"state": 0, "event": "made-up words"},
        {"state": 3, "event": 3, "extended_data": '{"message": "made-up words"}'},
        {"type": "api_error", "method": "made-up words", "code": 7, "message": "made-up words"},
        {"type": "login_result", "code": 7, "message": "made-up words"},
    ],
)
async def test_a_link_shows_no_word_that_a_sender_made_up(running: Zimwatch, fields: dict[str, Any]) -> None:
    first = event(1, state=2, event=0)
    sent = event(2, state=0, event=4) | fields
    if fields.get("type"):
        sent = {key: value for key, value in sent.items() if key not in {"state", "event", "extended_data"}}
    status, answer = await running.send([first, sent])
    assert (status, answer["accepted"]) == (200, 2)
    text = await text_of(running, await link(running))
    assert "made-up" not in text
    assert "alice" not in text


async def test_a_link_shows_no_word_that_zegos_server_passed_on(running: Zimwatch) -> None:
    await running.send([event(1, state=2, event=0)])
    made_up = dict.fromkeys(("action", "os", "logout_reason"), "made-up")
    details = made_up | {"status": None, "asked": False, "said_at_us": now_us()}
    sent = msgspec.structs.replace(answer_event(APP_ID, "alice", "online", now_us=now_us()), details=details)
    assert (await running.store.append([sent])).accepted == 1
    text = await text_of(running, await link(running))
    assert "ZEGO\N{RIGHT SINGLE QUOTATION MARK}s server" in text
    assert "made-up" not in text


async def test_a_link_shows_the_platforms_and_versions_that_are_none_of_a_senders_making(running: Zimwatch) -> None:
    known = {"platform": "IPhoneOS", "sdk": {"name": "zim-ios", "version": "2.27.0"}, "app_version": "10.4"}
    await running.send([event(1, state=0, event=4) | known])
    text = await text_of(running, await link(running))
    for word in ("IPhoneOS", "2.27.0", "10.4", "the user was kicked out"):
        assert word in text


async def test_a_finding_leads_to_its_newest_evidence_among_the_events_that_are_shown(running: Zimwatch) -> None:
    def at(seq: int, ago_s: float, **fields: Any) -> dict[str, Any]:
        occurred = datetime.now(UTC) - timedelta(seconds=ago_s)
        return event(seq, occurred_at=occurred.isoformat(), **fields)

    failed = {"type": "api_error", "code": 6000105, "message": "timeout"}
    await running.send([at(1, 1_500, state=2, event=0), at(3, 900, **failed, method="sendMessage")])
    renewed = {"type": "token_renewed", "code": 0, "token_expires_at": None}
    await running.send([at(4 + number, 800 - number, **renewed) for number in range(70)])
    await running.send([at(2, 1_400, **failed, method="queryUsersInfo")])
    shared = await text_of(running, await link(running))
    (address,) = re.findall(r'<a href="#(event-\d+)">2 events</a>', shared)
    assert re.search(rf'<tr id="{address}">(?:(?!</tr>).)*?failed', shared, re.DOTALL)
