"""50,000 users are kicked out within a minute: few messages, every alert in the log, and ingest continues."""

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
STORM_S = 50
# What other users send all the while, before the storm and in it.
OTHERS = 10_000
CALM_S = 20
OTHERS_PER_S = 1_000


def bodies(clients: list[str], seq: int, state: int, event: int, name: str = "user") -> list[bytes]:
    events = [
        fresh_event(
            user_id=f"{name}-{number}",
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


async def sent(address: str, waiting: list[bytes], *, within_s: float) -> list[float]:
    """Sends it all, evenly over so many seconds, each body in its turn; how long each waited for its answer."""
    began = time.perf_counter()
    left = iter(enumerate(waiting))
    waited: list[float] = []

    async def sender(session: aiohttp.ClientSession) -> None:
        for number, body in left:
            due = began + number * within_s / len(waiting)
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            async with session.post(f"{address}/v1/events", data=body, headers=headers) as answer:
                assert answer.status == 200
                assert (await answer.json())["accepted"] == BATCH
            waited.append(time.perf_counter() - due)

    headers = {"Content-Type": "application/json"}
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        for _ in range(CONNECTIONS):
            group.create_task(sender(session))
    return waited


class Others:
    """Users outside the storm, who keep reporting that they are online."""

    def __init__(self) -> None:
        self._clients = [str(uuid.uuid4()) for _ in range(OTHERS)]
        self._seq = 0

    async def send(self, address: str, seconds: int) -> list[float]:
        """At their even pace; what each body waited for its answer."""
        made: list[bytes] = []
        while len(made) * BATCH < seconds * OTHERS_PER_S:
            self._seq += 1
            made += bodies(self._clients, self._seq, 2, 0, "other")
        return await sent(address, made, within_s=seconds)


def summary(waited: list[float]) -> str:
    ordered = sorted(waited)
    return f"p50 {ordered[len(ordered) // 2] * 1e3:.0f} ms, p99 {ordered[len(ordered) * 99 // 100] * 1e3:.0f} ms"


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
            others = Others()
            await sent(address, bodies(clients, 1, 2, 0), within_s=0)
            calm = await others.send(address, CALM_S)
            kicks = bodies(clients, 2, 0, 4)
            storm, _ = await asyncio.gather(others.send(address, STORM_S), sent(address, kicks, within_s=STORM_S))
            # All was taken at its pace, so that nothing had to wait for the end of the storm.
            assert len(storm) == STORM_S * OTHERS_PER_S // BATCH

            def says_how_many(taken: list[dict[str, Any]]) -> bool:
                return any(f"{USERS:,} users were kicked out" in json.dumps(one) for one in taken)

            def has_ended(taken: list[dict[str, Any]]) -> bool:
                return any((one["type"], one["alert"]["kind"]) == ("alert.resolved", "kick_storm") for one in taken)

            await hook.wait_for(says_how_many, within_s=120)
            await slack.wait_for(says_how_many, within_s=30)
            await hook.wait_for(has_ended, within_s=180)
            assert hook.wrong == slack.wrong == []
            assert len(hook.taken) <= AT_MOST
            assert len([one for one in slack.taken if one["method"] == "chat.postMessage"]) <= AT_MOST
            assert any("96% on SDK 2.28.0" in one["alert"]["summary"] for one in hook.taken)
            async with aiohttp.ClientSession() as session, session.get(f"{address}/v1/summary") as answer:
                assert (await answer.json())["alerts"] == {"kicked_out": USERS}
    with contextlib.closing(sqlite3.connect(tmp_path / DATABASE)) as database:
        count = database.execute("SELECT count(DISTINCT user_id) FROM alerts WHERE kind = 'kicked_out'").fetchone()[0]
    assert count == USERS
    summaries = f"before the storm: {summary(calm)}; in it: {summary(storm)}"
    print(f"\nothers were answered {summaries}; {len(hook.taken)} messages")  # noqa: T201
