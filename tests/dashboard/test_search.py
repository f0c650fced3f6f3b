"""The search box: an id opens the user's page, and an id with a past moment opens it as of that moment."""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import urlencode

import pytest

from dashboard.parts.search import ids_and_moments
from sidecar.domain.units import HOUR_US, MINUTE_US
from tests.support.clocks import Machine
from tests.support.events import APP_ID, BEGIN_US
from tests.support.running import Zimwatch
from tests.support.wire import fresh_event

# 2026-11-23T14:00:00Z
NOW_US = BEGIN_US


@pytest.fixture
def options(machine: Machine) -> dict[str, Any]:
    return {"machine": machine}


@pytest.mark.parametrize(
    ("text", "zoned", "found"),
    [
        ("alice", "", []),
        ("", "", []),
        ("  ", "", []),
        ("15:50", "", []),
        ("alice 13:50", "", [("alice", NOW_US - 10 * MINUTE_US)]),
        ("alice 15:50", "", [("alice", NOW_US - 24 * HOUR_US + 110 * MINUTE_US)]),
        ("alice  yesterday 15:50", "", [
            ("alice", NOW_US - 24 * HOUR_US + 110 * MINUTE_US),
            ("alice  yesterday", NOW_US - 24 * HOUR_US + 110 * MINUTE_US),
        ]),
        ("my friend alice -1h", "", [("my friend alice", NOW_US - HOUR_US)]),
        ("alice 3 minutes ago", "", [("alice", NOW_US - 3 * MINUTE_US)]),
        ("alice 2026-11-23T13:00:00Z", "", [("alice", NOW_US - HOUR_US)]),
        ("alice 2026-11-23T15:00:00Z", "", []),
        ("the alice 13:50", "2026-11-23 13:50:00 +08:00", [("the alice", NOW_US - 490 * MINUTE_US)]),
        ("alice 13:50", "nonsense", []),
        ("alice 25:99", "", []),
        ("alice 99-99 15:50", "", [("alice 99-99", NOW_US - 24 * HOUR_US + 110 * MINUTE_US)]),
    ],
)  # fmt: skip
def test_a_search_may_end_with_a_past_moment(text: str, zoned: str, found: list[tuple[str, int]]) -> None:
    assert list(ids_and_moments(text, zoned, NOW_US)) == found


async def test_an_id_and_a_moment_open_the_page_as_of_then(running: Zimwatch, machine: Machine) -> None:
    users = ("alice", "alice 13:50", "both")
    await running.send([fresh_event(user_id=user_id, client_id=str(uuid.uuid4())) for user_id in users])

    async def goes(query: str, **more: str) -> str | None:
        address = f"/users?{urlencode({'q': query, **more})}"
        async with running.http.get(address, allow_redirects=False) as answer:
            return answer.headers.get("Location")

    assert machine.now_us == NOW_US
    assert await goes("alice") == f"/users/{APP_ID}/alice"
    assert await goes("alice yesterday 15:50") == f"/users/{APP_ID}/alice?as_of=2026-11-22T15:50:00.000Z"
    zoned = await goes("alice yesterday 15:50", moment="2026-11-22 15:50:00 +08:00")
    assert zoned == f"/users/{APP_ID}/alice?as_of=2026-11-22T07:50:00.000Z"
    # An id that looks like both is an id.
    assert await goes("alice 13:50") == f"/users/{APP_ID}/alice%2013:50"
    assert await goes("alic yesterday 15:50") is None
    assert await goes("alice tomorrow 15:50") is None
    assert await goes("alice yesterday 15:50", status="online") is None
    await running.send([fresh_event(user_id="both", app_id=7)])
    assert await goes("both -1h") is None
    assert await goes("both -1h", app_id="7") == "/users/7/both?as_of=2026-11-23T13:00:00.000Z"
