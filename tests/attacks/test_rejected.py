"""Rejected events cost no more than accepted ones, however many arrive at once."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from sidecar.ingest import wire
from sidecar.store import log_positions
from sidecar.store.log import rejected_events
from tests.support import counted
from tests.support.running import Zimwatch
from tests.support.wire import wire_event

MOST = wire.EVENTS_MOST
CALLS_AN_EVENT = 45
# By name: an event that is refused.
REFUSED: dict[str, Any] = {
    "a number": 1,
    "an object": {"id": "x" * 40, "app_id": 7},
    "an object of many fields": {f"field{number}": number for number in range(100)},
    "half a pair": "\\ud800",
    "an event without a state": {name: value for name, value in wire_event().items() if name != "state"},
    "a leap second of no day": wire_event(occurred_at="2026-02-30T23:59:60Z"),
}


@pytest.fixture
def options() -> dict[str, Any]:
    return {"max_body_bytes": 16 << 20}


def batch(event: Any, count: int, kind: str) -> bytes:
    text = json.dumps(event).replace("\\\\ud800", "\\ud800")
    return "\n".join([text] * count).encode() if kind == "ndjson" else f"[{','.join([text] * count)}]".encode()


@pytest.mark.parametrize("kind", ["json", "ndjson"])
@pytest.mark.parametrize("name", REFUSED)
def test_refusing_an_event_takes_a_bounded_number_of_calls(name: str, kind: Any) -> None:
    for count in (100, 1_000):
        with counted.calls() as done:
            decoded = wire.decode(batch(REFUSED[name], count, kind), kind, 0)
        assert len(decoded.rejected) == count
        assert done.number < CALLS_AN_EVENT * count + 1_000


@pytest.mark.parametrize("kind", ["json", "ndjson"])
@pytest.mark.parametrize("name", REFUSED)
def test_past_the_limit_of_events_nothing_is_decoded(name: str, kind: Any) -> None:
    body = batch(REFUSED[name], MOST + 1, kind)
    with counted.calls() as done, pytest.raises(wire.TooManyError):
        wire.decode(body, kind, 0)
    assert done.number < 8 * MOST


@pytest.mark.parametrize("query", ["", "?dry_run=1"])
async def test_a_kilobyte_that_is_half_a_million_events_is_refused_at_once(running: Zimwatch, query: str) -> None:
    packed = gzip.compress(b"[" + b"1," * 523_999 + b"1]")
    for body, headers in (
        (packed, {"Content_Encoding": "gzip"}),
        (b"1\n" * 500_000, {"Content_Type": "application/x-ndjson"}),
        (b"[" + b"1," * MOST + b"1]", {}),
        (b"[" + b",".join(json.dumps(wire_event()).encode() for _ in range(MOST + 1)) + b"]", {}),
    ):
        status, answer = await running.send(body, query, **headers)
        assert (status, answer["status"]) == (413, 413)
    assert await running.store.read(rejected_events.newest, 1) == []
    assert await running.store.read(log_positions.newest_position) == 0


async def test_a_response_names_a_hundred_and_counts_the_others(running: Zimwatch) -> None:
    body = b"[" + b"1," * (MOST - 1) + json.dumps(wire_event()).encode() + b"]"
    for query, kept in (("?dry_run=1", 0), ("", 500)):
        with counted.statements() as executed:
            async with running.http.post(
                f"/v1/events{query}", data=body, headers={"Content-Type": "application/json"}
            ) as answer:
                result = await answer.json()
                size = len(await answer.read())
        assert (answer.status, result["accepted"], result["rejected_more"]) == (200, 1, MOST - 1 - 100)
        assert [one["index"] for one in result["rejected"]] == list(range(100))
        assert size < 16_384
        assert len(executed) < MOST // 50  # background statements included
        assert len((await running.get("/v1/rejected?limit=500"))[1]["rejected"]) == kept


async def test_the_kept_text_of_rejected_events_is_bounded(running: Zimwatch) -> None:
    for _ in range(3):
        await running.send(b"[" + b"1," * 4_999 + b"1]")
    kept = "SELECT COUNT(*) FROM rejected_events"
    assert await running.store.read(lambda c: c.exec_driver_sql(kept).scalar_one()) == rejected_events.KEPT
    assert (await running.store.read(rejected_events.count_since, 0)).count == rejected_events.COUNTED_MOST


def test_a_number_of_thousands_of_digits_rejects_only_its_event() -> None:
    good, digits = json.dumps(wire_event()), "9" * 5_000
    bad = [json.dumps(wire_event(seq=5)).replace(": 5,", f": {digits},"), f'{{"id": {digits}}}', digits, '"\\ud800"']
    decoded = wire.decode(f"[{','.join([good, *bad, good])}]".encode(), "json", 0)
    assert [index for index, _ in decoded.events] == [0, 5]
    assert [one.index for one in decoded.rejected] == [1, 2, 3, 4]
