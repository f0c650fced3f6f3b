"""A hundred clients of the real SDK at once, each through its own life, and what they cost in memory."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

import pytest

from sidecar.clock import now_us
from sidecar.sdk import BridgeClient, LoginConfig
from sidecar.sdk.token04 import made_up
from tests.conformance.worlds import APP, Recorded, bridge

pytestmark = [pytest.mark.soak, pytest.mark.node]

CLIENTS = 100
TOKEN_S = 30
WITHIN_S = 120


def _memory_mb(pid: int | None) -> float:
    """Resident memory of a process in MB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    (kilobytes,) = [line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(kilobytes) / 1_000


async def test_a_hundred_clients_live_in_one_child_and_their_memory_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    async with bridge() as started:
        empty = _memory_mb(started.pid)
        clients = [started.create(APP) for _ in range(CLIENTS)]
        recorded = [Recorded(client) for client in clients]
        expired = [asyncio.Event() for _ in clients]

        async def life(client: BridgeClient, number: int) -> None:
            client.on_connection_state_changed(lambda to: expired[number].set() if to.state == 0 else None)
            token = made_up(now_us() + TOKEN_S * 1_000_000, Random(number))  # noqa: S311 - it is made up
            await client.login(f"alice-{number}", LoginConfig(token=token, is_offline_login=True))

        async with asyncio.timeout(WITHIN_S):
            # Once each is there: on a busy machine loading a hundred copies may take as long as a token lives.
            await asyncio.gather(*(client.logout() for client in clients))
            await asyncio.gather(*(life(client, number) for number, client in enumerate(clients)))
            full = _memory_mb(started.pid)
            await asyncio.gather(*(one.wait() for one in expired))
        after = _memory_mb(started.pid)
    each = (full - empty) / CLIENTS
    with capsys.disabled():
        print(  # noqa: T201 - its reader wants the figure
            f"\n{CLIENTS} clients in one child: {full:.0f} MB logged in ({each:.1f} MB each, {empty:.0f} MB with none),"
            f" {after:.0f} MB at the end"
        )
    for one in recorded:
        assert {state for state, _ in one.moves} == {"CONNECTED", "RECONNECTING", "DISCONNECTED"}
        assert one.moves[-1] == ("DISCONNECTED", "TOKEN_EXPIRED")
    assert full < 1_000
