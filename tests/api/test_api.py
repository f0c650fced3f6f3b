"""The calls of the contract, over HTTP, from a send to a read."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from yarl import URL

from sidecar.settings import LeaseSettings
from sidecar.store import log_positions
from sidecar.store.log import rejected_events
from sidecar.version import VERSION
from tests.support.running import Zimwatch, zimwatch
from tests.support.wire import fresh_event, wire_event

pytestmark = pytest.mark.both_engines("soak")

APP = 1234567890


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "application/json; charset=utf-8"])
async def test_events_go_in_and_come_out(running: Zimwatch, kind: str) -> None:
    session = str(uuid.uuid4())
    event = wire_event(session_id=session, sdk={"name": "zego-zim-web", "version": "2.29.0"}, platform="Web")
    assert (await running.send([event], Content_Type=kind))[1] == {
        "accepted": 1,
        "duplicates": 0,
        "rejected": [],
        "rejected_more": 0,
        "heartbeat_after_s": 15,
    }
    status, user = await running.get(f"/v1/users/{APP}/alice")
    assert status == 200
    assert (user["status"], user["since"], user["reason"]) == ("online", "2026-11-23T14:03:20.123Z", "SUCCESS")
    assert (user["unconfirmed"], user["token_expires_at"]) == (False, None)
    assert [one["session_id"] for one in user["sessions"]] == [session]
    _, found = await running.get(f"/v1/users/{APP}/alice/events")
    (stored,) = found["events"]
    for name in (
        "id",
        "type",
        "client_id",
        "seq",
        "session_id",
        "app_id",
        "user_id",
        "extended_data",
        "platform",
        "sdk",
    ):
        assert stored[name] == event[name]
    assert (stored["connection_state"], stored["connection_event"]) == ("CONNECTED", "SUCCESS")


async def test_gzip_and_ndjson_are_understood(running: Zimwatch) -> None:
    lines = "\n".join(json.dumps(wire_event(seq=seq)) for seq in (1, 2)).encode()
    packed = gzip.compress(lines[:100]) + gzip.compress(lines[100:])
    _, answer = await running.send(packed, Content_Type="application/x-ndjson", Content_Encoding="gzip")
    assert answer["accepted"] == 2


async def test_an_event_sent_twice_is_a_duplicate(running: Zimwatch) -> None:
    event = wire_event()
    await running.send([event])
    assert (await running.send([event, event]))[1] == {
        "accepted": 0,
        "duplicates": 2,
        "rejected": [],
        "rejected_more": 0,
        "heartbeat_after_s": 15,
    }


async def test_a_dry_run_answers_the_same_and_stores_nothing(running: Zimwatch) -> None:
    body = [wire_event(), {"id": "x"}]
    async with running.http.post("/v1/events?dry_run=1", json=body) as response:
        answer = await response.json()
    assert (answer["accepted"], len(answer["rejected"])) == (1, 1)
    assert await running.store.read(log_positions.newest_position) == 0
    assert await running.store.read(rejected_events.newest, 1) == []


async def test_users_are_listed_by_status_and_page_by_page(running: Zimwatch) -> None:
    for number, state in enumerate((2, 3, 0, 2)):
        await running.send([fresh_event(user_id=f"user-{number}", state=state)])
    _, first = await running.get("/v1/users?limit=3")
    assert [user["user_id"] for user in first["users"]] == ["user-3", "user-2", "user-1"]
    _, rest = await running.get(f"/v1/users?limit=3&cursor={first['next_cursor']}")
    assert ([user["user_id"] for user in rest["users"]], rest["next_cursor"]) == (["user-0"], None)
    _, offline = await running.get("/v1/users?status=offline")
    assert [user["user_id"] for user in offline["users"]] == ["user-1"]
    _, summary = await running.get("/v1/summary")
    assert summary == {"online": 2, "offline": 1, "not_logged_in": 1, "unconfirmed": 0, "alerts": {}}


async def test_users_are_listed_by_what_happened_to_them(running: Zimwatch) -> None:
    now = datetime.now(UTC)

    def event(user_id: str, minutes: float, **fields: Any) -> dict[str, Any]:
        at = (now - timedelta(minutes=minutes)).isoformat(timespec="milliseconds")
        kick = {"state": "DISCONNECTED", "event": "KICKED_OUT"} if "type" not in fields else {}
        sdk = {"name": "zego-zim-web", "version": fields.pop("version", "2.29.0")}
        made = fresh_event(user_id=user_id, occurred_at=at, client_id=str(uuid.uuid4()), sdk=sdk, **kick, **fields)
        return {key: value for key, value in made.items() if "type" not in fields or key not in {"state", "event"}}

    await running.send([event("alice", 90), event("bob", 20, version="2.28.0"), event("carol", 5), event("carol", 4.5)])
    await running.send([event("dave", 3, type="api_error", method="sendMessage", code=6000121, message="no")])

    async def listed(query: str) -> tuple[list[str], Any]:
        status, found = await running.get(f"/v1/users?{query}")
        assert status == 200, found
        return [user["user_id"] for user in found["users"]], found["total"]

    def total(users: int, events: int | None) -> dict[str, Any]:
        return {"users": users, "events": events, "at_least": False}

    assert await listed("happened=kicked_out&within=1h") == (["carol", "bob"], total(2, 3))
    assert await listed("happened=kicked_out") == (["carol", "bob", "alice"], total(3, 4))
    assert await listed("happened=kicked_out&sdk_version=2.28.0") == (["bob"], total(1, 1))
    assert await listed("happened=kicked_out&status=online") == ([], total(0, None))
    assert await listed("happened=calls_failed&within=15m") == (["dave"], total(1, 1))
    assert await listed("happened=token_expired&within=7d") == ([], total(0, 0))
    begin, end = ((now - timedelta(minutes=m)).isoformat().replace("+00:00", "Z") for m in (91, 19))
    assert await listed(f"happened=kicked_out&from={begin}&until={end}") == (["bob", "alice"], total(2, 2))
    assert (await listed("sdk_version=2.28.0"))[0] == ["bob"]
    assert (await listed(""))[1] == total(4, None)
    _, first = await running.get("/v1/users?happened=kicked_out&limit=1")
    assert first["users"][0]["happened"]["times"] == 2
    assert (await listed(f"happened=kicked_out&limit=2&cursor={first['next_cursor']}"))[0] == ["bob", "alice"]
    assert "happened" not in (await running.get("/v1/users"))[1]["users"][0]


@pytest.mark.parametrize(
    "query",
    [
        *("status=asleep", "limit=0", "limit=x", "cursor=-1", "cursor=[1,2]", "app_id=one"),
        *("happened=eaten", "within=1h", "from=2026-11-23T14:03:20Z", "until=2026-11-23T14:03:20Z"),
        *("within=soon&happened=kicked_out", "from=today&happened=kicked_out", "until=1&happened=kicked_out"),
        "within=1h&happened=kicked_out&from=2026-11-23T14:03:20Z",
        "until=2026-11-23T14:03:20Z&happened=kicked_out&from=2026-11-23T14:03:20Z",
        "cursor=7&happened=kicked_out",
    ],
)
async def test_an_invalid_query_is_refused_by_name(running: Zimwatch, query: str) -> None:
    status, answer = await running.get(f"/v1/users?{query}")
    assert status == 400
    assert query.split("=", maxsplit=1)[0] in answer["detail"]


async def test_an_unknown_user_is_not_found(running: Zimwatch) -> None:
    async with running.http.get(f"/v1/users/{APP}/nobody") as response:
        assert (response.status, response.content_type) == (404, "application/problem+json")
    assert (await running.get("/nowhere"))[0] == 404


HOSTILE = [
    "<script>alert(1)</script>",
    "a/b/events",
    "100%",
    "%2F",
    "\u202egnp.exe",
    "🙂",
    "'\"`",
    "a" * 2_048,
    "断线",
    "a b+c",
]


@pytest.mark.parametrize("user_id", HOSTILE)
async def test_any_user_id_is_found_by_its_path(running: Zimwatch, user_id: str) -> None:
    await is_found(running, user_id)


@pytest.mark.of_sqlite
async def test_a_very_long_user_id_is_found_by_its_path(running: Zimwatch) -> None:
    await is_found(running, "a" * 10_000)


async def is_found(running: Zimwatch, user_id: str) -> None:
    await running.send([wire_event(user_id=user_id)])
    path = f"{running.url}/v1/users/{APP}/{quote(user_id, safe='')}"
    async with running.http.get(URL(path, encoded=True)) as response:
        assert (await response.json())["user_id"] == user_id
    async with running.http.get(URL(path + "/events", encoded=True)) as response:
        assert len((await response.json())["events"]) == 1


async def test_the_events_of_a_user_are_not_the_user_whose_id_ends_so(running: Zimwatch) -> None:
    await running.send([wire_event(user_id=user_id) for user_id in ("a", "a/events", "events")])
    users = f"{running.url}/v1/users/{APP}"
    for path, user_id in (("a%2Fevents", "a/events"), ("events", "events"), ("a/events/events", "a/events")):
        async with running.http.get(URL(f"{users}/{path}", encoded=True)) as response:
            answer = await response.json()
        assert {answer.get("user_id") or event["user_id"] for event in answer.get("events", [answer])} == {user_id}
    for path in ("a/events", "a/%65vents"):
        async with running.http.delete(URL(f"{users}/{path}", encoded=True)) as response:
            assert (response.status, response.headers["Allow"]) == (405, "GET,HEAD")
    async with running.http.delete(URL(f"{users}/a%2Fevents", encoded=True)) as response:
        assert response.status in {200, 202}
    for path, status in (("a", 200), ("a%2Fevents", 404), ("events", 200)):
        async with running.http.get(URL(f"{users}/{path}", encoded=True)) as response:
            assert response.status == status


async def next_event(response: aiohttp.ClientResponse) -> tuple[str, int, Any]:
    lines: dict[str, str] = {}
    async with asyncio.timeout(30):
        while line := (await response.content.readline()).decode().rstrip("\n"):
            name, _, value = line.partition(": ")
            lines[name] = value
    return lines["event"], int(lines["id"]), json.loads(lines["data"])


async def test_a_change_is_on_the_stream_and_a_reader_that_was_away_gets_what_it_missed(running: Zimwatch) -> None:
    async with running.http.get("/v1/stream") as response:
        assert (await next_event(response))[0] == "summary"
        await running.send([wire_event()])
        name, position, user = await next_event(response)
        assert (name, position, user["user_id"], user["status"]) == ("user", 1, "alice", "online")
        assert (await next_event(response))[2]["online"] == 1
    await running.send([wire_event(seq=2, state=3, event=3)])
    async with running.http.get("/v1/stream", headers={"Last-Event-ID": "1"}) as response:
        name, position, user = await next_event(response)
        assert (name, position, user["status"]) == ("user", 2, "offline")


async def test_a_change_while_a_stream_begins_is_sent(running: Zimwatch, monkeypatch: pytest.MonkeyPatch) -> None:
    read = running.store.read

    async def slowly(query: Any, *args: Any) -> Any:
        found = await read(query, *args)
        if query is log_positions.newest_position:
            await asyncio.sleep(0.2)
        return found

    monkeypatch.setattr(running.store, "read", slowly)
    async with running.http.get("/v1/stream") as response:
        await running.send([wire_event()])
        seen = [await next_event(response) for _ in range(2)]
        assert "user" in {name for name, _, _ in seen}


async def test_a_stream_of_one_user_sends_nothing_of_others(running: Zimwatch) -> None:
    async with running.http.get(f"/v1/stream?app_id={APP}&user_id=bob") as response:
        await next_event(response)
        await running.send([wire_event(user_id="alice")])
        await running.send([wire_event(user_id="bob", client_id=str(uuid.uuid4()))])
        assert (await next_event(response))[2]["user_id"] == "bob"


async def test_a_response_has_its_duration_at_the_server(running: Zimwatch) -> None:
    for path, status in (("/v1/users", 200), ("/", 200), ("/v1/users?limit=x", 400)):
        async with running.http.get(path) as response:
            assert response.status == status
            assert re.fullmatch(r"app;dur=[0-9.]+", response.headers["Server-Timing"])


async def test_health_metrics_and_the_description_answer(running: Zimwatch) -> None:
    await running.send([wire_event()])
    assert await running.get("/readyz") == (200, {"status": "ok", "version": VERSION})
    assert (await running.get("/openapi.json"))[1]["openapi"].startswith("3.1")
    async with running.http.get("/metrics") as response:
        text = await response.text()
    assert "zimwatch_events_total{" in text
    assert 'status="online"} 1.0' in text


async def test_an_event_keeps_its_reporter_if_it_has_one(running: Zimwatch) -> None:
    reporters = [{"name": "zim-tap", "version": "9.9"}, {"name": "my own"}, {}, None]
    events = [wire_event(seq=seq, reporter=reporter) for seq, reporter in enumerate(reporters, 1)]
    events.append(wire_event(seq=5))
    assert (await running.send(events))[1]["accepted"] == 5
    _, read = await running.get(f"/v1/users/{APP}/alice/events")
    assert [one.get("reporter") for one in read["events"][::-1]] == [
        {"name": "zim-tap", "version": "9.9"},
        {"name": "my own", "version": None},
        None,
        None,
        None,
    ]
    _, answer = await running.send([wire_event(reporter="zim-tap"), wire_event(reporter={"name": 7})])
    assert [one["index"] for one in answer["rejected"]] == [0, 1]
    assert all("reporter" in one["error"] for one in answer["rejected"])


@pytest.mark.parametrize(("lease", "after_s"), [("45s", 15), ("90s", 30), ("1s", 1), ("100s", 33)])
async def test_clients_get_an_interval_of_three_heartbeats_a_lease(tmp_path: Path, lease: str, after_s: int) -> None:
    async with zimwatch(tmp_path, leases=LeaseSettings(heartbeat=lease)) as running:
        for query in ("", "?dry_run=1"):
            assert (await running.send([], query))[1]["heartbeat_after_s"] == after_s
