"""Who may come in, and from where."""

from __future__ import annotations

import base64
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.running import Zimwatch, zimwatch
from tests.support.wire import wire_event

APP = 1234567890


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Zimwatch]:
    async with zimwatch(tmp_path) as running:
        yield running


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


@pytest.mark.parametrize(
    "host", ["attacker.example", "attacker.example:8790", "127.0.0.1.attacker.example", "10.0.0.1"]
)
@pytest.mark.parametrize("path", ["/", "/v1/users", "/livez"])
async def test_a_name_that_is_not_ours_is_refused_so_that_dns_rebinding_gets_nothing(
    running: Zimwatch, host: str, path: str
) -> None:
    assert (await running.get(path, Host=host))[0] == 421


@pytest.mark.parametrize("kind", ["application/json", "text/plain"])
async def test_a_strangers_page_may_not_send_whatever_its_content_type(running: Zimwatch, kind: str) -> None:
    status, _ = await running.send([wire_event()], Origin="https://attacker.example", Content_Type=kind)
    assert status == 403
    assert await running.store.position() == 0


async def test_a_page_on_loopback_may_send_and_asks_first(running: Zimwatch) -> None:
    origin = {"Origin": "http://localhost:5173"}
    async with running.http.options("/v1/events", headers=origin) as response:
        assert response.status == 204
        assert response.headers["Access-Control-Allow-Origin"] == origin["Origin"]
    async with running.http.post("/v1/events", json=[wire_event()], headers=origin) as response:
        assert response.status == 200
        assert response.headers["Access-Control-Allow-Origin"] == origin["Origin"]
    async with running.http.options("/v1/events", headers={"Origin": "https://attacker.example"}) as response:
        assert response.status == 403


async def test_once_there_is_a_token_everybody_is_asked_for_one(running: Zimwatch) -> None:
    assert (await running.send([wire_event()]))[0] == 200
    _, secret = await running.store.create_token("ingest", None, None)
    assert (await running.send([wire_event()]))[0] == 401
    assert (await running.send([wire_event()], **bearer("zw_guess")))[0] == 401
    assert (await running.send([wire_event()], **bearer(secret)))[0] == 200
    assert (await running.get("/v1/users"))[0] == 401
    assert (await running.get("/livez"))[0] == 200


async def test_a_scope_opens_its_own_calls_alone(running: Zimwatch) -> None:
    _, ingest = await running.store.create_token("ingest", None, None)
    _, read = await running.store.create_token("read", None, None)
    assert (await running.get("/v1/users", **bearer(ingest)))[0] == 403
    assert (await running.get("/v1/users", **bearer(read)))[0] == 200
    assert (await running.send([wire_event()], **bearer(read)))[0] == 403


async def test_a_revoked_token_opens_nothing(running: Zimwatch) -> None:
    token, secret = await running.store.create_token("read", None, None)
    await running.store.create_token("read", None, None)
    await running.store.revoke_token(token.id)
    assert (await running.get("/v1/users", **bearer(secret)))[0] == 401


async def test_a_token_that_has_ended_opens_nothing(running: Zimwatch) -> None:
    in_an_hour_us = time.time_ns() // 1000 + 3_600_000_000
    _, ended = await running.store.create_token("read", None, expires_at_us=1)
    _, secret = await running.store.create_token("read", None, in_an_hour_us)
    assert (await running.get("/v1/users", **bearer(ended)))[0] == 401
    assert (await running.get("/v1/users", **bearer(secret)))[0] == 200


async def test_a_token_of_one_app_sends_and_sees_that_app_alone(running: Zimwatch) -> None:
    await running.send(
        [wire_event(), wire_event(app_id=7, user_id="bob", client_id="6b1c3c5e-2b58-4d39-9d51-0d4e1f6b7a10")]
    )
    _, ingest = await running.store.create_token("ingest", 7, None)
    _, read = await running.store.create_token("read", 7, None)
    status, _ = await running.send([wire_event(app_id=7), wire_event(app_id=8)], **bearer(ingest))
    assert status == 403
    assert await running.store.position() == 2
    _, listed = await running.get("/v1/users", **bearer(read))
    assert [user["user_id"] for user in listed["users"]] == ["bob"]
    assert (await running.get("/v1/summary", **bearer(read)))[1]["online"] == 1
    assert (await running.get(f"/v1/users/{APP}/alice", **bearer(read)))[0] == 403
    assert (await running.get(f"/v1/users?app_id={APP}", **bearer(read)))[0] == 403


async def test_a_browser_is_asked_for_the_token_and_may_give_it_as_a_password(running: Zimwatch) -> None:
    _, secret = await running.store.create_token("read", None, None)
    async with running.http.get("/") as response:
        assert response.status == 401
        assert "Basic" in response.headers["WWW-Authenticate"]
    basic = "Basic " + base64.b64encode(f":{secret}".encode()).decode()
    async with running.http.get("/", headers={"Authorization": basic}) as response:
        assert response.status == 200


async def test_a_request_that_was_forwarded_is_not_local(running: Zimwatch) -> None:
    assert (await running.get("/v1/users", **{"X-Forwarded-For": "203.0.113.9"}))[0] == 401
