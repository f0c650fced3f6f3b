"""More than the disk can take, and clocks that jump."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Self

import pytest
import sqlalchemy as sa

from sidecar.clock import steady_us
from sidecar.domain.units import SECOND_US
from sidecar.errors import StoreUnavailableError
from sidecar.store import Limits, Store, log_positions
from sidecar.store.log import span_outbox
from sidecar.store.users import user_reads
from tests.support.events import APP_ID, BEGIN_US, Phone

DAY_S = 86_400


class Jam:
    """Holds the writer in the middle of a transaction until it is released."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._begun, self._go = threading.Event(), threading.Event()
        self._work: asyncio.Future[Any] | None = None

    async def __aenter__(self) -> Self:
        def work(_connection: sa.Connection) -> None:
            self._begun.set()
            self._go.wait(10)

        self._work = asyncio.ensure_future(self._store._writing.do(work))
        await asyncio.to_thread(self._begun.wait, 10)
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._go.set()
        if self._work is not None:
            await self._work


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    limits = Limits(waiting_bytes=1_000, waiting_us=100_000)
    url = f"sqlite:///{tmp_path / 'zimwatch.db'}"
    store = Store.open(url, clock=lambda: BEGIN_US, steady=steady_us, limits=limits)
    yield store
    await store.close()


async def test_past_so_many_bytes_a_sender_gets_retry_after_and_nothing_of_its_batch_is_kept(store: Store) -> None:
    alice = Phone("alice")
    async with Jam(store):
        taken = [
            asyncio.ensure_future(store.append([alice.says("CONNECTED", "SUCCESS", at=at)], size_bytes=400))
            for at in range(2)
        ]
        await asyncio.sleep(0)
        with pytest.raises(StoreUnavailableError) as caught:
            await store.append([alice.says("RECONNECTING", "LOGIN_INTERRUPTED", at=9)], size_bytes=400)
        assert caught.value.retry_after_s > 0
    assert [answer.accepted for answer in await asyncio.gather(*taken)] == [1, 1]
    assert await store.read(log_positions.newest_position) == 2
    await store.append([alice.says("RECONNECTING", "LOGIN_INTERRUPTED", at=9)], size_bytes=400)


async def test_when_the_oldest_has_waited_too_long_a_sender_gets_retry_after(store: Store) -> None:
    alice = Phone("alice")
    async with Jam(store):
        waiting = asyncio.ensure_future(store.append([alice.says("CONNECTED", "SUCCESS", at=0)]))
        while store._writing.waiting()[1] <= 100_000:  # noqa: ASYNC110 - by a clock that nobody sets
            await asyncio.sleep(0.01)
        with pytest.raises(StoreUnavailableError, match="too long"):
            await store.append([alice.says("CONNECTED", "SUCCESS", at=1)])
    assert (await waiting).accepted == 1
    assert (await store.append([alice.says("CONNECTED", "SUCCESS", at=1)])).accepted == 1


async def test_a_caller_that_went_away_takes_no_room(store: Store) -> None:
    alice = Phone("alice")
    async with Jam(store):
        gone = asyncio.ensure_future(store.append([alice.says("CONNECTED", "SUCCESS", at=0)], size_bytes=900))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
    async with asyncio.timeout(30):
        while store._writing.waiting()[0]:  # noqa: ASYNC110 - another thread changes it
            await asyncio.sleep(0.001)
    await store.append([alice.says("CONNECTED", "SUCCESS", at=9)], size_bytes=900)


@pytest.mark.parametrize("jump_s", [DAY_S, -DAY_S])
async def test_the_order_of_a_client_holds_when_its_clock_or_ours_jumps_by_a_day(tmp_path: Path, jump_s: int) -> None:
    now_us = BEGIN_US
    store = Store.open(f"sqlite:///{tmp_path / 'jump.db'}", clock=lambda: now_us, export_spans=True)
    alice = Phone("alice")
    alice.login(at=0)
    await store.append([alice.says("CONNECTED", "SUCCESS", at=1, received_at_us=now_us)])
    now_us += jump_s * SECOND_US
    after = alice.says("RECONNECTING", "LOGIN_INTERRUPTED", at=2 + jump_s, received_at_us=now_us)
    last = alice.says("DISCONNECTED", "KICKED_OUT", at=3, received_at_us=now_us)
    await store.append([last])
    await store.append([after])
    found = await store.read(user_reads.user, APP_ID, "alice", store.now())
    assert found is not None
    assert (found.user.status, found.user.reason) == ("not_logged_in", "KICKED_OUT")
    spans = await store.read(span_outbox.claim, 0, 10)
    assert [span.previous_state for span in spans] == [None, "CONNECTED", "CONNECTED"]
    assert all((span.previous_state_duration_us or 0) >= 0 for span in spans)
    await store.close()
