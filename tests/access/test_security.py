"""Access by token and scope, origin and host, with and without a proxy."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import msgspec
import pytest

from sidecar.api import stream
from sidecar.settings import ServerSettings
from sidecar.store import log_positions
from sidecar.web import changes
from tests.support.clocks import Machine
from tests.support.running import Zimwatch, zimwatch
from tests.support.streams import streaming
from tests.support.tokens import new_token, revoke
from tests.support.wire import wire_event

APP = 1234567890


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


@pytest.mark.parametrize(
    "host", ["attacker.example", "attacker.example:8790", "127.0.0.1.attacker.example", "10.0.0.1"]
)
@pytest.mark.parametrize("path", ["/", "/v1/users", "/metrics", "/livez/", "/static/zimwatch.css"])
async def test_an_unknown_host_is_refused_against_dns_rebinding(running: Zimwatch, host: str, path: str) -> None:
    assert (await running.get(path, Host=host))[0] == 421


@pytest.mark.parametrize("kind", ["application/json", "text/plain"])
async def test_a_foreign_page_may_not_send_whatever_its_content_type(running: Zimwatch, kind: str) -> None:
    status, _ = await running.send([wire_event()], Origin="https://attacker.example", Content_Type=kind)
    assert status == 403
    assert await running.store.read(log_positions.newest_position) == 0


async def test_a_page_on_loopback_may_send_after_a_preflight(running: Zimwatch) -> None:
    origin = {"Origin": "http://localhost:5173"}
    async with running.http.options("/v1/events", headers=origin) as response:
        assert response.status == 204
        assert response.headers["Access-Control-Allow-Origin"] == origin["Origin"]
    async with running.http.post("/v1/events", json=[wire_event()], headers=origin) as response:
        assert response.status == 200
        assert response.headers["Access-Control-Allow-Origin"] == origin["Origin"]
    async with running.http.options("/v1/events", headers={"Origin": "https://attacker.example"}) as response:
        assert response.status == 403


async def test_once_there_is_a_token_every_request_needs_one(running: Zimwatch) -> None:
    assert (await running.send([wire_event()]))[0] == 200
    _, secret = await new_token(running.store, "ingest")
    assert (await running.send([wire_event()]))[0] == 401
    assert (await running.send([wire_event()], **bearer("zw_guess")))[0] == 401
    assert (await running.send([wire_event()], **bearer(secret)))[0] == 200
    assert (await running.get("/v1/users"))[0] == 401
    assert (await running.get("/livez"))[0] == 200


async def test_a_scope_permits_only_its_own_calls(running: Zimwatch) -> None:
    _, ingest = await new_token(running.store, "ingest")
    _, read = await new_token(running.store, "read")
    assert (await running.get("/v1/users", **bearer(ingest)))[0] == 403
    assert (await running.get("/v1/users", **bearer(read)))[0] == 200
    assert (await running.send([wire_event()], **bearer(read)))[0] == 403


async def test_a_revoked_token_is_refused(running: Zimwatch) -> None:
    token, secret = await new_token(running.store, "read")
    await new_token(running.store, "read")
    await revoke(running.store, token)
    assert (await running.get("/v1/users", **bearer(secret)))[0] == 401


async def test_an_expired_token_is_refused(running: Zimwatch) -> None:
    in_an_hour_us = time.time_ns() // 1000 + 3_600_000_000
    _, ended = await new_token(running.store, "read", expires_at_us=1)
    _, secret = await new_token(running.store, "read", None, in_an_hour_us)
    assert (await running.get("/v1/users", **bearer(ended)))[0] == 401
    assert (await running.get("/v1/users", **bearer(secret)))[0] == 200


async def test_a_token_of_one_app_sends_and_sees_only_that_app(running: Zimwatch) -> None:
    await running.send(
        [wire_event(), wire_event(app_id=7, user_id="bob", client_id="6b1c3c5e-2b58-4d39-9d51-0d4e1f6b7a10")]
    )
    _, ingest = await new_token(running.store, "ingest", 7)
    _, read = await new_token(running.store, "read", 7)
    status, _ = await running.send([wire_event(app_id=7), wire_event(app_id=8)], **bearer(ingest))
    assert status == 403
    assert await running.store.read(log_positions.newest_position) == 2
    _, listed = await running.get("/v1/users", **bearer(read))
    assert [user["user_id"] for user in listed["users"]] == ["bob"]
    assert (await running.get("/v1/summary", **bearer(read)))[1]["online"] == 1
    assert (await running.get(f"/v1/users/{APP}/alice", **bearer(read)))[0] == 403
    assert (await running.get(f"/v1/users?app_id={APP}", **bearer(read)))[0] == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "203.0.113.9"},
        {"X-Real-IP": "203.0.113.9"},
        {"X-Forwarded-Proto": "https"},
        {"X-Forwarded-Host": "zim.example.com"},
        {"Forwarded": "for=203.0.113.9"},
        {"Via": "1.1 proxy"},
        {"CF-Connecting-IP": "203.0.113.9"},
        {"X-Original-URI": "/v1/users"},
        {"Host": "zim.example.com"},
        {"Host": "zim.example.com:8790"},
    ],
)
@pytest.mark.parametrize("server", [ServerSettings(allowed_hosts=("zim.example.com",)), ServerSettings()])
async def test_a_forwarded_request_is_not_local(
    tmp_path: Path, server: ServerSettings, headers: dict[str, str]
) -> None:
    async with zimwatch(tmp_path, server=server) as running:
        refused = 401 if server.allowed_hosts or "Host" not in headers else 421
        assert (await running.get("/v1/users", **headers))[0] == refused
        async with running.http.post("/v1/events", json=[wire_event()], headers=headers) as response:
            assert response.status == refused
        assert (await running.get("/v1/users", Host="localhost:8790"))[0] == 200
        assert (await running.get("/v1/users"))[0] == 200


async def test_a_request_of_http_1_0_is_not_local_as_nginx_sends_such(running: Zimwatch) -> None:
    host, port = running.url.removeprefix("http://").split(":")
    for version, status in (("1.0", 401), ("1.1", 200)):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"GET /v1/users HTTP/{version}\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
        assert (await reader.readline()).split()[1] == str(status).encode()
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize(
    "server",
    [
        ServerSettings(public_url="https://zim.example.com"),
        ServerSettings(public_url="http://127.0.0.1:8790"),
        ServerSettings(trusted_proxies=("127.0.0.1",)),
    ],
)
async def test_behind_a_proxy_local_requests_need_a_token_too(tmp_path: Path, server: ServerSettings) -> None:
    async with zimwatch(tmp_path, server=server) as running:
        assert (await running.get("/v1/users"))[0] == 401
        assert (await running.send([wire_event()]))[0] == 401


@pytest.mark.parametrize("how", ["revoked", "expired"])
async def test_access_without_a_token_does_not_return_with_the_end_of_the_last_one(tmp_path: Path, how: str) -> None:
    machine = Machine()
    for start in ("first", "next"):
        async with zimwatch(tmp_path, machine=machine) as running:
            if start == "first":
                assert (await running.get("/v1/users"))[0] == 200
                token, _ = await new_token(running.store, "read", None, machine.now_us + 1_000_000)
                if how == "revoked":
                    await revoke(running.store, token)
                machine.passes(2)
            for path in ("/v1/users", "/v1/chatops"):
                assert (await running.get(path))[0] == 401
            async with running.http.post("/v1/chatops", json={"text": "top kicked"}) as response:
                assert response.status == 401


STREAMS = ["/v1/stream", "/live/users", "/live/"]


@pytest.mark.parametrize("path", STREAMS)
@pytest.mark.parametrize("how", ["revoked", "expired", "signed out", "a token is made"])
async def test_a_stream_ends_with_a_reason_when_its_access_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, how: str
) -> None:
    monkeypatch.setattr(changes, "KEEP_ALIVE_S", 0.05)
    machine = Machine()
    async with zimwatch(tmp_path, machine=machine) as running:
        headers, given = {}, {"password": ""}
        if how != "a token is made":
            token, given["password"] = await new_token(running.store, "read", None, machine.now_us + 1_000_000)
            headers = bearer(given["password"])
        if how == "signed out":
            async with running.http.post("/sign-in", data=given, allow_redirects=False) as response:
                headers = {"Cookie": response.headers["Set-Cookie"].split(";")[0]}
        async with streaming(running.http, path, headers) as opened:
            await opened.next()
            if how == "expired":
                machine.passes(1)
                reason = "the token has expired"
            elif how == "revoked":
                await revoke(running.store, token)
                reason = "the token was revoked"
            elif how == "signed out":
                async with running.http.post("/sign-out", headers=headers, allow_redirects=False):
                    reason = "you are signed out"
            else:
                await new_token(running.store, "read")
                reason = "a token is needed: Authorization: Bearer <token>"
            last = await opened.next_with("reason")
            if path != "/v1/stream":  # a page's, in its reader's language
                reason = reason[0].upper() + reason[1:]
            assert msgspec.json.decode(last.data) == {"reason": reason}
            assert await opened.response.content.read() == b""


async def test_a_stream_that_is_always_busy_ends_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "KEEP_ALIVE_S", 0.2)
    monkeypatch.setattr(stream, "TICK_S", 0.01)
    async with zimwatch(tmp_path) as running:
        _, ingest = await new_token(running.store, "ingest")
        token, secret = await new_token(running.store, "read")
        async with streaming(running.http, "/v1/stream", bearer(secret)) as opened:
            await opened.next()
            await revoke(running.store, token)
            seq = 0
            while "reason" not in (await opened.next()).data:
                seq += 1
                await running.send([wire_event(seq=seq, state=seq % 2 + 1)], **bearer(ingest))
