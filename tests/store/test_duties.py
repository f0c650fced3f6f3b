"""Duties: who has one, who may write for it, and when its job runs. On PostgreSQL, where another node can have it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa

from sidecar.clock import now_us, steady_us
from sidecar.domain.units import SECOND_US
from sidecar.errors import DutyLostError, StoreUnavailableError
from sidecar.store import Store
from sidecar.store.database import nodes as nodes_of
from sidecar.store.duties import LEASES, RETENTION, doing
from sidecar.store.postgres import connections, locks
from tests.store.test_postgres import becomes, end_sessions
from tests.support.databases import reading, url_of
from tests.support.stores import opened

pytestmark = [pytest.mark.postgres, pytest.mark.usefixtures("on_postgresql")]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = opened(tmp_path)
    await store.write(lambda connection: connection.exec_driver_sql("CREATE TABLE written (number INTEGER)"))
    yield store
    await store.close()


@contextlib.contextmanager
def another(folder: Path) -> Iterator[Callable[[str], bool]]:
    """Another session that can take duties; gives the function that tries it."""
    with contextlib.closing(connections.connect(url_of(folder), autocommit=True)) as session:

        def takes(duty: str) -> bool:
            return bool(session.execute(locks.TAKE_DUTIES, (msgspec.json.encode([duty]).decode(),)).fetchall())

        yield takes


def add_row(connection: sa.Connection) -> None:
    connection.exec_driver_sql("INSERT INTO written VALUES (1)")


async def becomes_held(store: Store, duty: str) -> None:
    async with asyncio.timeout(20):
        while True:
            if await store.duties.hold(duty) is not None:
                return
            await asyncio.sleep(0.05)


async def test_a_duty_is_one_sessions_until_that_ends(store: Store, tmp_path: Path) -> None:
    with another(tmp_path) as takes:
        assert takes(RETENTION)
        assert await store.duties.hold(LEASES) is not None
        assert not takes(LEASES)
        # One has some duties, and another one the others.
        assert await store.duties.hold(RETENTION) is None
    await becomes_held(store, RETENTION)
    with another(tmp_path) as takes:
        assert not takes(RETENTION)
        await store.close()
        await becomes(lambda: takes(RETENTION))


async def test_what_is_written_for_a_lost_duty_is_not_stored(store: Store, tmp_path: Path) -> None:
    term = await store.duties.hold(LEASES)
    assert term is not None
    with doing(term):
        await store.write(add_row)
    end_sessions(url_of(tmp_path))
    with pytest.raises(StoreUnavailableError):
        await store.write(add_row)
    assert store.duties.term(LEASES) is None
    await store.write(add_row)  # what is no job's
    with doing(term), pytest.raises(DutyLostError, match="leases"):
        await store.write(add_row)
    await becomes_held(store, LEASES)
    again = store.duties.term(LEASES)
    assert again is not None
    # Also not once this node has it again, as another one had it in between; and it holds up no other work.
    with doing(term):
        lost = asyncio.ensure_future(store.write(add_row))
    with doing(again):
        kept = asyncio.ensure_future(store.write(add_row))
    refused, stored = await asyncio.gather(lost, kept, return_exceptions=True)
    assert isinstance(refused, DutyLostError)
    assert stored is None
    with reading(tmp_path) as connection:
        assert connection.exec_driver_sql("SELECT COUNT(*) FROM written").scalar_one() == 3


async def test_a_job_ends_with_its_duty_and_begins_again_with_it(store: Store, tmp_path: Path) -> None:
    running: list[bool] = []

    async def run() -> None:
        running.append(True)
        try:
            await asyncio.Event().wait()
        finally:
            running.clear()

    task = asyncio.create_task(store.duties.job(LEASES, run).run())
    await becomes(lambda: bool(running))
    with contextlib.ExitStack() as stack:
        end_sessions(url_of(tmp_path))
        takes = stack.enter_context(another(tmp_path))
        await becomes(lambda: takes(LEASES))
        with contextlib.suppress(StoreUnavailableError):
            await store.write(lambda _connection: None)
        await becomes(lambda: not running)
        assert not task.done()
    await becomes(lambda: bool(running))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not running


async def test_a_job_that_ends_or_fails_is_not_hidden(store: Store) -> None:
    async def fail() -> None:
        raise ValueError("odd")

    with pytest.raises(ValueError, match="odd"):
        await store.duties.job(LEASES, fail).run()
    begun, ended = asyncio.Event(), asyncio.Event()

    async def run() -> None:
        begun.set()
        await ended.wait()

    job = store.duties.job(LEASES, run, ended.set)
    task = asyncio.create_task(job.run())
    await begun.wait()
    job.stop()
    async with asyncio.timeout(10):
        await task


async def test_a_node_that_the_server_has_not_heard_of_has_no_duty(tmp_path: Path) -> None:
    moment_us = [steady_us()]
    store = Store.open(url_of(tmp_path), clock=now_us, steady=lambda: moment_us[0])
    try:
        assert await store.duties.hold(LEASES) is not None
        moment_us[0] += connections.IDLE_S * SECOND_US
        assert store.duties.term(LEASES) is None
        await store.write(lambda _connection: None)
        assert store.duties.term(LEASES) is not None
    finally:
        await store.close()


async def test_the_nodes_are_the_sessions_that_may_serve(store: Store, tmp_path: Path) -> None:
    await store.duties.hold(LEASES)
    with another(tmp_path) as takes:
        assert takes(RETENTION)
        await store.duties.hold(RETENTION)
        (node,) = await store.read(nodes_of, store.duties.wanted)
    assert node.is_this
    assert node.duties == (LEASES,)
    assert node.name.startswith("zimwatch ")
    assert node.since_us <= node.seen_us
