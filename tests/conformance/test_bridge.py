"""The real SDK from Python: a login observed by a server, and processes that are killed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from sidecar.clock import now_us
from sidecar.sdk import Bridge, LoginConfig, RemoteSink, SdkLost, SdkLostError, SdkUnavailableError, ZimError, observe
from sidecar.sdk.client.install import Installed
from sidecar.sdk.token04 import made_up
from tests.conformance import watching
from tests.conformance.worlds import Recorded, bridge
from tests.support.process import DATABASE, serving

NODE = Path(__file__).parents[2] / "sidecar/sdk/node"
WITHIN_S = 20

pytestmark = pytest.mark.node


def _login(seconds: int, *, offline: bool = True) -> LoginConfig:
    made = made_up(now_us() + seconds * 1_000_000, Random(1))  # noqa: S311 - it is made up
    return LoginConfig(token=made, user_name=watching.NICKNAME, is_offline_login=offline)


@pytest.fixture
async def started() -> AsyncIterator[Bridge]:
    async with bridge() as started:
        yield started


async def test_callbacks_from_login_to_expiry_reach_the_server_verbatim(tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    async with (
        serving(tmp_path / "server") as (address, _),
        watching.dead_network() as port,
        RemoteSink(address, folder=tmp_path / "queue") as sink,
        bridge(f"ws://127.0.0.1:{port}/") as started,
    ):
        client = started.create(watching.APP)
        assert client.sdk_version == "2.29.0"
        recorded = Recorded(client)
        observe(client, sink, app_version="1.0", device_id="conformance")
        seen = asyncio.create_task(watching.statuses(address))
        config = _login(8)
        await client.login(watching.USER, config)
        statuses = [(status, reason) for status, reason, _ in await seen]
        with pytest.raises(ZimError) as refused:
            await client.call("query_users_info", ["bob"], {"isQueryFromServer": True})
        assert refused.value.code == 6_000_121
        assert await sink.flush(WITHIN_S) == 0
    assert statuses[-3:] == [
        ("online", "SUCCESS"),
        ("offline", "LOGIN_INTERRUPTED"),
        ("not_logged_in", "TOKEN_EXPIRED"),
    ]
    _check_rows(tmp_path / "server", recorded, config.token)


def _check_rows(folder: Path, recorded: Recorded, token: str) -> None:
    with contextlib.closing(sqlite3.connect(folder / DATABASE)) as database:
        database.row_factory = sqlite3.Row
        rows = database.execute("SELECT * FROM events ORDER BY position").fetchall()
    moves = [row for row in rows if row["type"] == "connection_state_changed"]
    assert [(row["connection_state"], row["connection_event"]) for row in moves] == recorded.moves
    assert [row["extended_data"] for row in moves] == recorded.extended
    others = [row["type"] for row in rows if row["type"] != "connection_state_changed"]
    assert sorted(others) == ["api_error", "login", "login_result", "token_will_expire"]
    assert rows[0]["type"] == "login"
    assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
    assert len({row["client_id"] for row in rows}) == len({row["session_id"] for row in rows}) == 1
    error = next(json.loads(row["details"]) for row in rows if row["type"] == "api_error")
    assert (error["method"], error["code"]) == ("queryUsersInfo", 6_000_121)
    on_disk = b"".join(file.read_bytes() for file in folder.glob(f"{DATABASE}*") if file.suffix != ".lock")
    assert token[20:60].encode() not in on_disk
    assert watching.NICKNAME.encode() not in on_disk


async def test_a_killed_child_is_reported_restarted_and_usable_again(started: Bridge) -> None:
    alice, bob = started.create(1), started.create(1)
    lost: list[tuple[str, SdkLost]] = []
    was_lost = asyncio.Event()
    alice.on_sdk_lost(lambda what: lost.append(("alice", what)))
    bob.on_sdk_lost(lambda what: lost.append(("bob", what)))
    bob.on_sdk_lost(lambda _what: was_lost.set())
    await bob.login("bob", _login(600))
    pending = asyncio.create_task(alice.login("alice", _login(600, offline=False)))
    reconnecting = asyncio.Event()
    alice.on_connection_state_changed(lambda _to: reconnecting.set())
    async with asyncio.timeout(WITHIN_S):
        await reconnecting.wait()
        before = started.pid
        assert before is not None
        os.kill(before, signal.SIGKILL)
        with pytest.raises(SdkLostError, match="SIGKILL"):
            await pending
        await was_lost.wait()
        assert [who for who, _ in lost] == ["alice", "bob"]
        assert "SIGKILL" in lost[0][1].reason
        await bob.login("bob", _login(600))
        assert started.pid not in {None, before}
        with pytest.raises(ZimError) as refused:
            await alice.renew_token(_login(600).token)
    assert refused.value.code == 6_000_121


async def test_an_observed_client_continues_with_a_new_session_after_its_child_was_killed(
    started: Bridge, tmp_path: Path
) -> None:
    async with RemoteSink("http://127.0.0.1:9", folder=tmp_path) as sink:
        client = started.create(1)
        lost = asyncio.Event()
        client.on_sdk_lost(lambda _lost: lost.set())
        end = observe(client, sink)
        await client.login("alice", _login(600))
        assert started.pid is not None
        os.kill(started.pid, signal.SIGKILL)
        async with asyncio.timeout(WITHIN_S):
            await lost.wait()
            await client.login("alice", _login(600))
        end()
        await client.logout()
        waiting = [json.loads(body) for _, body in sink._queue.oldest(1_000, 1 << 20)]
    logins = [event for event in waiting if event["type"] == "login"]
    assert len({event["session_id"] for event in logins}) == 2
    assert len({event["client_id"] for event in waiting}) == 1
    assert [event["seq"] for event in waiting] == list(range(1, len(waiting) + 1))
    assert waiting[-1]["type"] != "logout"


async def test_the_child_ends_with_its_parent_however_that_ends() -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.orphan", stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    async with asyncio.timeout(WITHIN_S):
        pid = int(await parent.stdout.readline())
        assert await _runs(pid)
        assert os.getpgid(pid) == pid
        parent.kill()
        await parent.wait()

    async def gone() -> bool:
        return not await _runs(pid)

    await watching.eventually(gone, WITHIN_S)


async def _runs(pid: int) -> bool:
    """Whether the process exists and is not a zombie."""
    process = await asyncio.create_subprocess_exec("ps", "-o", "stat=", "-p", str(pid), stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    return bool(output.strip()) and not output.startswith(b"Z")


async def test_clients_in_one_child_are_independent(started: Bridge) -> None:
    clients = [started.create(1) for _ in range(3)]
    recorded = [Recorded(client) for client in clients]
    users = ("alice", "bob", "carol")
    await asyncio.gather(*(client.login(user, _login(600)) for client, user in zip(clients, users, strict=True)))
    await clients[0].logout()
    assert recorded[0].moves[-1] == ("DISCONNECTED", "SUCCESS")
    assert all(("DISCONNECTED", "SUCCESS") not in other.moves for other in recorded[1:])
    await clients[1].destroy()
    with pytest.raises(SdkLostError):
        await clients[1].logout()
    await clients[2].logout()
    assert recorded[2].moves[-1] == ("DISCONNECTED", "SUCCESS")


@pytest.mark.parametrize("method", ["no_such", "on", "off", "destroy", "constructor", "__proto__"])
async def test_a_method_that_apps_may_not_call_is_named(started: Bridge, method: str) -> None:
    with pytest.raises(ZimError, match="ZIM has no method") as refused:
        await started.create(1).call(method)
    assert refused.value.code == -1


async def test_arguments_arrive_unchanged(started: Bridge) -> None:
    for user_id in ("a\nb", '"\\', "小林\u2028🙂", "x" * 200_000):
        client = started.create(1)
        recorded = Recorded(client)
        await client.login(user_id, _login(600))
        await client.login(user_id, _login(600))  # any other would be refused
        assert ("CONNECTED", "SUCCESS") in recorded.moves


async def test_an_sdk_that_does_not_load_is_reported_with_the_reason(tmp_path: Path) -> None:
    node = tmp_path / "node"
    node.write_text("#!/bin/sh\necho 'Error: Cannot find module zego-zim-web' >&2\nexit 1\n", encoding="utf-8")
    node.chmod(0o755)
    with pytest.raises(SdkUnavailableError, match=r"does not start: .*Cannot find module zego-zim-web"):
        await Bridge(Installed(str(node), tmp_path), network=None, environ={}).start()


async def test_without_a_network_argument_the_sdk_calls_its_own_servers() -> None:
    """Shown by the child's WebSocket alone, because a test must not call the SDK's servers."""
    script = """
    const { loadZim } = require("./zim-environment.cjs");
    const { WebSocketServer } = require("ws");
    const server = new WebSocketServer({ host: "127.0.0.1", port: 0 }, () => {
      loadZim({ address: null });
      new WebSocket(`ws://127.0.0.1:${server.address().port}/here`);
    });
    server.on("connection", (socket, request) => {
      process.stdout.write(request.url);
      process.exit(0);
    });
    """
    process = await asyncio.create_subprocess_exec("node", "-e", script, cwd=NODE, stdout=asyncio.subprocess.PIPE)
    output, _ = await asyncio.wait_for(process.communicate(), WITHIN_S)
    assert output == b"/here"


async def test_an_unknown_callback_of_a_later_sdk_is_an_error_and_ends_no_client(started: Bridge) -> None:
    client = started.create(1)
    errors: list[str] = []
    client.on_error(lambda error: errors.append(error.message))
    recorded = Recorded(client)
    client.handle({"callback": "connectionStateChanged", "data": {"state": {"name": "later"}, "event": 0}})
    assert "connectionStateChanged has an unknown shape" in errors[0]
    await client.login("alice", _login(600))
    assert ("CONNECTED", "SUCCESS") in recorded.moves


async def test_every_call_of_an_instance_that_could_not_be_created_fails_with_the_reason(started: Bridge) -> None:
    client = started.create(0)
    for _ in range(2):
        with pytest.raises(ZimError, match="Invalid AppID") as refused:
            await client.login("alice", _login(600))
        assert refused.value.code == 6_000_003
