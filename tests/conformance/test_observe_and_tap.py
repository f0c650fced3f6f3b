"""The Web tap and the observer in Python record the same events of the same run of the real SDK."""

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
# Some seconds after the SDK detects that it is offline, also on a busy machine.
TOKEN_S = 12
OWN = {
    *("position", "id", "occurred_at", "received_at", "moment", "client_id", "session_id", "user_id"),
    *("token_expires_at", "reporter"),
}

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
    """The stored events, oldest first, without the fields that differ by client; repeats of a state count once."""
    _, timeline = await running.get(f"/v1/users/{watching.APP}/{user_id}/events?limit=500")
    events = timeline["events"][::-1]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert len({event["session_id"] for event in events}) == len({event["client_id"] for event in events}) == 1
    record: list[dict[str, Any]] = []
    for event in events:
        event_fields = {name: value for name, value in event.items() if name not in OWN | {"seq"}}
        event_fields["has"] = sorted(name for name in OWN if event.get(name) is not None)
        if event_fields not in record:
            record.append(event_fields)
    return record


async def test_both_record_the_same_events(tmp_path: Path) -> None:
    async with zimwatch(tmp_path) as running, watching.dead_network() as port:
        network = f"ws://127.0.0.1:{port}/"
        await asyncio.gather(_watched(running, network), _observed(running, network, tmp_path / "queue"))
        by_tap, by_observe = await _record(running, "alice"), await _record(running, "bob")
    assert by_observe[0]["type"] == by_tap[0]["type"] == "login"
    for record in (by_observe, by_tap):
        assert "RECONNECTING" in {event_fields.get("connection_state") for event_fields in record}
    assert by_observe[-1]["connection_event"] == by_tap[-1]["connection_event"] == "TOKEN_EXPIRED"
    # The seconds of a token depend on the fraction of the second at its creation.
    assert _sorted(by_observe) == _sorted(by_tap)


def _sorted(record: list[dict[str, Any]]) -> list[str]:
    for event_fields in record:
        event_fields.pop("second", None)
        if str(event_fields.get("extended_data", "")).startswith("Token expired for timer"):
            event_fields["extended_data"] = "Token expired for timer …"
    return sorted(json.dumps(event_fields, sort_keys=True) for event_fields in record)
