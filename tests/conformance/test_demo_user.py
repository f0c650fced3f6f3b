"""The demo's real client: it runs until its token expires, logs in again, and stops."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from sidecar.clock import now_us
from sidecar.demo import real_sdk
from tests.conformance.watching import eventually
from tests.support.running import zimwatch

pytestmark = pytest.mark.node


async def test_it_runs_until_its_token_expires_and_logs_in_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(real_sdk, "TOKEN_US", 4_000_000)
    monkeypatch.setattr(real_sdk, "AWAY_S", 0.1)
    async with zimwatch(tmp_path) as running:
        life = asyncio.create_task(
            real_sdk.live(
                running.url, app_id=1, user_id="alice", folder=tmp_path / "queue", clock=now_us, environ=os.environ
            )
        )

        async def twice() -> bool:
            _, timeline = await running.get("/v1/users/1/alice/events")
            kinds = [event["type"] for event in timeline.get("events", [])]
            return kinds.count("login") == 2

        await eventually(twice)
        life.cancel()
        await asyncio.gather(life, return_exceptions=True)
        _, timeline = await running.get("/v1/users/1/alice/events")
    seen = {(event.get("connection_state"), event.get("connection_event")) for event in timeline["events"]}
    assert {
        ("CONNECTED", "SUCCESS"),
        ("RECONNECTING", "LOGIN_INTERRUPTED"),
        ("DISCONNECTED", "TOKEN_EXPIRED"),
    } <= seen
