"""Killed again and again while alerts fire and resolve, and the receiver fails a third of the time.

Each beginning and each end arrives at least once, nothing stays firing that has ended, and no row of the alert log says
"sent" of what the receiver did not see.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import re
import sqlite3
import uuid
from collections import defaultdict
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.called import SECRET, Called, listening
from tests.support.process import DATABASE, serving
from tests.support.wire import fresh_event

pytestmark = pytest.mark.soak

ALERTS = 1_000
KILLS = int(os.environ.get("ZIMWATCH_SOAK_KILLS", "40"))
LONGEST_LIFE_S = 1.2
SETTINGS = {
    "ZIMWATCH_ALERTS__OFF": "kick_storm",
    "ZIMWATCH_ALERTS__GROUP_ALONE": "1000000",
    "ZIMWATCH_ALERTS__MOST_PER_MINUTE": "1000000",
}


class App:
    """Users that are kicked out and log in again; a batch is repeated, as it was, until it is acknowledged."""

    def __init__(self, alerts: int = ALERTS) -> None:
        self.clients = [str(uuid.uuid4()) for _ in range(alerts)]
        self.next = 0
        self.pending: list[dict[str, Any]] = []
        self.acknowledged: set[bytes] = set()

    @property
    def is_done(self) -> bool:
        return self.next >= 2 * len(self.clients) and not self.pending

    def batch(self, count: int) -> list[dict[str, Any]]:
        if not self.pending:
            self.pending = [
                self.event(number) for number in range(self.next, min(self.next + count, 2 * len(self.clients)))
            ]
            self.next += len(self.pending)
        return self.pending

    def event(self, number: int) -> dict[str, Any]:
        """The users are kicked out in turn, and each comes back ten turns later."""
        turn, place = divmod(number, 20)
        user = turn * 10 + place % 10
        seq, state, event = (1, 0, 4) if place < 10 else (2, 2, 0)
        return fresh_event(user_id=f"user-{user}", client_id=self.clients[user], seq=seq, state=state, event=event)

    async def send(self, address: str, count: int) -> None:
        batch = self.batch(count)
        if not batch:
            return
        async with aiohttp.ClientSession() as session, session.post(f"{address}/v1/events", json=batch) as answer:
            answer.raise_for_status()
            assert (await answer.json())["rejected"] == []
        self.acknowledged |= {uuid.UUID(event["id"]).bytes for event in batch}
        self.pending = []


async def test_every_firing_and_every_resolution_arrives_however_often_it_is_killed(tmp_path: Path) -> None:
    app, hook = App(), Called()
    hook.failing(1 / 3)
    chance = random.Random(11)  # noqa: S311 - when to kill, the same every time
    async with listening(hook):
        receiver = {
            "name": "ops",
            "type": "webhook",
            "url": f"{hook.url}/hook",
            "secret": SECRET,
            "most_per_minute": 1_000_000,
        }
        settings = SETTINGS | {"ZIMWATCH_ALERTS__RECEIVERS": json.dumps([receiver])}
        for left in range(KILLS, 0, -1):
            async with serving(tmp_path, settings) as (address, process):

                async def kill(process: asyncio.subprocess.Process = process) -> None:
                    await asyncio.sleep(chance.uniform(0, LONGEST_LIFE_S))
                    process.kill()

                killing = asyncio.create_task(kill())
                share = -(-(2 * ALERTS - app.next) // left)
                with contextlib.suppress(aiohttp.ClientConnectionError, aiohttp.ClientPayloadError):
                    while not killing.done():
                        await app.send(address, max(1, share // 3))
                        await asyncio.sleep(0.1)
                await killing
                await process.wait()
        async with serving(tmp_path, settings) as (address, _process):
            while not app.is_done:
                await app.send(address, 100)

            def all_told(taken: list[dict[str, Any]]) -> bool:
                return len(taken) >= 2 * ALERTS and complete(taken) == ALERTS

            await hook.wait_for(all_told, within_s=240)
            async with aiohttp.ClientSession() as session, asyncio.timeout(300):
                while True:
                    async with session.get(f"{address}/metrics") as answer:
                        if re.search(r"^zimwatch_alert_backlog\S* 0\.0$", await answer.text(), re.MULTILINE):
                            break
                    await asyncio.sleep(0.2)
                async with session.get(f"{address}/v1/alerts?state=firing") as answer:
                    assert (await answer.json())["alerts"] == []
    assert hook.wrong == []
    with contextlib.closing(sqlite3.connect(tmp_path / DATABASE)) as database:
        sent = {row[0] for row in database.execute("SELECT public_id FROM alert_messages WHERE state = 'sent'")}
        count = database.execute("SELECT count(*) FROM alert_messages").fetchone()[0]
        firing = database.execute("SELECT count(*) FROM alerts WHERE state = 'firing'").fetchone()[0]
        notes = database.execute("SELECT what, count(*) FROM alert_notifications WHERE state = 'planned' GROUP BY what")
        assert dict(notes.fetchall()) == {"firing": ALERTS, "resolved": ALERTS}
    assert firing == 0
    assert sent <= set(hook.ids)
    assert len(sent) == count == 2 * ALERTS


def complete(taken: list[dict[str, Any]]) -> int:
    """How many alerts' beginning and end have arrived."""
    types_by_alert: dict[int, set[str]] = defaultdict(set)
    for one in taken:
        types_by_alert[one["alert"]["id"]].add(one["type"])
    return sum(types == {"alert.firing", "alert.resolved"} for types in types_by_alert.values())
