"""PgBouncer before PostgreSQL: one that keeps a session for each connection works, and others are refused."""

from __future__ import annotations

import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
import sqlalchemy as sa

from sidecar.errors import DatabaseRefusedError
from sidecar.store import engines
from sidecar.store.postgres import connections
from tests.store.test_postgres import becomes
from tests.support import databases
from tests.support.databases import url_of
from tests.support.pgbouncer import PoolMode, pgbouncer
from tests.support.process import serving
from tests.support.stores import opened
from tests.support.tokens import new_token, revoke
from tests.support.wire import wire_event

pytestmark = [pytest.mark.postgres, pytest.mark.pgbouncer]


@pytest.fixture(autouse=True)
def engine() -> Iterator[None]:
    with databases.engine("postgresql"):
        yield


@pytest.mark.parametrize(
    ("mode", "more"),
    [
        ("transaction", ()),
        ("transaction", ("min_pool_size = 2", "server_round_robin = 1")),
        ("transaction", ("min_pool_size = 3", "server_round_robin = 1")),
        ("statement", ()),
    ],
)
def test_a_pooler_that_shares_sessions_is_refused(tmp_path: Path, mode: PoolMode, more: tuple[str, ...]) -> None:
    with (
        pgbouncer(url_of(tmp_path / "behind"), mode, *more) as url,
        databases.on(url, tmp_path),
        pytest.raises(DatabaseRefusedError, match=r"shares a session between connections.*pool_mode = session"),
    ):
        opened(tmp_path)


async def test_through_a_pooler_of_sessions_locks_limits_and_notifications_work(tmp_path: Path) -> None:
    with pgbouncer(url_of(tmp_path / "behind"), "session") as url, databases.on(url, tmp_path):
        store = opened(tmp_path)
        try:
            assert engines.is_served(url)
            assert await store.write(idle_limit) == f"{connections.IDLE_S}s"
            command = opened(tmp_path, attach=True)
            token, secret = await new_token(command, "read")
            assert store.credentials.token(secret) is not None
            await revoke(command, token)
            await becomes(
                lambda: (found := store.credentials.token(secret)) is not None and found.revoked_at_us is not None
            )
            await command.close()
        finally:
            await store.close()
        await becomes(lambda: not engines.is_served(url))


async def test_a_process_behind_a_pooler_that_is_killed_loses_nothing(tmp_path: Path) -> None:
    client_id = str(uuid.uuid4())
    with pgbouncer(url_of(tmp_path / "behind"), "session") as url, databases.on(url, tmp_path):
        for seq, ends in enumerate((signal.SIGKILL, signal.SIGTERM, signal.SIGTERM), 1):
            async with serving(tmp_path) as (address, process), aiohttp.ClientSession(address) as session:
                event = wire_event(client_id=client_id, seq=seq)
                async with session.post("/v1/events", json=[event]) as response:
                    assert (await response.json())["accepted"] == 1
                process.send_signal(ends)
                await process.wait()
        with databases.reading(tmp_path) as database:
            assert [tuple(row) for row in database.exec_driver_sql("SELECT position, seq FROM events ORDER BY 1")] == [
                (1, 1),
                (2, 2),
                (3, 3),
            ]


def idle_limit(connection: sa.Connection) -> str:
    shown: str = connection.exec_driver_sql("SHOW idle_session_timeout").scalar_one()
    return shown
