"""The disk fails, at every single input and output of the writer: nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
import random
import resource
import sqlite3
import uuid
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import aiohttp
import pytest
from psycopg.conninfo import conninfo_to_dict

from sidecar.clock import now_us
from sidecar.domain.events import Event
from sidecar.errors import StoreUnavailableError
from sidecar.store import Store
from sidecar.store.postgres import care as postgres_care
from sidecar.store.sqlite import care, integrity, write_lock
from sidecar.store.users import user_reads
from tests.support.cutting_proxy import CuttingProxy, cutting
from tests.support.databases import url_of
from tests.support.events import APP_ID, Phone
from tests.support.faulty_vfs import (
    SQLITE_BUSY,
    SQLITE_FULL,
    SQLITE_IOERR_FSYNC,
    SQLITE_IOERR_WRITE,
    SQLITE_OK,
    SQLITE_READONLY,
    Faults,
    faults,
)
from tests.support.process import DATABASE, serving
from tests.support.stores import projected
from tests.support.wire import wire_event

COMMITS = 4
FAULTS = {
    "no room": ("write", SQLITE_FULL),
    "a file system that is read-only": ("write", SQLITE_READONLY),
    "a write that fails": ("write", SQLITE_IOERR_WRITE),
    "a sync that fails": ("sync", SQLITE_IOERR_FSYNC),
    "a lock that is taken": ("lock", SQLITE_BUSY),
}


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> Iterator[Faults]:
    monkeypatch.setattr(write_lock, "BUSY_TIMEOUT_S", 0.01)
    monkeypatch.setattr(write_lock, "SLICE_S", 0.01)
    monkeypatch.setattr(care, "RETRY_EVERY_US", 10_000)
    with faults() as faulty:
        yield faulty


def opened(folder: Path) -> Store:
    return Store.open(f"sqlite:///{folder / DATABASE}", clock=now_us, export_spans=True)


def batches() -> list[list[Event]]:
    alice, bob = Phone("alice"), Phone("bob")
    return [
        [alice.says("CONNECTED", "SUCCESS", at=at), bob.says("RECONNECTING", "LOGIN_INTERRUPTED", at=at)]
        for at in range(COMMITS)
    ]


async def recovered(store: Store) -> None:
    async with asyncio.timeout(30):
        while store.problem is not None:  # noqa: ASYNC110 - another thread changes it
            await asyncio.sleep(0.005)


async def run_with_faults(folder: Path, faulty: Faults, operation: str, code: int, at: int) -> int:
    """Fails the operation number ``at`` after the start and the next two; how many there were in all."""
    store = opened(folder)
    seen = 0

    def decide(found: str) -> int:
        nonlocal seen
        if found != operation:
            return SQLITE_OK
        seen += 1
        return code if at <= seen < at + 3 else SQLITE_OK

    faulty.decide = decide
    acknowledged: list[bytes] = []
    for batch in batches():
        try:
            await store.append(batch)
        except StoreUnavailableError:
            assert store.problem is not None
            await recovered(store)
        else:
            acknowledged += [event.id for event in batch]
    count = seen
    faulty.decide = lambda _operation: SQLITE_OK
    last = Phone("carol").says("CONNECTED", "SUCCESS", at=99)
    await store.append([last])
    acknowledged.append(last.id)
    await recovered(store)
    stored = [one.event.id for who in ("alice", "bob", "carol") for one in await timeline(store, who)]
    assert set(acknowledged) <= set(stored)
    assert len(stored) == len(set(stored))
    live = projected(folder)
    await store.rebuild()
    assert projected(folder) == live
    assert integrity.problems(Path(store.name), in_use=True) == []
    await store.close()
    return count


async def timeline(store: Store, user_id: str) -> list[Any]:
    return await store.read(user_reads.timeline, APP_ID, user_id, before=None, limit=100)


@pytest.mark.parametrize("every", [3, pytest.param(1, marks=pytest.mark.soak)], ids=["every third", "every one"])
@pytest.mark.parametrize("name", FAULTS)
async def test_a_fault_at_any_operation_loses_nothing_acknowledged_and_passes(
    tmp_path: Path, faulty: Faults, name: str, every: int
) -> None:
    operation, code = FAULTS[name]
    at, count = 1, 1
    while at <= count:
        folder = tmp_path / f"{at}"
        folder.mkdir()
        count = await run_with_faults(folder, faulty, operation, code, at)
        at += every
    assert count >= COMMITS, f"there was hardly any {operation}"


async def test_a_write_ahead_log_with_a_torn_end_opens_with_all_that_was_acknowledged(tmp_path: Path) -> None:
    store = opened(tmp_path)
    acknowledged = [event.id for batch in batches() for event in batch]
    for batch in batches():
        await store.append(batch)
    # As a crash in the middle of the next commit would leave it.
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    for suffix in ("", "-wal"):
        (crashed / f"{DATABASE}{suffix}").write_bytes((tmp_path / f"{DATABASE}{suffix}").read_bytes())
    await store.close()
    log = crashed / f"{DATABASE}-wal"
    log.write_bytes(log.read_bytes() + log.read_bytes()[32 : 32 + 5_000])
    again = opened(crashed)
    stored = {one.event.id for who in ("alice", "bob") for one in await timeline(again, who)}
    assert set(acknowledged) == stored
    assert integrity.problems(Path(again.name), in_use=True) == []
    await again.append([Phone("carol").says("CONNECTED", "SUCCESS", at=99)])
    await again.close()


async def test_a_full_disk_is_503_and_red_and_shown_on_every_page_and_passes_by_itself(tmp_path: Path) -> None:
    """Full is made by the kernel: the process may write no file larger than what is there now."""
    async with serving(tmp_path) as (address, process), aiohttp.ClientSession(address) as http:
        acknowledged: list[bytes] = []

        async def send() -> int:
            events = [wire_event(id=str(uuid.uuid4()), seq=len(acknowledged) + n + 1) for n in range(100)]
            async with http.post("/v1/events", json=events) as answer:
                if answer.status == 200:
                    acknowledged.extend(uuid.UUID(event["id"]).bytes for event in events)
                else:
                    assert int(answer.headers["Retry-After"]) > 0
                return answer.status

        assert await send() == 200
        room = max((tmp_path / f"{DATABASE}{suffix}").stat().st_size for suffix in ("", "-wal"))
        _, most = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (room, most))
        statuses = [await send() for _ in range(200)]
        assert statuses[-1] == 503
        async with asyncio.timeout(20):
            # A small commit of something else may find room between the two, and then it is ready.
            while True:
                assert await send() == 503
                async with http.get("/readyz") as answer:
                    if (answer.status, (await answer.json())["status"]) == (503, "failing"):
                        break
        for page in ("/", "/users", f"/users/{APP_ID}/alice"):
            async with asyncio.timeout(20):
                # The same: the warning is cleared.
                while True:
                    assert await send() == 503
                    async with http.get(page) as answer:
                        assert answer.status == 200
                        if "Events are refused" in await answer.text():
                            break
        async with http.get("/livez") as answer:
            assert answer.status == 200
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (most, most))
        async with asyncio.timeout(20):
            while True:
                async with http.get("/readyz") as answer:
                    if answer.status == 200:
                        break
                await asyncio.sleep(0.05)
        assert await send() == 200
    with closing(sqlite3.connect(tmp_path / DATABASE)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        stored = [row[0] for row in database.execute("SELECT id FROM events")]
    assert set(acknowledged) <= set(stored)
    assert len(stored) == len(set(stored))


@contextmanager
def cut_proxy(port: int) -> Iterator[tuple[int, CuttingProxy]]:
    """In a thread of its own, since a store that opens waits for it. All commits are cut while it is cutting."""
    listening: Future[tuple[int, CuttingProxy]] = Future()
    over = Future[None]()

    async def serve() -> None:
        async with cutting(port, random.Random(1), 1.0) as proxy:  # noqa: S311 - each is cut
            listening.set_result(proxy)
            await asyncio.wrap_future(over)

    thread = Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        yield listening.result(10)
    finally:
        over.set_result(None)
        thread.join()


@pytest.mark.postgres
@pytest.mark.usefixtures("on_postgresql")
async def test_a_connection_that_is_cut_at_its_commit_loses_nothing_and_stores_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_care, "RETRY_EVERY_US", 10_000)
    own = conninfo_to_dict(url_of(tmp_path))
    with cut_proxy(int(own["port"] or 0)) as (port, proxy):
        url = f"postgresql://{own['user']}@127.0.0.1:{port}/{own['dbname']}"
        store = Store.open(url, clock=now_us, export_spans=True)
        for batch in batches():
            before = proxy.cuts
            proxy.is_cutting = True
            with pytest.raises(StoreUnavailableError):
                await store.append(batch)
            proxy.is_cutting = False
            await recovered(store)
            answer = await store.append(batch)
            assert (answer.accepted, answer.duplicates) in {(0, 2), (2, 0)}
            if proxy.cuts == before + 1:  # no attempt of the store's own was cut, too
                assert answer.accepted == (0 if proxy.cuts % 2 else 2), "every second commit had reached the server"
        sent = {event.id for batch in batches() for event in batch}
        stored = [one.event.id for who in ("alice", "bob") for one in await timeline(store, who)]
        assert (len(stored), set(stored)) == (len(sent), sent)
        live = projected(tmp_path)
        await store.rebuild()
        assert projected(tmp_path) == live
        await store.close()
