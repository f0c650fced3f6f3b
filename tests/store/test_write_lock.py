"""Another program holds the write lock: that is shown soon, and does not prevent a stop."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from sidecar.errors import StoreUnavailableError
from sidecar.store.sqlite import write_lock
from sidecar.store.sqlite.write_lock import WriteLock
from tests.support.events import Phone
from tests.support.process import DATABASE, serving
from tests.support.running import zimwatch
from tests.support.wire import wire_event


@contextmanager
def locked(file: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield other


async def test_it_is_red_before_anything_has_failed_and_green_when_the_lock_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_lock, "BUSY_TIMEOUT_S", 10_000)
    async with zimwatch(tmp_path) as served:
        with locked(tmp_path / DATABASE) as other:
            sent = asyncio.create_task(served.send([wire_event()]))
            async with asyncio.timeout(30):
                while (await served.get("/readyz"))[0] == 200:  # noqa: ASYNC110 - polls the server
                    await asyncio.sleep(0.02)
            async with served.http.get("/") as page:
                assert "Another program holds the write lock" in await page.text()
            assert not sent.done()
            other.execute("ROLLBACK")
            assert (await sent)[0] == 200
        assert (await served.get("/readyz"))[0] == 200


async def test_a_stop_waits_for_the_lock_a_few_times_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_lock, "BUSY_TIMEOUT_S", 10_000)
    attempts = 0
    take = WriteLock.take

    def counted(lock: WriteLock, begin: Callable[[], object]) -> None:
        def once() -> None:
            nonlocal attempts
            attempts += 1
            begin()

        take(lock, once)

    monkeypatch.setattr(WriteLock, "take", counted)
    async with zimwatch(tmp_path) as served:
        sending = None
        with locked(tmp_path / DATABASE):
            sending = asyncio.create_task(served.store.append([Phone("alice").says("CONNECTED", "SUCCESS", at=0)]))
            async with asyncio.timeout(30):
                while served.store.problem is None:  # noqa: ASYNC110 - another thread changes it
                    await asyncio.sleep(0.02)
            attempts = 0
            served.store.hurry()
            with pytest.raises(StoreUnavailableError):
                await sending
            with pytest.raises(StoreUnavailableError):
                await served.store.append([Phone("bob").says("CONNECTED", "SUCCESS", at=0)])
            await served.store.close()
    assert attempts < 30  # of a tenth of a second each


async def test_a_server_ends_as_it_should_while_the_lock_is_held(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, process):
        with locked(tmp_path / DATABASE):
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), 60) == 0
