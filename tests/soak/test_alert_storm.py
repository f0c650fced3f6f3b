"""50,000 users are kicked out within a minute: few messages, every alert in the ledger, and ingest goes on as fast."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import time
import uuid
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.called import SECRET, Called, Slack, listening
from tests.support.process import DATABASE, serving
from tests.support.wire import fresh_event

pytestmark = pytest.mark.soak

USERS = 50_000
BATCH = 100
CONNECTIONS = 8
AT_MOST = 5


def bodies(clients: list[str], seq: int, state: int, event: int) -> list[bytes]:
    events = [
        fresh_event(
            user_id=f"user-{number}",
            client_id=client,
            seq=seq,
            state=state,
            event=event,
            platform="Android",
            sdk={"name": "zim-android", "version": "2.28.0" if number % 25 else "2.29.0"},
        )
        for number, client in enumerate(clients)
    ]
    return [json.dumps(events[start : start + BATCH]).encode() for start in range(0, len(events), BATCH)]


async def sent(address: str, waiting: list[bytes]) -> float:
    """Sends it all; how many seconds that took."""
    left = iter(waiting)

    async def sender(session: aiohttp.ClientSession) -> None:
        for body in left:
            async with session.post(f"{address}/v1/events", data=body, headers=headers) as answer:
                assert answer.status == 200
                assert (await answer.json())["accepted"] == BATCH

    headers = {"Content-Type": "application/json"}
    began = time.perf_counter()
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        for _ in range(CONNECTIONS):
            group.create_task(sender(session))
    return time.perf_counter() - began


async def test_50000_kicks_in_a_minute_are_few_messages_and_50000_alerts(tmp_path: Path) -> None:
    clients = [str(uuid.uuid4()) for _ in range(USERS)]
    hook, slack = Called(), Slack()
    async with listening(hook), listening(slack):
        receivers: list[dict[str, Any]] = [
            {"name": "ops", "type": "webhook", "url": f"{hook.url}/hook", "secret": SECRET},
            {"name": "chat", "type": "slack", "token": "xoxb-1234", "channel": "zim", "url": f"{slack.url}/api/"},
        ]
        settings = {"ZIMWATCH_ALERTS__RECEIVERS": json.dumps(receivers), "ZIMWATCH_ALERTS__GROUP_WAIT": "0s"}
        async with serving(tmp_path, settings) as (address, _process):
            calm_s = await sent(address, bodies(clients, 1, 2, 0))
            storm_s = await sent(address, bodies(clients, 2, 0, 4))
            assert storm_s < 60

            def says_how_many(taken: list[dict[str, Any]]) -> bool:
                return any(f"{USERS:,} users were kicked out" in json.dumps(one) for one in taken)

            await hook.wait_for(says_how_many, within_s=120)
            await slack.wait_for(says_how_many, within_s=30)
            await hook.wait_for(lambda taken: taken[-1]["type"] == "alert.resolved", within_s=180)
            assert hook.wrong == slack.wrong == []
            assert len(hook.taken) <= AT_MOST
            assert len([one for one in slack.taken if one["method"] == "chat.postMessage"]) <= AT_MOST
            assert any("96% on SDK 2.28.0" in one["alert"]["summary"] for one in hook.taken)
            async with aiohttp.ClientSession() as session, session.get(f"{address}/v1/summary") as answer:
                assert (await answer.json())["alerts"] == {"kicked_out": USERS}
    with contextlib.closing(sqlite3.connect(tmp_path / DATABASE)) as database:
        count = database.execute("SELECT count(DISTINCT user_id) FROM alerts WHERE kind = 'kicked_out'").fetchone()[0]
    assert count == USERS
    print(f"\n{USERS / calm_s:,.0f} events/s before, {USERS / storm_s:,.0f} in the storm; {len(hook.taken)} messages")  # noqa: T201
