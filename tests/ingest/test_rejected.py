"""Rejected events are shown in a call, on a page, on the overview and in the log, each to those who may see its app."""

from __future__ import annotations

import re
from typing import Any

import structlog

from sidecar.logs import Bounded
from tests.support.running import Zimwatch
from tests.support.tokens import new_token
from tests.support.wire import wire_event, without


async def page(running: Zimwatch, path: str, **headers: str) -> str:
    async with running.http.get(path, headers={"Accept": "text/html"} | headers) as answer:
        assert answer.status == 200
        return await answer.text()


async def test_a_rejected_event_is_listed_with_its_reason_newest_first(running: Zimwatch) -> None:
    await running.send([wire_event(seq=0, user_id="<b>alice</b>"), wire_event()])
    await running.send([wire_event(), 7])
    _, listed = await running.get("/v1/rejected")
    number, seq = listed["rejected"]
    assert (number["index"], number["id"], number["app_id"], number["body"]) == (1, None, None, "7")
    assert (seq["index"], seq["app_id"]) == (0, 1234567890)
    assert "seq" in seq["error"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", seq["received_at"])
    assert [one["index"] for one in (await running.get("/v1/rejected?limit=1"))[1]["rejected"]] == [1]
    assert (await running.get("/v1/rejected?limit=0"))[0] == 400
    text = await page(running, "/rejected")
    assert "&lt;b&gt;alice&lt;/b&gt;" in text
    assert "<b>alice" not in text
    assert seq["error"].split(" ")[0] in text


async def test_the_overview_counts_them_also_while_there_are_no_other_events(running: Zimwatch) -> None:
    assert "/rejected" not in await page(running, "/")
    await running.send([without("id"), without("id"), 7])
    text = await page(running, "/")
    assert "3 events were rejected" in text
    assert "missing required field `id`" in text


async def test_a_token_of_one_app_sees_the_rejected_events_of_its_app_alone(running: Zimwatch) -> None:
    _, sender = await new_token(running.store, "ingest", 7)
    _, reader = await new_token(running.store, "read", 7)
    _, other = await new_token(running.store, "read", 8)
    _, every = await new_token(running.store, "read")

    def bearer(secret: str) -> dict[str, Any]:
        return {"Authorization": f"Bearer {secret}"}

    # What names another app, or none, is the sender's own still.
    await running.send([wire_event(app_id=8, seq=0), 7], **bearer(sender))
    for secret, seen in ((reader, 2), (other, 0), (every, 2)):
        _, listed = await running.get("/v1/rejected", **bearer(secret))
        assert [one["app_id"] for one in listed["rejected"]] == [7] * seen
        assert ("2 events were rejected" in await page(running, "/", **bearer(secret))) is bool(seen)
        assert (
            "Every event that arrived was accepted" in await page(running, "/rejected", **bearer(secret))
        ) is not bool(seen)


async def test_rejections_are_logged_once_a_minute(running: Zimwatch) -> None:
    with structlog.testing.capture_logs() as lines:
        for _ in range(20):
            await running.send([7])
    assert [line["events"] for line in lines if line["event"] == "events rejected"] == [1]


def test_a_bounded_line_has_the_number_of_those_left_out() -> None:
    now_us = 0
    lines = Bounded(lambda: now_us)
    assert [lines.more() for _ in range(3)] == [0, None, None]
    now_us = Bounded.EVERY_US
    assert [lines.more() for _ in range(2)] == [2, None]
    now_us = 0  # the clock was set back
    assert lines.more() == 1
