"""``QueryUserOnlineState`` against a simulated server that checks each request against the documented shape."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sidecar.http_client import HttpClient
from sidecar.ingest.server_query import QueryFailedError, ServerQuery
from sidecar.settings import ZegoSettings
from tests.support.clocks import Machine
from tests.support.events import APP_ID
from tests.support.running import Zimwatch, zimwatch
from tests.support.wire import wire_event
from tests.support.zego import SERVER_SECRET, ZegoServer, zego_server

SECRETS = {APP_ID: (SERVER_SECRET,)}


class Asking:
    """A Zimwatch with silent users, ZEGO's stand-in, and the pauses that were made between calls."""

    def __init__(self, running: Zimwatch, zego: ZegoServer, machine: Machine, http: HttpClient) -> None:
        self.running, self.zego, self.machine = running, zego, machine
        self.pauses: list[float] = []
        self.query = ServerQuery(running.store, http, zego.url, SECRETS, machine.clock, pause=self.pause)

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)

    async def silent(self, *names: str) -> None:
        for name in names:
            client = str(uuid.uuid5(uuid.NAMESPACE_OID, name))
            await self.running.send([wire_event(user_id=name, client_id=client)])
            await self.running.send([wire_event(type="heartbeat", user_id=name, client_id=client, seq=2)])
        self.machine.passes(46)
        await self.running.store.tend()

    async def server_says(self, name: str) -> str | None:
        server = (await self.running.get(f"/v1/users/{APP_ID}/{name}"))[1]["server"]
        assert server is None or server["asked"]
        return server and str(server["status"])


@pytest.fixture
async def asking(tmp_path: Path) -> AsyncIterator[Asking]:
    machine = Machine()
    async with contextlib.AsyncExitStack() as stack:
        running = await stack.enter_async_context(zimwatch(tmp_path, machine=machine))
        zego = await stack.enter_async_context(zego_server())
        http = await stack.enter_async_context(HttpClient())
        yield Asking(running, zego, machine, http)
    assert zego.wrong == []


async def test_only_unconfirmed_users_are_queried_and_the_answer_is_the_servers_view(asking: Asking) -> None:
    await asking.silent("alice", "bob", "carol")
    await asking.running.send([wire_event(user_id="dave", client_id=str(uuid.uuid4()))])
    asking.zego.statuses = {"alice": "Online", "bob": "Offline"}
    assert await asking.query.round() == 3
    assert [sorted(users) for users in asking.zego.asked] == [["alice", "bob", "carol"]]
    assert await asking.server_says("alice") == "online"
    assert await asking.server_says("bob") == "offline"
    assert await asking.server_says("carol") == "unknown"
    assert await asking.server_says("dave") is None


async def test_only_an_answer_that_differs_is_an_event(asking: Asking) -> None:
    await asking.silent("alice")
    asking.zego.statuses = {"alice": "Online"}
    assert [await asking.query.round() for _ in range(3)] == [1, 0, 0]
    asking.machine.passes(60)
    asking.zego.statuses = {}
    assert [await asking.query.round() for _ in range(2)] == [1, 0]
    assert await asking.server_says("alice") == "unknown"
    asking.machine.passes(46)
    _, user = await asking.running.get(f"/v1/users/{APP_ID}/alice")
    assert "probably right" in user["disagreement"]["reason"]


async def test_a_hundred_users_a_call_and_a_pause_after_each(asking: Asking) -> None:
    await asking.silent(*(f"user-{number}" for number in range(250)))
    await asking.query.round()
    assert sorted(len(users) for users in asking.zego.asked) == [50, 100, 100]
    assert len({user for users in asking.zego.asked for user in users}) == 250
    assert len(asking.pauses) == 3
    assert min(asking.pauses) >= 1 / 20


async def test_a_user_id_that_zego_does_not_allow_is_skipped(asking: Asking) -> None:
    await asking.silent("alice", "断线", "x" * 33, "a/b", "!#$%&()+-:;<=.>?@[]^_{}|~")
    await asking.query.round()
    assert [sorted(users) for users in asking.zego.asked] == [["!#$%&()+-:;<=.>?@[]^_{}|~", "alice"]]


@pytest.mark.parametrize(
    ("code", "http_status", "body", "reason"),
    [
        (660000011, 200, None, "refused"),
        (0, 502, None, "502"),
        (0, 302, None, "302"),
        (0, 200, "<html>", "unreadable answer"),
        (0, 200, '{"Code": "0"}', "unreadable answer"),
    ],
)
async def test_a_failure_has_a_reason_and_records_nothing(
    asking: Asking, code: int, http_status: int, body: str | None, reason: str
) -> None:
    await asking.silent("alice")
    asking.zego.code, asking.zego.http_status, asking.zego.body = code, http_status, body
    with pytest.raises(QueryFailedError, match=reason) as caught:
        await asking.query.round()
    assert SERVER_SECRET not in str(caught.value)
    assert await asking.server_says("alice") is None


async def test_the_reason_of_a_failed_connection_has_no_signature(asking: Asking) -> None:
    await asking.silent("alice")
    asking.query._url = "http://127.0.0.1:9/"
    with pytest.raises(QueryFailedError, match="cannot be reached") as caught:
        await asking.query.round()
    assert "Signature" not in str(caught.value)


async def test_an_answer_about_another_user_is_ignored(asking: Asking) -> None:
    await asking.silent("alice")
    asking.zego.body = '{"Code":0,"Result":[{"UserId":"mallory","Status":"Online"},{"UserId":"alice","Status":"Busy"}]}'
    assert await asking.query.round() == 0
    assert (await asking.running.get(f"/v1/users/{APP_ID}/mallory"))[0] == 404


async def test_it_runs_only_with_a_secret(tmp_path: Path) -> None:
    machine = Machine()
    async with zego_server() as zego:
        zego.statuses = {"alice": "Online"}
        settings = ZegoSettings(server_secrets=(f"{APP_ID}:{SERVER_SECRET}",), server_url=zego.url, query_every="10ms")
        async with (
            zimwatch(tmp_path, zego=settings, machine=machine) as running,
            running.http.get("/v1/stream") as response,
        ):
            await running.send([wire_event()])
            await running.send([wire_event(type="heartbeat", seq=2)])
            machine.passes(46)
            async with asyncio.timeout(30):
                while b'"server":{"status":"online"' not in await response.content.readline():
                    pass
        assert zego.wrong == []
