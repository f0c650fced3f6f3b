"""The schema, the decoder and the running server agree on every vector of ``schemas/vectors/v1``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import jsonschema
import pytest
from yarl import URL

from sidecar.api import json_views as api_json
from sidecar.ingest import decode
from sidecar.ingest.wire_events import TYPES
from sidecar.store import log_positions
from sidecar.store.values import StoredEvent
from tests.support.running import Zimwatch
from tests.support.vectors import schema, sent, vectors
from tests.support.wire import wire_event

VALID = vectors("valid")
INVALID = vectors("invalid")
SEQUENCES = vectors("sequences")
NOW_US = 1_795_442_700_000_000
OF_THE_SERVER = {"position", "received_at", "moment"}

event_schema = jsonschema.Draft202012Validator(schema("event.v1.json"))


def by_name(vector: dict[str, Any]) -> str:
    return str(vector["name"])


async def post(running: Zimwatch, bodies: list[bytes], query: str = "") -> Any:
    headers = {"Content-Type": "application/json"}
    async with running.http.post(f"/v1/events{query}", data=b"[" + b",".join(bodies) + b"]", headers=headers) as answer:
        assert answer.status == 200
        return await answer.json()


def own(read: dict[str, Any]) -> dict[str, Any]:
    """An event as read, without the fields that the server adds."""
    return {name: value for name, value in read.items() if name not in OF_THE_SERVER}


def test_the_names_of_vectors_are_unique_and_every_type_is_among_them() -> None:
    for some in (VALID, INVALID, SEQUENCES):
        assert len({vector["name"] for vector in some}) == len(some)
    assert {vector["event"]["type"] for vector in VALID} == set(TYPES)
    assert len({vector["event"]["id"].lower() for vector in VALID}) == len(VALID)


@pytest.mark.parametrize("vector", VALID, ids=by_name)
def test_a_valid_event_is_decoded_to_its_vector(vector: dict[str, Any]) -> None:
    event_schema.validate(vector["event"])
    decoded = decode(b"[" + sent(vector) + b"]", "json", NOW_US)
    assert decoded.rejected == []
    ((_, event),) = decoded.events
    if vector["stored"] is not None:
        assert own(api_json.event_view(StoredEvent(1, event))) == vector["stored"]


@pytest.mark.parametrize("vector", INVALID, ids=by_name)
def test_an_invalid_event_is_rejected_by_the_schema_and_the_decoder(vector: dict[str, Any]) -> None:
    assert event_schema.is_valid(json.loads(sent(vector))) is bool(vector.get("schema_cannot_tell"))
    decoded = decode(b"[" + sent(vector) + b"]", "json", NOW_US)
    assert decoded.events == []
    assert decoded.rejected[0].error


LIMITS: dict[str, Callable[[int], dict[str, Any]]] = {
    "extended_data": lambda length: wire_event(extended_data="x" * length),
    "message": lambda length: wire_event(type="login_result", code=1, message="🙂" * length),
}


@pytest.mark.parametrize("field", LIMITS)
def test_schema_and_decoder_have_the_same_limit_for_a_long_text(field: str) -> None:
    for length, fits in ((65_536, True), (65_537, False)):
        event = LIMITS[field](length)
        assert event_schema.is_valid(event) is fits
        assert bool(decode(json.dumps([event]).encode(), "json", NOW_US).events) is fits


async def test_the_server_accepts_every_valid_event_and_returns_its_vector(running: Zimwatch) -> None:
    bodies = [sent(vector) for vector in VALID]
    expected = {"accepted": len(VALID), "duplicates": 0, "rejected": [], "rejected_more": 0, "heartbeat_after_s": 15}
    assert await post(running, bodies, "?dry_run=1") == expected
    assert await running.store.read(log_positions.newest_position) == 0
    assert await post(running, bodies) == expected
    kept = {vector["stored"]["id"]: vector["stored"] for vector in VALID if vector["stored"] is not None}
    assert await running.store.read(log_positions.newest_position) == len(kept)
    found: dict[str, Any] = {}
    for app_id, user_id in {(one["app_id"], one["user_id"]) for one in kept.values() if one["user_id"] is not None}:
        path = f"{running.url}/v1/users/{app_id}/{quote(user_id, safe='')}/events?limit=500"
        async with running.http.get(URL(path, encoded=True)) as answer:
            found |= {event["id"]: own(event) for event in (await answer.json())["events"]}
    assert found == {event_id: event for event_id, event in kept.items() if event["user_id"] is not None}


async def test_the_server_rejects_every_invalid_event_by_name_and_accepts_its_neighbours(running: Zimwatch) -> None:
    good = [json.dumps(wire_event(seq=seq)).encode() for seq in (1, 2)]
    bodies = [good[0], *(sent(vector) for vector in INVALID), good[1]]
    for query in ("?dry_run=1", ""):
        answer = await post(running, bodies, query)
        assert answer["accepted"] == len(good)
        named = min(len(INVALID), 100)
        assert [one["index"] for one in answer["rejected"]] == list(range(1, named + 1))
        assert answer["rejected_more"] == len(INVALID) - named
        assert all(one["error"] for one in answer["rejected"])


def arrivals(events: list[Any]) -> Iterator[list[list[Any]]]:
    """The batches in which a sequence may arrive."""
    yield [events]
    yield [[event] for event in events]
    yield [[event] for event in reversed(events)]


@pytest.mark.parametrize("how", range(3), ids=["one batch", "one by one", "one by one from the end"])
async def test_a_sequence_leads_to_the_status_of_its_vector_in_any_order_of_arrival(
    running: Zimwatch, how: int
) -> None:
    wrong = []
    for app_id, sequence in enumerate(SEQUENCES, start=1):  # each in an app of its own, since they share their users
        for batch in list(arrivals(sequence["events"]))[how]:
            answer = await post(running, [json.dumps(event | {"app_id": app_id}).encode() for event in batch])
            assert answer["rejected"] == []
        for expected in sequence["users"]:
            _, read = await running.get(f"/v1/users/{app_id}/{expected['user_id']}")
            sessions = {one["client_id"]: one for one in read["sessions"]}
            given = {name: read[name] for name in expected} | {
                "app_id": expected["app_id"],
                "sessions": [{name: sessions[one["client_id"]][name] for name in one} for one in expected["sessions"]],
            }
            if given != expected:
                wrong.append((sequence["name"], given, expected))
    assert wrong == []
