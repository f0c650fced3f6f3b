"""The same short life of the real SDK, watched by the Web tap and observed from Python, leaves the same record."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from sidecar.sdk import LoginConfig, RemoteSink, observe
from tests.conformance import watching
from tests.conformance.worlds import bridge
from tests.support.running import Zimwatch, zimwatch

SCRIPT = Path(__file__).parent / "scripts/watched-app.cjs"
# Ends some seconds after the SDK has found out that it is offline, on a busy machine too.
TOKEN_S = 12
OWN = {"position", "id", "occurred_at", "received_at", "client_id", "session_id", "user_id", "token_expires_at"}

pytestmark = pytest.mark.node


async def _watched(running: Zimwatch, network: str) -> None:
    options = {
        "endpoint": running.url,
        "appId": watching.APP,
        "userId": "alice",
        "userName": watching.NICKNAME,
        "token": watching.token04(TOKEN_S),
        "network": network,
    }
    process = await asyncio.create_subprocess_exec(
        *("node", str(SCRIPT), json.dumps(options)), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    await asyncio.wait_for(process.communicate(), watching.ENDS_WITHIN_S)


async def _observed(running: Zimwatch, network: str, folder: Path) -> None:
    async with RemoteSink(running.url, folder=folder) as sink, bridge(network) as started:
        client = started.create(watching.APP)
        observe(client, sink, app_version="1.0", device_id="conformance", heartbeat_s=0)
        out = asyncio.Event()
        client.on_connection_state_changed(lambda to: out.set() if to.state == 0 else None)
        config = LoginConfig(token=watching.token04(TOKEN_S), user_name=watching.NICKNAME, is_offline_login=True)
        await client.login("bob", config)
        await asyncio.wait_for(out.wait(), watching.ENDS_WITHIN_S)


async def _record(running: Zimwatch, user_id: str) -> list[dict[str, Any]]:
    """What is stored, oldest first, without what is each client's own; repeats of a state count once."""
    _, timeline = await running.get(f"/v1/users/{watching.APP}/{user_id}/events?limit=500")
    events = timeline["events"][::-1]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert len({event["session_id"] for event in events}) == len({event["client_id"] for event in events}) == 1
    record: list[dict[str, Any]] = []
    for event in events:
        told = {name: value for name, value in event.items() if name not in OWN | {"seq"}}
        told["has"] = sorted(name for name in OWN if event.get(name) is not None)
        if told not in record:
            record.append(told)
    return record


async def test_both_tell_the_same_of_the_same_life(tmp_path: Path) -> None:
    async with zimwatch(tmp_path) as running, watching.dead_network() as port:
        network = f"ws://127.0.0.1:{port}/"
        await asyncio.gather(_watched(running, network), _observed(running, network, tmp_path / "queue"))
        by_tap, by_observe = await _record(running, "alice"), await _record(running, "bob")
    assert by_observe[0]["type"] == by_tap[0]["type"] == "login"
    for record in (by_observe, by_tap):
        assert "RECONNECTING" in {told.get("connection_state") for told in record}
    assert by_observe[-1]["connection_event"] == by_tap[-1]["connection_event"] == "TOKEN_EXPIRED"
    # The seconds of a token depend on the moment within a second at which it was made.
    assert _sorted(by_observe) == _sorted(by_tap)


def _sorted(record: list[dict[str, Any]]) -> list[str]:
    for told in record:
        told.pop("second", None)
        if str(told.get("extended_data", "")).startswith("Token expired for timer"):
            told["extended_data"] = "Token expired for timer …"
    return sorted(json.dumps(told, sort_keys=True) for told in record)
