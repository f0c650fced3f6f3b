"""Under load PostgreSQL is killed, stopped or full: nothing is lost or stored twice."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.soak.test_kill import SENDERS, Sender
from tests.support import databases, postgres
from tests.support.databases import reading
from tests.support.mounts import filled
from tests.support.process import serving

pytestmark = [pytest.mark.soak, pytest.mark.postgres]

ROUNDS = int(os.environ.get("ZIMWATCH_SOAK_ROUNDS", "200")) // 20

# A database with the tables of Zimwatch takes some 10 MB.
ROOM_BYTES = 64 << 20
# By then the server has ended the session of a process that is stopped.
ENDED_S = 9.0


async def test_what_was_acknowledged_survives_a_server_that_is_killed_under_load(tmp_path: Path) -> None:
    chance = random.Random(7)  # noqa: S311 - when to kill
    senders = [Sender() for _ in range(SENDERS)]
    with postgres.cluster() as (url, restart), databases.on(url.replace("+psycopg", ""), tmp_path):
        async with serving(tmp_path) as (address, _):
            async with sending(senders, address):
                for _ in range(ROUNDS):
                    await asyncio.sleep(chance.uniform(0.5, 3))
                    await asyncio.to_thread(restart)
            await all_is_right(senders, address, tmp_path)


async def test_another_process_serves_while_one_is_stopped_and_no_answer_is_wrong(tmp_path: Path) -> None:
    senders = [Sender() for _ in range(SENDERS)]
    with databases.engine("postgresql"):
        async with serving(tmp_path) as (first, process):
            async with sending(senders, first):
                await asyncio.sleep(1)
            process.send_signal(signal.SIGSTOP)
            try:
                async with asyncio.timeout(60), contextlib.AsyncExitStack() as stack:
                    second = await started(tmp_path, stack)
                    async with sending(senders, second):
                        await asyncio.sleep(ENDED_S)
                    process.send_signal(signal.SIGCONT)
                    for address in (second, first):
                        await all_is_right(senders, address, tmp_path)
            finally:
                process.send_signal(signal.SIGCONT)


async def test_what_was_acknowledged_survives_a_failover_to_a_standby(tmp_path: Path) -> None:
    senders = [Sender() for _ in range(SENDERS)]
    with postgres.with_standby() as (url, fail_over), databases.on(url, tmp_path):
        async with serving(tmp_path) as (address, _):
            async with sending(senders, address):
                await asyncio.sleep(2)
                await asyncio.to_thread(fail_over)
                await asyncio.sleep(2)
            await all_is_right(senders, address, tmp_path)


@pytest.mark.mount
async def test_what_was_acknowledged_survives_a_disk_that_is_full_for_a_while(tmp_path: Path) -> None:
    senders = [Sender() for _ in range(SENDERS)]
    with (
        postgres.cluster() as (url, _),
        postgres.small_tablespace(url, ROOM_BYTES) as (small, disk),
        databases.on(small, tmp_path),
    ):
        async with serving(tmp_path) as (address, _):
            async with sending(senders, address):
                await asyncio.sleep(1)
                filler = filled(disk)
                await ready_is(503, address)
                for path in ("/", "/users", "/v1/users"):
                    assert await status_of(address, path) == 200
                filler.unlink()
                await ready_is(200, address)
                await asyncio.sleep(1)
            await all_is_right(senders, address, tmp_path)


async def status_of(address: str, path: str) -> int:
    async with aiohttp.ClientSession(address) as session, session.get(path) as answer:
        return answer.status


async def ready_is(status: int, address: str) -> None:
    async with asyncio.timeout(60):
        while await status_of(address, "/readyz") != status:  # noqa: ASYNC110 - another process is waited for
            await asyncio.sleep(0.05)


async def started(folder: Path, stack: contextlib.AsyncExitStack) -> str:
    """A second process."""
    while True:
        with contextlib.suppress(RuntimeError):
            address, _ = await stack.enter_async_context(serving(folder))
            return address


@contextlib.asynccontextmanager
async def sending(senders: list[Sender], address: str) -> AsyncIterator[None]:
    """Each sends its batch again until it is acknowledged, then the next one, until the context ends."""

    async def work(sender: Sender) -> None:
        async with aiohttp.ClientSession() as session:
            while True:
                try:
                    await sender.send(session, address)
                except aiohttp.ClientResponseError as error:
                    if error.status != 503:
                        raise
                    await asyncio.sleep(0.1)

    tasks = [asyncio.create_task(work(sender)) for sender in senders]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(result, asyncio.CancelledError), result


async def all_is_right(
    senders: list[Sender], address: str, folder: Path, others: frozenset[bytes] = frozenset()
) -> None:
    """The log has what the senders and ``others`` know to be stored, each once, and each user has the right status."""
    async with aiohttp.ClientSession() as session:
        for sender in senders:
            async with asyncio.timeout(60):
                while True:
                    with contextlib.suppress(aiohttp.ClientResponseError):
                        await sender.send(session, address)
                        break
                    await asyncio.sleep(0.1)
            async with session.get(f"{address}/v1/users/1/alice-{sender.client_id}") as response:
                assert (await response.json())["status"] == ("online", "offline")[sender.seq % 2]
    with reading(folder) as database:
        stored = [row[0] for row in database.exec_driver_sql("SELECT id FROM events")]
        positions = [row[0] for row in database.exec_driver_sql("SELECT position FROM events ORDER BY position")]
    assert len(stored) == len(set(stored))
    assert others.union(*(sender.acknowledged for sender in senders)) == set(stored)
    assert positions == list(range(1, len(positions) + 1))
