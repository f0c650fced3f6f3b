"""An app sees the same of the real SDK with and without the tap, with a server and without one."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.running import zimwatch

SCRIPT = Path(__file__).parent / "scripts/app-log.cjs"
NOWHERE = "ws://127.0.0.1:9/"
ENDS_WITHIN_S = 60

pytestmark = pytest.mark.node


FAULTS = [
    "fetch throws",
    "fetch never answers",
    "fetch gives nonsense",
    "there is no fetch",
    "there is no crypto",
    "there is no clock",
    "packing throws",
    "packing never ends",
    "packing gives garbage",
    "the app's onProblem throws",
    "the folder is a file",
    "the file vanishes",
]
AT_ONCE = 4


async def app_log(endpoint: str = "", fault: str = "", **options: Any) -> list[str]:
    tap = (json.dumps({"endpoint": endpoint, "queue": False, **options}), fault) if endpoint else ()
    process = await asyncio.create_subprocess_exec(
        *("node", str(SCRIPT), NOWHERE, *tap), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    output, _ = await asyncio.wait_for(process.communicate(), ENDS_WITHIN_S)
    assert process.returncode == 0
    return output.decode().splitlines()


def without_chance(log: list[str]) -> list[str]:
    """The log without RECONNECTING, whose place among the other callbacks is random; the app itself waits for it."""
    return [line for line in log if "[3,3]" not in line]


async def test_handlers_results_rejections_throws_and_their_order_are_the_same(tmp_path: Path) -> None:
    async with zimwatch(tmp_path) as running:
        bare, tapped, in_vain = await asyncio.gather(app_log(), app_log(running.url), app_log("http://127.0.0.1:9"))
        _, answer = await running.get("/v1/users/1234/alice/events?limit=500")
    assert len(bare) > 50
    assert tapped == bare
    assert in_vain == bare

    kinds = {event["type"] for event in answer["events"]}
    assert {"login", "login_result", "logout", "token_renewed", "connection_state_changed", "api_error"} <= kinds
    # One handler of the app modifies its data.
    states = {event.get("connection_state") for event in answer["events"]} - {None}
    assert states == {"CONNECTED", "RECONNECTING", "DISCONNECTED"}


async def test_the_app_sees_the_same_whatever_fails_in_the_tap(tmp_path: Path) -> None:
    slots = asyncio.Semaphore(AT_ONCE)

    async def with_fault(fault: str) -> list[str]:
        async with slots:
            return await app_log(running.url, fault, queue=str(tmp_path / "queue"))

    async with zimwatch(tmp_path) as running:
        bare, *broken = await asyncio.gather(app_log(), *map(with_fault, FAULTS))
    for fault, seen in zip(FAULTS, broken, strict=True):
        assert without_chance(seen) == without_chance(bare), fault


async def test_a_refused_login_does_not_affect_other_logins(tmp_path: Path) -> None:
    async with zimwatch(tmp_path) as running:
        await app_log(running.url)
        _, bob = await running.get("/v1/users/1234/bob/events")
    assert [(event["type"], event.get("code")) for event in bob["events"]] == [
        ("login_result", 6000111),
        ("login", None),
    ]
