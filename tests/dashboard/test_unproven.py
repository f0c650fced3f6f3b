"""What nobody vouched for is marked wherever it shows: lines, timeline, findings, alerts, the API and share links."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.support.assertions import APP, BY_SECRET, assertion
from tests.support.running import Zimwatch
from tests.support.wire import fresh_event

TAG = ">unproven<"


@pytest.fixture
def options() -> dict[str, Any]:
    return {"assertions": (BY_SECRET,)}


async def page(running: Zimwatch, path: str) -> str:
    async with running.http.get(path, headers={"Accept": "text/html"}) as answer:
        return re.sub(r"\s*(?=<)|(?<=>)\s*", "", await answer.text())


async def kick(running: Zimwatch, user_id: str, **headers: str) -> None:
    client = {"user_id": user_id, "client_id": fresh_event()["client_id"]}
    online = fresh_event(seq=1, **client)
    kicked = fresh_event(seq=2, state=0, event="KickedOut", **client)
    _, answer = await running.send([online, kicked], **headers)
    assert answer["accepted"] == 2


async def test_unproven_events_are_marked_and_proven_ones_are_not(running: Zimwatch) -> None:
    await kick(running, "carol")
    await kick(running, "alice", Zimwatch_Assertion=assertion("alice"))

    text = await page(running, f"/users/{APP}/carol")
    assert text.count(TAG) == 3  # two lines, and the finding
    assert ", unproven" in text  # the timeline's words
    assert "unproven" not in await page(running, f"/users/{APP}/alice")

    for user_id, is_unproven in (("carol", True), ("alice", False)):
        _, user = await running.get(f"/v1/users/{APP}/{user_id}")
        assert [one["unproven"] for one in user["findings"]] == [is_unproven]
        _, alerts = await running.get(f"/v1/alerts?user_id={user_id}")
        (alert,) = [one for one in alerts["alerts"] if one["user_id"] == user_id]
        assert alert["labels"].get("proven") == ("false" if is_unproven else None)
        assert ("(reported without a proof of the user)" in alert["summary"]) is is_unproven
