"""The page of one user: what it leads with, where the evidence is, and past moments."""

from __future__ import annotations

import html
import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from yarl import URL

from dashboard.pages import user as user_page
from tests.support.running import Zimwatch
from tests.support.wire import wire_event

APP = 1234567890
ERIN = f"/users/{APP}/erin"
CLIENT = str(uuid.uuid5(uuid.NAMESPACE_OID, "erin"))


def ago(seconds: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat(timespec="milliseconds")


def sent(seq: int, seconds: float, **fields: Any) -> dict[str, Any]:
    event = wire_event(user_id="erin", client_id=CLIENT, seq=seq, occurred_at=ago(seconds))
    if "type" in fields:
        event = {name: value for name, value in event.items() if name not in {"state", "event", "extended_data"}}
    return event | fields


def failure(seq: int, seconds: float, **fields: Any) -> dict[str, Any]:
    return sent(seq, seconds, type="api_error", method="sendMessage", code=6000105, message="timeout", **fields)


async def page(running: Zimwatch, path: str, **more: Any) -> tuple[int, str]:
    async with running.http.get(URL(running.url + path, encoded=True), **more) as response:
        return response.status, html.unescape(await response.text())


def head_of(text: str) -> str:
    found = re.search(r'<section class="head .*?</section>', text, re.DOTALL)
    assert found is not None
    return found[0]


async def test_the_head_leads_with_the_finding_and_has_the_status_beside_it(running: Zimwatch) -> None:
    await running.send([sent(1, 3_000), *(failure(2 + number, 500 - 60 * number) for number in range(6))])
    _, text = await page(running, ERIN)
    head = head_of(text)
    assert 'class="head user-head warning"' in head
    assert "6 calls failed within 5 min: sendMessage 6 times (6000105: no answer in time)" in head
    assert re.search(r'<blockquote id="say">.{20,}</blockquote>', head)
    assert re.search(r'<div id="advice">\s*<p>6000105 is a connection', head)
    assert re.search(r'<p class="state">\s*<span class="status online">', head)
    assert "The connection is not the cause" not in text
    (address,) = re.findall(r'<a href="(#event-\d+)">6 events</a>', head)
    assert f'<tr id="{address[1:]}"' in text


async def test_a_healthy_user_is_shown_calmly(running: Zimwatch) -> None:
    await running.send([sent(1, 3_000)])
    _, text = await page(running, ERIN)
    assert re.search(r'<p class="state huge" id="state"><span class="status online">', head_of(text))
    assert "You are connected." in text
    assert "events</a>" not in text


async def test_evidence_on_an_older_page_is_linked_to_the_page_that_begins_with_it(running: Zimwatch) -> None:
    early = [sent(1, 1_500), *(failure(2 + number, 1_400 - number) for number in range(3))]
    # Each of these is a line of its own, more of them than a page has.
    renewed = {"type": "token_renewed", "code": 0, "token_expires_at": None}
    await running.send([*early, *(sent(5 + number, 1_300 - number, **renewed) for number in range(70))])
    _, text = await page(running, ERIN)
    (query,) = re.findall(r'<a href="(\?begin=\d+)#sought">3 events</a>', head_of(text))
    _, older = await page(running, ERIN + query)
    line = r'<tr id="(event-\d+)" data-key="\d+" data-at="\d+" class="sought">\s*<td id="sought">'
    (first,) = re.findall(line, older)
    assert older.index(f'id="{first}"') == older.index('<tr id="event-') + len("<tr ")
    assert re.search(rf'id="{first}".*?sendMessage failed.*?3 times in 2 s', older, re.DOTALL)
    # From there the link leads to the line that is on this page now.
    assert f'<a href="#{first}">3 events</a>' in head_of(older)


async def test_evidence_that_is_received_late_does_not_hide_what_happened_last(running: Zimwatch) -> None:
    # A line of its own each, received after the call that failed last, and before the one that failed first.
    renewed = {"type": "token_renewed", "code": 0, "token_expires_at": None}
    await running.send([sent(1, 1_500), failure(3, 900)])
    await running.send([sent(4 + number, 800 - number, **renewed) for number in range(70)])
    await running.send([failure(2, 1_400) | {"method": "queryUsersInfo"}])
    _, text = await page(running, ERIN)
    assert "queryUsersInfo failed" in text[text.index('id="events-title"') :]
    (query,) = re.findall(r'<a href="(\?begin=\d+)#sought">2 events</a>', head_of(text))
    _, older = await page(running, ERIN + query)
    (line,) = re.findall(r'<td id="sought">.*?</tr>', older, re.DOTALL)
    assert "sendMessage failed" in line


async def test_evidence_within_a_folded_run_is_the_line_of_the_run(running: Zimwatch) -> None:
    await running.send([sent(1, 900), *(failure(2 + number, 800 - number) for number in range(70))])
    _, text = await page(running, ERIN)
    (address,) = re.findall(r'<a href="#(event-\d+)">50\+ events</a>', head_of(text))
    assert re.search(rf'<tr id="{address}".*?70 times in', text, re.DOTALL)


async def test_a_past_page_shows_the_finding_of_its_moment(running: Zimwatch) -> None:
    await running.send([sent(1, 3_000), *(failure(2 + number, 100 - number) for number in range(3))])
    now = datetime.now(UTC).isoformat()
    await running.send([sent(5, 0, state=0, event=0)])
    _, text = await page(running, f"{ERIN}?as_of={quote(now)}")
    assert "3 calls failed" in head_of(text)
    assert "Online" in head_of(text)


async def test_older_events_of_a_past_page_are_older_ones(running: Zimwatch) -> None:
    moves = [sent(1 + number, 900 - number, state=2 + number % 2, event=3 * (number % 2)) for number in range(70)]
    await running.send(moves)
    now = datetime.now(UTC).isoformat()
    await running.send([sent(100, 0, state=0, event=0)])
    _, text = await page(running, f"{ERIN}?as_of={quote(now)}")
    first = re.findall(r'<tr id="event-(\d+)"', text)
    (older,) = re.findall(r'href="(\?as_of=[^"]*&before=\d+)"', text)
    _, text = await page(running, ERIN + older)
    second = re.findall(r'<tr id="event-(\d+)"', text)
    assert (len(first), len(second)) == (50, 20)
    assert not set(first) & set(second)
    # An address that was changed by hand shows nothing that came after the moment.
    newest = await page(running, f"{ERIN}?as_of={quote(now)}&before=9999999")
    assert re.findall(r'<tr id="event-(\d+)"', newest[1]) == first


@pytest.mark.parametrize("typed", ["-1h", "1 hour ago", "yesterday 15:50", "2026-11-23T14:03:20"])
async def test_a_moment_is_in_the_address_in_full(running: Zimwatch, typed: str) -> None:
    await running.send([sent(1, 3_000)])
    picked = "at" if "T" in typed else "as_of"
    async with running.http.get(f"{ERIN}?window=1h&{picked}={quote(typed)}", allow_redirects=False) as response:
        assert response.status == 303
        assert re.fullmatch(rf"{ERIN}\?window=1h&as_of=20\d\d-[\dT%A:.-]+Z", response.headers["Location"])
    status, text = await page(running, f"{ERIN}?as_of={quote(typed)}")
    assert (status, "State as known at" in text) == (200, True)


async def test_a_past_page_leads_to_the_moments_around_it_and_to_no_future_one(running: Zimwatch) -> None:
    await running.send([sent(1, 3_000)])
    _, text = await page(running, f"{ERIN}?as_of={quote(ago(600))}")
    steps = dict(re.findall(r'<a href="\?as_of=([^"]+)">(\S\d+ \w+)</a>', text))
    assert list(steps.values()) == [
        f"{user_page.MINUS}24 h",
        f"{user_page.MINUS}1 h",
        f"{user_page.MINUS}5 min",
        "+5 min",
    ]


async def test_a_shared_past_page_is_of_that_moment(running: Zimwatch) -> None:
    await running.send([sent(1, 3_000)])
    _, text = await page(running, f"{ERIN}?as_of={quote(ago(0.001))}")
    assert re.search(r'<input type="hidden" name="as_of" value="20[^"]+Z">', text)


async def test_a_shared_page_leads_with_the_finding_too_but_quotes_nothing(running: Zimwatch) -> None:
    words = {"method": "made-up words", "message": "made-up words", "code": 7}
    await running.send([sent(1, 3_000), *(failure(2 + number, 100 - number) | words for number in range(3))])
    _, text = await page(running, f"{ERIN}?hand_off=1h")
    link = re.search(r'value="(http://[^"]+/hand-off/[\w.-]+)"', text)
    assert link is not None
    async with running.http.get(link[1]) as response:
        shared = html.unescape(await response.text())
    assert "3 calls failed" in head_of(shared)
    assert re.search(r'<a href="#event-\d+">3 events</a>', shared)
    assert "made-up" not in shared


async def test_a_long_id_is_copied_whole(running: Zimwatch) -> None:
    name = "m" * 300
    await running.send([wire_event(user_id=name)])
    _, text = await page(running, f"/users/{APP}/{name}")
    assert f'data-full="{name}"' in text


async def test_a_pasted_link_opens_the_user(running: Zimwatch) -> None:
    link = quote(f"https://ops.example.com/users/{APP}/a%2Fb?as_of=x")
    async with running.http.get(f"/users?q={link}", allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (303, f"/users/{APP}/?id=a/b")


async def test_an_id_is_found_though_invisible_signs_were_copied_with_it(running: Zimwatch) -> None:
    await running.send([sent(1, 3_000)])
    _, text = await page(running, "/users?q=%E2%80%8B%20erin%E2%80%8B&match=exact")
    assert ">erin<" in text


async def test_many_devices_are_rows_and_the_rest_can_be_opened(running: Zimwatch) -> None:
    events = [wire_event(user_id="many", client_id=str(uuid.uuid4()), device_id=f"device {n}") for n in range(40)]
    await running.send(events)
    _, text = await page(running, f"/users/{APP}/many")
    shown, more = text.split('<details id="more-devices">')
    assert shown.count('<bdi class="note">device ') == user_page.DEVICES
    assert more.count('<bdi class="note">device ') == 40 - user_page.DEVICES
