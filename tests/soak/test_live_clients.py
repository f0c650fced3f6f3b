"""A hundred thousand live clients that come, leave and fall silent, also over a ``kill -9``: no lease ends early."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sqlite3
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.heartbeat_fleet import LEAVES
from tests.support.memory import rss_bytes
from tests.support.process import DATABASE, serving

pytestmark = pytest.mark.soak

CLIENTS = int(os.environ.get("ZIMWATCH_SOAK_CLIENTS", "100000"))
SECONDS = float(os.environ.get("ZIMWATCH_SOAK_SECONDS", "300"))
# So that the interval is about a fifth of all this, and leases end within it.
BUDGET = round(CLIENTS / (SECONDS / 5))
SETTINGS = {
    "ZIMWATCH_LEASES__HEARTBEATS_PER_SECOND": str(BUDGET),
    "ZIMWATCH_ALERTS__OFFLINE_TOO_LONG": "0s",
}
# What the sweep, a look at the table and a busy machine take; a heartbeat that is late; since when it was known to run.
LATE_S = 4
CRASH_S = 1 + 2


class Life(msgspec.Struct):
    """What was seen: by user, when its lease was first seen to have ended, by the time of day; and the memory."""

    lapsed_s: dict[str, float] = {}
    memory: list[int] = []
    began_s: float = 0
    killed_s: float = 0
    spawned_s: float = 0
    ready_s: float = 0


@contextlib.asynccontextmanager
async def looking(folder: Path, life: Life) -> Any:
    """Looks at the table twice a second."""

    async def look() -> None:
        while True:
            with contextlib.closing(sqlite3.connect(f"file:{folder / DATABASE}?mode=ro", uri=True)) as connection:
                rows = connection.execute("SELECT user_id FROM user_status WHERE lease_lapsed = 1").fetchall()
            now_s = time.time()
            for (user_id,) in rows:
                life.lapsed_s.setdefault(user_id, now_s)
            await asyncio.sleep(0.5)

    looks = asyncio.create_task(look())
    try:
        yield
    finally:
        looks.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await looks


async def lived(folder: Path, *, is_killed: bool) -> tuple[Life, list[dict[str, Any]]]:
    """What was seen of a fleet's life, and the clients that fell silent."""
    life = Life(began_s=time.time())
    fleet = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.heartbeat_fleet", str(CLIENTS), str(SECONDS)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert fleet.stdin is not None
    assert fleet.stdout is not None
    told: list[dict[str, Any]] = []

    async def hear() -> None:
        assert fleet.stdout is not None
        while line := await fleet.stdout.readline():
            told.append(json.loads(line))

    hearing = asyncio.create_task(hear())
    try:
        for part in range(2 if is_killed else 1):
            life.spawned_s = time.time()
            async with serving(folder, SETTINGS) as (url, process):
                life.ready_s = time.time()
                fleet.stdin.write(f"{url}\n".encode())
                async with looking(folder, life):
                    if is_killed and part == 0:
                        await asyncio.sleep(SECONDS * 0.4)
                        process.kill()
                        life.killed_s = time.time()
                        await process.wait()
                        continue
                    while fleet.returncode is None and not fleet.stdout.at_eof():
                        await asyncio.sleep(SECONDS / 20)
                        life.memory.append(rss_bytes(process.pid))
        await hearing
    finally:
        if fleet.returncode is None:
            fleet.terminate()
        await fleet.wait()
    return life, told


def check(life: Life, told: list[dict[str, Any]]) -> None:
    """No lease ended early; after a kill none an interval late, and else none late."""
    late = {client.pop("late") for client in told if "late" in client}
    told = [client for client in told if client and client["user"] not in late]
    assert len(late) < CLIENTS / 20, "the machine is too busy to send what is due"
    assert [user for user in life.lapsed_s if user.startswith("live") and user not in late] == []
    assert len(told) > CLIENTS * 0.05
    ended = 0
    interval_s = max(client["lease_s"] for client in told) / 3  # the one that was given when it was killed
    for client in told:
        earliest_s = client["sent_s"] + client["lease_s"]
        latest_s = client["acknowledged_s"] + client["lease_s"] + LATE_S
        if life.killed_s and client["acknowledged_s"] < life.killed_s < latest_s:
            earliest_s += life.spawned_s - life.killed_s
            latest_s += life.ready_s - life.killed_s + interval_s + CRASH_S
        seen_s = life.lapsed_s.get(client["user"])
        if seen_s is None:
            assert latest_s > life.began_s + SECONDS - 2, (client, "never")
            continue
        ended += 1
        assert earliest_s - 0.1 <= seen_s <= latest_s, (client, seen_s - earliest_s, seen_s - latest_s)
    assert ended > len(told) / 5
    assert set(life.lapsed_s) - late <= {client["user"] for client in told}


async def test_no_client_of_very_many_is_unconfirmed_early_or_late_and_the_memory_is_flat(tmp_path: Path) -> None:
    life, told = await lived(tmp_path, is_killed=False)
    check(life, told)
    half = len(life.memory) // 2
    assert max(life.memory[half:]) < max(life.memory[:half]) * 1.1 + LEAVES * CLIENTS * 500


async def test_after_a_kill_no_lease_ends_early_and_none_is_an_interval_late(tmp_path: Path) -> None:
    check(*await lived(tmp_path, is_killed=True))
