"""An edge takes 200,000 events while its centre is away, and is killed three times while it delivers them."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec
import pytest

from tests.support import process as process_support
from tests.support.edges import count, forward_token, rows, settings_of_edge
from tests.support.process import free_port, serving
from tests.support.wire import wire_event

pytestmark = pytest.mark.soak

EVENTS = int(os.environ.get("ZIMWATCH_SOAK_EVENTS", "200000"))
BATCH = 1_000
CLIENTS = 400
# How far off the clocks of the devices are, by group.
CLOCKS = (timedelta(), timedelta(hours=7), timedelta(days=-40), timedelta(minutes=3), timedelta(days=365))
KILLED = (0.2, 0.5, 0.8)
COMPARED = (
    "hex(id), type, occurred_at_us, moment_us, hex(client_id), seq, user_id, connection_state, connection_event,"
    " previous_state, previous_state_duration_us, user_status"
)
STATES = ((2, "Success"), (3, "LoginInterrupted"))


def bodies(group: int, off: timedelta) -> Iterator[bytes]:
    """Batches of a group of devices, whose events are as many minutes old as they are from the end."""
    clients = [(str(uuid.uuid4()), f"user-{group}-{at}") for at in range(CLIENTS)]
    made = EVENTS // len(CLOCKS)
    begin = datetime.now(UTC) + off - timedelta(days=2)
    for first in range(0, made, BATCH):
        batch: list[Any] = []
        for number in range(first, first + BATCH):
            client_id, user_id = clients[number % CLIENTS]
            seq = number // CLIENTS + 1
            state, event = STATES[seq % 2]
            at = (begin + timedelta(seconds=number)).isoformat()
            batch.append(
                wire_event(client_id=client_id, seq=seq, user_id=user_id, state=state, event=event, occurred_at=at)
            )
        yield msgspec.json.encode(batch)


async def send(address: str, group: int, off: timedelta) -> None:
    headers = {"Content-Type": "application/json"}
    async with aiohttp.ClientSession(headers=headers) as session:

        async def post(body: bytes) -> float:
            """0 once it is accepted, else after how long it is to be sent again."""
            sent_at = quote((datetime.now(UTC) + off).isoformat())
            async with session.post(f"{address}/v1/events?sent_at={sent_at}", data=body) as answer:
                if answer.status == HTTPStatus.SERVICE_UNAVAILABLE:
                    return float(answer.headers["Retry-After"])
                assert answer.status == HTTPStatus.OK, await answer.text()
                assert (await answer.json())["accepted"] == BATCH
                return 0

        for body in bodies(group, off):
            while (pause_s := await post(body)) > 0:  # noqa: ASYNC110 - for as long as the server says
                await asyncio.sleep(pause_s)


async def until(folder: Path, events: int) -> None:
    async with asyncio.timeout(300):
        while count(folder) < events:  # noqa: ASYNC110 - it is another process that is waited for
            await asyncio.sleep(0.1)


async def test_all_arrive_once_in_order_and_at_their_moments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # After a kill the whole file is checked before it is served.
    monkeypatch.setattr(process_support, "START_TIMEOUT_S", 120)
    edge_folder, centre_folder = tmp_path / "edge", tmp_path / "centre"
    edge_folder.mkdir()
    centre_folder.mkdir()
    port = free_port()
    settings = settings_of_edge(f"http://127.0.0.1:{port}", await forward_token(centre_folder))
    async with serving(edge_folder, settings) as (address, process):
        async with asyncio.TaskGroup() as group:
            for number, off in enumerate(CLOCKS):
                group.create_task(send(address, number, off))
        process.kill()
        await process.wait()
    assert count(edge_folder) == EVENTS
    async with serving(centre_folder, {"ZIMWATCH_RETENTION__EVENTS": "36500d"}, port=port):
        for share in KILLED:
            async with serving(edge_folder, settings) as (_, process):
                await until(centre_folder, int(EVENTS * share))
                process.kill()
                await process.wait()
        async with serving(edge_folder, settings):
            await until(centre_folder, EVENTS)
    logs = [rows(folder, f"SELECT {COMPARED} FROM events ORDER BY position") for folder in (edge_folder, centre_folder)]
    assert len(logs[1]) == EVENTS
    assert [pair for pair in zip(*logs, strict=True) if pair[0] != pair[1]][:1] == []
    of_users = "SELECT app_id, user_id, status, since_us, reason FROM user_status ORDER BY app_id, user_id"
    assert rows(edge_folder, of_users) == rows(centre_folder, of_users)
    # As far apart as on the devices, however far these were off.
    assert len({row["moment_us"] // 10**6 for row in logs[0]}) >= EVENTS // len(CLOCKS)
