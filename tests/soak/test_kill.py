"""Killed again and again under load: nothing acknowledged is lost or stored twice, and its span arrives."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sidecar.clock import now_us
from sidecar.store import Store
from tests.support.databases import reading, url_of
from tests.support.otlp_receiver import attributes, receiving
from tests.support.process import serving
from tests.support.stores import projected

pytestmark = pytest.mark.soak

SENDERS = 4
BATCH = 50
ROUNDS = int(os.environ.get("ZIMWATCH_SOAK_ROUNDS", "200"))
# The longest that a process lives after it was ready.
LIFE_S = 0.4


class Sender:
    """One client that repeats a batch, with the same ids, until it is acknowledged."""

    def __init__(self) -> None:
        self.client_id = str(uuid.uuid4())
        self.seq = 0
        self.pending: list[dict[str, Any]] = []
        self.acknowledged: set[bytes] = set()

    def batch(self) -> list[dict[str, Any]]:
        if not self.pending:
            self.pending = [self.event() for _ in range(BATCH)]
        return self.pending

    def event(self) -> dict[str, Any]:
        self.seq += 1
        return {
            "id": str(uuid.uuid4()),
            "type": "connection_state_changed",
            "occurred_at": "2026-11-24T10:00:00Z",
            "client_id": self.client_id,
            "seq": self.seq,
            "session_id": None,
            "app_id": 1,
            "user_id": f"alice-{self.client_id}",
            "state": (2, 3)[self.seq % 2],
            "event": (0, 3)[self.seq % 2],
            "extended_data": "{}",
        }

    async def send(self, session: aiohttp.ClientSession, address: str) -> None:
        events = self.batch()
        async with session.post(f"{address}/v1/events", json=events) as response:
            response.raise_for_status()
            answer = await response.json()
        assert answer["rejected"] == []
        assert answer["accepted"] + answer["duplicates"] == len(events)
        self.acknowledged |= {uuid.UUID(event["id"]).bytes for event in events}
        self.pending = []


@contextlib.asynccontextmanager
async def until_killed() -> AsyncIterator[aiohttp.ClientSession]:
    with contextlib.suppress(aiohttp.ClientConnectionError, aiohttp.ClientPayloadError):
        async with aiohttp.ClientSession() as session:
            yield session


@pytest.mark.both_engines
async def test_what_was_acknowledged_survives_kill_9_once_and_its_span_arrives(tmp_path: Path, engine: str) -> None:
    senders = [Sender() for _ in range(SENDERS)]
    chance = random.Random(7)  # noqa: S311 - when to kill
    async with receiving() as receiver:
        settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}
        for _ in range(ROUNDS if engine == "sqlite" else ROUNDS // 8):
            async with serving(tmp_path, settings) as (address, process):

                async def work(sender: Sender, address: str = address) -> None:
                    async with until_killed() as session:
                        while True:
                            await sender.send(session, address)

                async with asyncio.TaskGroup() as group:
                    for sender in senders:
                        group.create_task(work(sender))
                    await asyncio.sleep(chance.uniform(0, LIFE_S))  # it is the moment that is random
                    process.kill()
                await process.wait()

        async with serving(tmp_path, settings) as (address, _process), aiohttp.ClientSession() as session:
            for sender in senders:
                await sender.send(session, address)
                async with session.get(f"{address}/v1/users/1/alice-{sender.client_id}") as response:
                    assert (await response.json())["status"] == ("online", "offline")[sender.seq % 2]
            acknowledged = set().union(*(sender.acknowledged for sender in senders))
            with reading(tmp_path) as database:
                if engine == "sqlite":
                    assert database.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
                stored = [row[0] for row in database.exec_driver_sql("SELECT id FROM events")]
            assert len(stored) == len(set(stored))
            assert acknowledged == set(stored)
            arrived: dict[bytes, set[bytes]] = defaultdict(set)
            seen = 0
            async with asyncio.timeout(300):
                while acknowledged - arrived.keys():
                    for span in receiver.spans[seen:]:
                        arrived[uuid.UUID(attributes(span)["zim.event.id"]).bytes].add(span.trace_id + span.span_id)
                    seen = len(receiver.spans)
                    await asyncio.sleep(0.05)
    assert {len(ids) for ids in arrived.values()} == {1}

    live = projected(tmp_path)
    store = Store.open(url_of(tmp_path), clock=now_us)
    await store.rebuild()
    await store.close()
    assert projected(tmp_path) == live
