"""``POST /v1/callbacks/zego``, over HTTP: authentication, what is stored, and where it is shown."""

from __future__ import annotations

import asyncio
import gzip
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import jsonschema
import pytest

from sidecar.settings import ZegoSettings
from sidecar.store import log_positions
from sidecar.store.log import rejected_events
from tests.support.clocks import Machine
from tests.support.events import APP_ID
from tests.support.running import Zimwatch, zimwatch
from tests.support.tokens import new_token
from tests.support.wire import wire_event
from tests.support.zego import SECRET, user_action

SETTINGS = ZegoSettings(callback_secrets=(f"{APP_ID}:{SECRET}",))
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def options(machine: Machine) -> dict[str, Any]:
    return {"zego": SETTINGS, "machine": machine}


async def call(running: Zimwatch, payload: Any, content_type: str = "application/json") -> tuple[int, Any]:
    body = payload.encode() if isinstance(payload, str) else json.dumps(payload).encode()
    headers = {"Content-Type": content_type}
    async with running.http.post("/v1/callbacks/zego", data=body, headers=headers) as response:
        return response.status, await response.json(content_type=None)


async def refused(running: Zimwatch, payload: Any, status: int, words: str) -> None:
    """The answer, and that nothing was stored."""
    before = await running.store.read(log_positions.newest_position)
    answer = await call(running, payload)
    assert answer[0] == status, answer
    assert words in answer[1]["detail"]
    assert SECRET not in answer[1]["detail"]
    assert await running.store.read(log_positions.newest_position) == before


@pytest.mark.both_engines
async def test_a_report_about_a_user_whose_id_cannot_be_stored_is_refused_by_name(
    running: Zimwatch, engine: str
) -> None:
    status, answer = await call(running, user_action(0) | {"user_id": "断" * 1_024})
    if engine == "sqlite":
        assert status == 200
        return
    assert status == 400
    assert "user_id has more than 2048 bytes" in answer["detail"]
    assert [one.error for one in await running.store.read(rejected_events.newest, 10)] == [
        "user_id has more than 2048 bytes, which PostgreSQL cannot index"
    ]


async def test_reports_of_the_server_are_on_the_timeline_and_beside_the_status(
    running: Zimwatch, machine: Machine
) -> None:
    await running.send([wire_event()])
    assert await call(running, user_action(0)) == (200, {"result": "accepted"})
    machine.passes(5)
    assert await call(running, user_action(1, at=5)) == (200, {"result": "accepted"})
    _, user = await running.get(f"/v1/users/{APP_ID}/alice")
    assert (user["status"], user["reason"], len(user["sessions"])) == ("online", "SUCCESS", 1)
    assert user["server"] == {
        "status": "logged_out",
        "since": "2026-11-23T14:00:05.000Z",
        "reason": "logout",
        "os": "WEB",
        "asked": False,
    }
    _, found = await running.get(f"/v1/users/{APP_ID}/alice/events")
    assert [one["type"] for one in found["events"]] == [
        "server_user_action",
        "server_user_action",
        "connection_state_changed",
    ]
    newest = found["events"][0]
    assert (newest["action"], newest["zego_session_id"], newest["os"]) == ("logged_out", "930821637828251648", "WEB")
    assert newest["logout_time"] == "2026-11-23T14:00:05.000Z"
    assert "user_name" not in json.dumps(found)
    assert (await running.get("/v1/summary"))[1]["online"] == 1


async def test_the_responses_match_the_document(running: Zimwatch, machine: Machine) -> None:
    described = json.loads((Path(__file__).parents[2] / "schemas/openapi.json").read_text())

    def check(value: Any, name: str) -> None:
        schema = {"$ref": f"#/components/schemas/{name}", "components": described["components"]}
        jsonschema.validate(value, schema)

    payload = user_action(2)
    check(payload, "Callback")
    await running.send([wire_event()])
    await call(running, payload)
    for seconds in (0, 60):
        machine.passes(seconds)
        user = (await running.get(f"/v1/users/{APP_ID}/alice"))[1]
        check(user, "UserDetail")
        check((await running.get("/v1/users"))[1]["users"][0], "User")
    assert user["disagreement"] is not None
    assert set(user) == set(described["components"]["schemas"]["UserDetail"]["properties"])


@pytest.mark.parametrize("action", [0, 1, 2])
@pytest.mark.parametrize("state", [0, 2, 3])
async def test_the_server_never_changes_a_status(running: Zimwatch, action: int, state: int) -> None:
    await running.send([wire_event(state=state)])
    before = (await running.get(f"/v1/users/{APP_ID}/alice"))[1]
    await call(running, user_action(action, at=3))
    after = (await running.get(f"/v1/users/{APP_ID}/alice"))[1]
    for name in ("status", "since", "reason", "sessions", "last_seen_at", "unconfirmed", "platform"):
        assert after[name] == before[name]


async def test_a_user_that_only_the_server_knows_is_listed_as_not_logged_in(running: Zimwatch) -> None:
    await call(running, user_action(0, user_id="bob"))
    _, user = await running.get(f"/v1/users/{APP_ID}/bob")
    assert (user["status"], user["since"], user["sessions"]) == ("not_logged_in", None, [])
    assert user["server"]["status"] == "online"
    _, listed = await running.get("/v1/users?status=not_logged_in")
    assert [one["user_id"] for one in listed["users"]] == ["bob"]


async def test_every_encoding_is_accepted_whatever_the_content_type(running: Zimwatch) -> None:
    payload = [user_action(0, user_id=f"user-{n}") for n in range(3)]
    assert (await call(running, payload[0], "text/html"))[0] == 200
    assert (await call(running, quote(json.dumps(payload[1])), FORM))[0] == 200
    assert (await call(running, urlencode(payload[2]), FORM))[0] == 200
    _, listed = await running.get("/v1/users")
    assert {one["user_id"] for one in listed["users"]} == {"user-0", "user-1", "user-2"}


async def test_a_wrong_signature_is_refused(running: Zimwatch) -> None:
    await refused(running, user_action(0, secret="a guess"), 403, "signature")
    await refused(running, user_action(0) | {"signature": "0" * 40}, 403, "signature")


async def test_a_refusal_does_not_reveal_whether_an_app_has_a_secret(running: Zimwatch) -> None:
    answers = set()
    for appid in ("7", str(APP_ID)):
        status, answer = await call(running, user_action(0, appid=appid) | {"signature": "0" * 40})
        answers.add((status, json.dumps(answer)))
    assert len(answers) == 1
    assert next(iter(answers))[0] == 403


async def test_an_old_callback_and_one_from_the_future_are_refused(running: Zimwatch, machine: Machine) -> None:
    payload = user_action(0)
    machine.passes(301)
    await refused(running, payload, 403, "301 seconds old")
    await refused(running, user_action(0, at=301 + 61), 403, "61 seconds ahead")


async def test_a_used_timestamp_and_nonce_with_other_contents_are_refused(running: Zimwatch) -> None:
    payload = user_action(1, at=1)
    assert (await call(running, payload))[0] == 200
    await refused(running, payload | {"user_id": "mallory"}, 403, "used before")
    await refused(running, payload | {"action": 0}, 403, "used before")
    assert (await running.get(f"/v1/users/{APP_ID}/mallory"))[0] == 404


async def test_a_signature_that_came_with_something_else_first_proves_no_user_action(running: Zimwatch) -> None:
    for first in ({"event": "group_created"}, {"user_id": ""}):
        payload = user_action(0, at=2, **first)
        await call(running, payload)
        await refused(running, payload | {"event": "user_action", "user_id": "mallory"}, 403, "used before")
        assert (await call(running, payload))[0] in {200, 400}  # a retry by ZEGO gets the same response
    assert (await running.get(f"/v1/users/{APP_ID}/mallory"))[0] == 404


async def test_a_callback_is_not_decompressed_before_its_signature_is_checked(running: Zimwatch) -> None:
    packed = gzip.compress(json.dumps(user_action(0)).encode())
    async with running.http.post("/v1/callbacks/zego", data=packed, headers={"Content-Encoding": "gzip"}) as answer:
        assert answer.status == 415


async def test_a_retry_of_a_stored_callback_succeeds_and_is_stored_once(running: Zimwatch, machine: Machine) -> None:
    payload = user_action(0)
    assert await call(running, payload) == (200, {"result": "accepted"})
    for pause in (2, 4, 8, 16, 32):
        machine.passes(pause)
        assert await call(running, payload) == (200, {"result": "duplicate"})
    assert await running.store.read(log_positions.newest_position) == 1


async def test_concurrent_repeats_are_stored_once(running: Zimwatch) -> None:
    payload = user_action(0)
    answers = await asyncio.gather(*(call(running, payload) for _ in range(8)))
    assert {status for status, _ in answers} == {200}
    assert sorted(answer["result"] for _, answer in answers) == ["accepted"] + ["duplicate"] * 7
    assert await running.store.read(log_positions.newest_position) == 1


async def test_a_retry_after_a_restart_is_recognised(tmp_path: Path, machine: Machine) -> None:
    payload = user_action(0)
    async with zimwatch(tmp_path, zego=SETTINGS, machine=machine) as running:
        assert (await call(running, payload))[1] == {"result": "accepted"}
    async with zimwatch(tmp_path, zego=SETTINGS, machine=machine) as running:
        assert (await call(running, payload))[1] == {"result": "duplicate"}
        await refused(running, payload | {"action": 1}, 403, "used before")


async def test_a_callback_that_could_not_be_committed_is_stored_on_its_retry(
    running: Zimwatch, tmp_path: Path, machine: Machine
) -> None:
    payload = user_action(0)
    with closing(sqlite3.connect(tmp_path / "zimwatch.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # another program holds the database for longer than we wait
        status, answer = await call(running, payload)
        assert (status, answer["status"]) == (503, 503)
        other.execute("ROLLBACK")
    machine.passes(2)
    assert await call(running, payload) == (200, {"result": "accepted"})
    assert await running.store.read(log_positions.newest_position) == 1


async def test_without_a_secret_the_call_is_not_found(tmp_path: Path, machine: Machine) -> None:
    async with zimwatch(tmp_path, machine=machine) as running:
        await refused(running, user_action(0), 404, "zego.callback_secrets")


async def test_no_token_is_needed_as_the_signature_authenticates(running: Zimwatch) -> None:
    await new_token(running.store, "ingest")
    assert (await call(running, user_action(0)))[0] == 200
    assert (await running.get("/v1/users"))[0] == 401
    await refused(running, user_action(0, secret="a guess"), 403, "signature")


async def test_a_huge_body_is_refused(running: Zimwatch) -> None:
    await refused(running, "{" + " " * 70_000, 413, "larger than 65536")


@pytest.mark.parametrize("body", ["", "hello", "[]", "{}", "a=b", '{"appid": 1'])
async def test_a_body_that_is_no_callback_is_refused(running: Zimwatch, body: str) -> None:
    await refused(running, body, 400, "callback")


async def test_an_authentic_but_unreadable_callback_is_kept_for_inspection(running: Zimwatch) -> None:
    await refused(running, user_action(0, user_id=""), 400, "user_id")
    (kept,) = await running.store.read(rejected_events.newest, 10)
    assert "user_id" in kept.error
    assert "930821637828251648" in kept.body


async def test_another_event_of_zego_is_acknowledged_and_not_stored(running: Zimwatch) -> None:
    assert await call(running, user_action(0, event="room_logout")) == (200, {"result": "ignored"})
    assert await running.store.read(log_positions.newest_position) == 0


async def test_a_client_may_not_send_events_of_the_server(running: Zimwatch) -> None:
    event = wire_event(type="server_user_action", action="online", status="online", said_at_us=1)
    _, answer = await running.send([event])
    assert answer["accepted"] == 0
    assert "type is not one of" in answer["rejected"][0]["error"]
    assert "server_user_action" not in answer["rejected"][0]["error"]


async def test_devices_and_server_disagree_once_it_has_lasted_for_longer_than_the_lease(
    running: Zimwatch, machine: Machine
) -> None:
    # The device's clock is a day slow: the time of receipt counts, not the device's.
    await running.send([wire_event(occurred_at="2026-11-22T14:00:00Z")])
    await call(running, user_action(0))
    machine.passes(100)
    await call(running, user_action(1, at=100))
    machine.passes(45)
    _, user = await running.get(f"/v1/users/{APP_ID}/alice")
    assert user["disagreement"] is None
    machine.passes(1)
    _, user = await running.get(f"/v1/users/{APP_ID}/alice")
    assert user["disagreement"] == {
        "since": "2026-11-23T14:01:40.000Z",
        "client": "online",
        "server": "logged_out",
        "reason": "A device says that it is connected, but ZEGO's server has seen the user log out.",
    }
    _, listed = await running.get("/v1/users?disagreement=true")
    assert [one["user_id"] for one in listed["users"]] == ["alice"]
    assert (await running.get("/v1/users?disagreement=false"))[1]["users"] == []
    await running.send([wire_event(seq=2, state=0, event=0)])
    assert (await running.get(f"/v1/users/{APP_ID}/alice"))[1]["disagreement"] is None
    assert (await running.get("/v1/users?disagreement=true"))[1]["users"] == []


async def test_a_rebuild_gives_the_same_view_and_the_same_disagreement(running: Zimwatch, machine: Machine) -> None:
    await running.send([wire_event()])
    for action, at in ((0, 0), (2, 9)):
        await call(running, user_action(action, at=at))
    await call(running, user_action(0, user_id="bob", session_id="1"))
    machine.passes(60)
    before = [(await running.get(f"/v1/users/{APP_ID}/{name}"))[1] for name in ("alice", "bob")]
    assert all(user["disagreement"] for user in before)
    await running.store.rebuild()
    assert [(await running.get(f"/v1/users/{APP_ID}/{name}"))[1] for name in ("alice", "bob")] == before
