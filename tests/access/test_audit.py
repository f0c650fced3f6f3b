"""What people do is in the audit log: who, what, to whom, from where."""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa

from sidecar.store.access import audit_check, audit_log
from sidecar.store.access.audit_check import Verified
from tests.access.test_sign_in import browser, signed_in
from tests.support.audited import Look, looks
from tests.support.events import APP_ID
from tests.support.running import Zimwatch
from tests.support.streams import streaming
from tests.support.tokens import new_token
from tests.support.wire import fresh_event, wire_event

ALICE = f"{APP_ID}/alice"
PAGE = f"/users/{ALICE}"


@pytest.fixture(autouse=True)
async def _with_alice(running: Zimwatch) -> None:
    status, _ = await running.send([wire_event(user_id="alice")])
    assert status == 200


async def got(running: Zimwatch, path: str, **headers: str) -> int:
    async with running.http.get(path, headers=headers, allow_redirects=False) as response:
        await response.read()
        return response.status


async def test_each_look_at_users_is_recorded(running: Zimwatch) -> None:
    for path in (PAGE, f"/v1{PAGE}", f"/v1{PAGE}/events", f"{PAGE}?hand_off=1h", "/users?q=ali", "/v1/users?q=ali"):
        assert await got(running, path) == 200
    for path in ("/users?ids=alice,bob&status=online", "/users.csv?q=al", "/alerts", "/rejected", "/", "/settings"):
        assert await got(running, path) == 200
    for path in ("/v1/alerts/7", f"/v1/users/{APP_ID}/nobody"):
        assert await got(running, path) == 404
    for path in ("/findings", "/wall", "/metrics", "/livez", "/v1/summary"):
        assert await got(running, path) == 200
    found = await looks(running)
    assert {one.actor for one in found} == {"local"}
    nobody = found.pop()
    assert (nobody.action, nobody.details) == ("user.seen", {"status": 404})
    assert re.fullmatch("user [0-9a-f]{32}", nobody.about or "")
    bob = found.pop(7)
    assert (bob.action, (bob.about or "")[:7]) == ("users.searched", "search ")
    assert [(one.action, one.about, one.details) for one in found] == [
        ("user.seen", ALICE, {}),
        ("user.seen", ALICE, {}),
        ("user.seen", ALICE, {}),
        ("hand_off.made", ALICE, {}),
        ("users.searched", "search ali", {}),
        ("users.searched", "search ali", {}),
        ("users.searched", "search alice", {"filters": "status"}),
        ("users.exported", "search al", {}),
        ("alerts.listed", None, {}),
        ("rejected.listed", None, {}),
        ("overview.seen", None, {}),
        ("settings.seen", None, {}),
        ("alert.seen", "alert 7", {"status": 404}),
    ]


async def test_a_stream_is_recorded_once_as_it_begins(running: Zimwatch) -> None:
    async with streaming(running.http, f"/live{PAGE}"), streaming(running.http, f"/v1/stream?app_id={APP_ID}"):
        await running.send([wire_event(user_id="alice", state="RECONNECTING", event="LOGIN_INTERRUPTED", seq=2)])
        found = await looks(running)
    assert sorted((one.action, one.about) for one in found) == [("stream.opened", None), ("user.seen", ALICE)]
    assert len(await looks(running)) == 2


async def test_a_change_is_recorded_with_its_effect_and_what_changes_nothing_is_not(running: Zimwatch) -> None:
    await running.send([fresh_event(user_id="alice", state="DISCONNECTED", event="KICKED_OUT")])
    silence = {"matchers": {"user_id": "alice"}, "reason": "a test", "duration": "1h", "author": "dana"}
    watch = {"app_id": APP_ID, "user_id": "alice", "duration": "1h"}
    for path, body in (
        ("/v1/alerts/1/ack", {"author": "dana"}),
        ("/v1/alerts/99/ack", {}),
        ("/v1/silences?dry_run=1", silence),
        ("/v1/silences", silence),
        ("/v1/silences", {**silence, "reason": ""}),
        ("/v1/watches", watch),
        ("/v1/chatops", {"text": "status alice", "user": "dana"}),
        ("/v1/chatops", {"text": "silence alice 1h because of a test", "user": "dana"}),
    ):
        async with running.http.post(path, json=body):
            pass
    for path in ("/v1/silences/1", "/v1/silences/1", "/v1/watches/1"):
        async with running.http.delete(path):
            pass
    assert [(one.actor, one.action, one.about, one.details) for one in await looks(running)] == [
        ("local", "alert.acknowledged", "alert 1", {}),
        ("local", "silence.made", "silence 1", {}),
        ("local", "watch.made", ALICE, {}),
        ("dana", "chat.command", "search alice", {"command": "status"}),
        ("dana", "silence.made", "silence 2", {"command": "silence"}),
        ("local", "silence.ended", "silence 1", {}),
        ("local", "watch.ended", ALICE, {}),
    ]


async def test_signing_in_and_out_and_what_is_refused_are_recorded(running: Zimwatch) -> None:
    token, secret = await new_token(running.store, "read", app_id=APP_ID)
    async with browser(running) as person:
        assert (await signed_in(person, "guessed", name="mallory")).status == 401
        assert (await signed_in(person, secret, name="dana")).status == 303
        assert await got(person, f"/users/{APP_ID + 1}/alice") == 403
        async with person.http.post("/sign-out", allow_redirects=False) as response:
            assert response.status == 303
        async with person.http.post("/sign-out", allow_redirects=False) as response:
            assert response.status == 303
        assert await got(person, PAGE) in {303, 401}
    for _ in range(3):
        assert await got(running, PAGE, Authorization="Bearer zw_guessed") == 401
    dana = f"dana, by token {token.id}"
    sign_in = {"status": 401, "route": "/sign-in"}
    found = await looks(running)
    other = found.pop(2)
    assert (other.actor, other.action) == (dana, "request.refused")
    assert other.details == {"status": 403, "route": "/users/{app_id}/{user_id}"}
    assert found == [
        Look("not signed in", "request.refused", None, sign_in),
        Look(dana, "session.begun", None, {}),
        Look(dana, "session.ended", None, {}),
        Look("not signed in", "request.refused", ALICE, {"status": 401, "route": "/users/{app_id}/{user_id}"}),
    ], "the other two with a guessed token are counted in an entry at the end of the window"


async def test_who_may_not_do_something_is_named_where_that_is_refused(running: Zimwatch) -> None:
    token, secret = await new_token(running.store, "read")
    async with running.http.post("/v1/silences", json={}, headers={"Authorization": f"Bearer {secret}"}) as response:
        assert response.status == 403
    assert await looks(running) == [
        Look(f"token {token.id}", "request.refused", None, {"status": 403, "route": "/v1/silences"})
    ]


async def test_each_answer_has_the_id_of_its_request_which_is_in_the_log(running: Zimwatch) -> None:
    async with running.http.get(PAGE, headers={"X-Request-Id": "from-the-proxy-1"}) as response:
        assert response.headers["X-Request-Id"] == "from-the-proxy-1"
    async with running.http.get(PAGE, headers={"X-Request-Id": "not an id\t<"}) as response:
        made = response.headers["X-Request-Id"]
        assert re.fullmatch("[0-9a-f]{16}", made)
    await looks(running)

    def ids(connection: sa.Connection) -> list[tuple[str, str]]:
        return [
            tuple(row) for row in connection.exec_driver_sql("SELECT request_id, address FROM audit_log ORDER BY id")
        ]

    assert await running.store.read(ids) == [("from-the-proxy-1", "127.0.0.1"), (made, "127.0.0.1")]


async def test_what_is_recorded_holds(running: Zimwatch) -> None:
    for _ in range(30):
        await got(running, PAGE)
    assert len(await looks(running)) == 30
    head = await running.store.read(audit_log.head)
    assert isinstance(await running.store.read(audit_check.verify, str(head)), Verified)


async def test_the_log_is_read_on_a_page_by_a_call_and_in_exports_with_filters(running: Zimwatch) -> None:
    await got(running, PAGE)
    await got(running, "/users?q=ali")
    await got(running, "/alerts")
    await looks(running)
    _, all_of_it = await running.get("/v1/audit")
    assert [one["action"] for one in all_of_it["entries"]] == ["alerts.listed", "users.searched", "user.seen"]
    assert all_of_it["head"]["hash"] == all_of_it["entries"][0]["hash"]
    for query, count in (
        (f"app_id={APP_ID}&user_id=alice", 1),
        ("user_id=ali", 1),
        ("action=alerts.listed", 1),
        ("actor=LOC&address=127.0.0.1", 3),
        ("actor=%25", 0),
        ("until=2026-01-01T00:00:00Z", 0),
    ):
        _, found = await running.get(f"/v1/audit?{query}")
        assert len([one for one in found["entries"] if not one["action"].startswith("audit.")]) == count, query
    _, first = await running.get("/v1/audit?limit=1&action=user.seen")
    assert (first["entries"][0]["user_id"], first["entries"][0]["searched"]) == ("alice", None)
    assert (await running.get("/v1/audit?action=nothing"))[0] == 400
    async with running.http.get(f"/audit?app_id={APP_ID}&user_id=alice") as response:
        text = await response.text()
        assert response.status == 200
        assert f'href="/users/{APP_ID}/alice"' in text
        assert "looked at a user" in text
        assert "listed alerts</td>" not in text
    seen = next(one for one in all_of_it["entries"] if one["action"] == "user.seen")
    assert f'href="/audit?request_id={seen["request_id"]}"' in text
    async with running.http.get(f"/audit?request_id={seen['request_id']}") as response:
        text = await response.text()
        assert text.count('<tr id="row-') == 1
    await got(running, f"/users?app_id={APP_ID}&status=online")
    await looks(running)
    async with running.http.get("/audit?action=users.listed") as response:
        text = await response.text()
        assert f"app {APP_ID}, filtered by status" in text
        assert "{&" not in text
    async with running.http.get("/audit?from=nonsense") as response:
        assert response.status == 400
    async with running.http.get("/audit.csv?action=user.seen") as response:
        lines = (await response.text()).splitlines()
        assert lines[0].startswith("id,at,actor,action,subject")
        assert len(lines) == 2
    async with running.http.get("/audit.json?action=user.seen") as response:
        assert [one["user_id"] for one in (await response.json())["entries"]] == ["alice"]
    actions = [one.action for one in await looks(running)]
    assert (actions.count("audit.exported"), "audit.seen" in actions) == (2, True)


async def test_the_log_is_for_administrators_alone(running: Zimwatch) -> None:
    _, secret = await new_token(running.store, "write")
    for path in ("/audit", "/audit.csv", "/audit.json", "/v1/audit", "/live/audit"):
        assert await got(running, path, Authorization=f"Bearer {secret}") == 403
