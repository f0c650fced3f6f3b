"""What a browser has to do for a page is bounded, however much there is to show: its bytes, elements and scripts."""

from __future__ import annotations

import gzip
import re
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from tests.support.running import Zimwatch, zimwatch
from tests.support.wire import fresh_event

APP = 1234567890
# More than a page shows of each.
USERS, EVENTS, DEVICES = 250, 3_000, 120
IDS = "%0A".join(f"user-{number}" for number in range(200))
EVERY_COLUMN = "col=app&col=platform&col=sdk&col=version&col=devices&col=token&col=seen"
_ELEMENT = re.compile(r"<[a-z]")


class Bound(msgspec.Struct, frozen=True):
    """The most of a page's HTML: KB, compressed KB, and elements."""

    kb: int
    compressed_kb: int
    elements: int


PAGES = {
    "overview": ("/", Bound(20, 5, 370)),
    "wall": ("/wall", Bound(11, 4, 215)),
    "users": ("/users", Bound(42, 6, 800)),
    "users, every column": (f"/users?{EVERY_COLUMN}", Bound(60, 6, 1_150)),
    "200 ids": (f"/users?ids={IDS}", Bound(150, 10, 2_350)),
    "a user of many events": (f"/users/{APP}/heavy", Bound(140, 10, 1_900)),
    "a user of long texts": (f"/users/{APP}/mallory", Bound(700, 16, 1_200)),
    "a user of many devices": (f"/users/{APP}/many", Bound(150, 12, 2_700)),
    "alerts": ("/alerts", Bound(48, 5, 950)),
    "200 alerts": ("/alerts?group=kind", Bound(20, 4, 420)),
    "an alert": ("/alerts/1", Bound(9, 4, 200)),
    "silences": ("/silences", Bound(8, 4, 200)),
    "settings": ("/settings", Bound(25, 5, 700)),
    "findings": ("/findings", Bound(34, 9, 500)),
    "rejected": ("/rejected", Bound(6, 3, 150)),
    "sign-in": ("/sign-in", Bound(6, 3, 100)),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def large(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Zimwatch]:
    folder: Path = tmp_path_factory.mktemp("large")
    kicked = {"state": 0, "event": 4, "extended_data": '{"reason":1,"message":"on another device"}'}
    events = [fresh_event(user_id=f"user-{number}", **kicked) for number in range(USERS)]
    events += [fresh_event(user_id="many", platform="Web", device_id=f"device-{number}") for number in range(DEVICES)]
    client = fresh_event()["client_id"]
    states = ({"state": 2, "event": 0}, {"state": 3, "event": 3}, kicked)
    events += [
        fresh_event(user_id="heavy", client_id=client, seq=seq, **states[seq % len(states)])
        for seq in range(1, EVENTS + 1)
    ]
    long = {"user_id": "mallory", "client_id": fresh_event()["client_id"], "extended_data": '"<&' * 6_000}
    batches = [
        [fresh_event(**long, seq=seq, state=2 + seq % 2, event=3 * (seq % 2)) for seq in range(start, start + 20)]
        for start in (1, 21, 41)
    ]
    batches += [events[start : start + 1_000] for start in range(0, len(events), 1_000)]
    async with zimwatch(folder) as running:
        for batch in batches:
            _, answer = await running.send(batch)
            assert answer["rejected"] == []
        yield running


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", PAGES)
async def test_a_page_of_much_is_bounded(large: Zimwatch, name: str) -> None:
    path, bound = PAGES[name]
    async with large.http.get(path, headers={"Accept": "text/html"}) as response:
        text = await response.text()
    raw, elements, scripts = text.encode(), len(_ELEMENT.findall(text)), re.findall(r"<script[^>]*>", text)
    found = Bound(len(raw) // 1_000, len(gzip.compress(raw)) // 1_000, elements)
    assert (found.kb <= bound.kb, found.compressed_kb <= bound.compressed_kb) == (True, True), found
    assert found.elements <= bound.elements, found
    # Every other script comes after the page is there.
    assert len(scripts) == 1
    assert "/zimwatch.js" in scripts[0]
