"""A ``kill -9`` at any moment of an erasure: it continues where it was, and nothing of the user is left at its end."""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
from asyncio.subprocess import Process
from contextlib import closing
from pathlib import Path

import aiohttp
import pytest

from sidecar.store import engines
from sidecar.store.access import audit_check, audit_log
from sidecar.store.access.audit_check import Verified
from sidecar.store.care import erasures
from sidecar.store.sqlite.sqlite_database import SqliteDatabase
from tests.privacy.test_erase import found_in, marks_of, opened, terms, terms_of
from tests.support import planted
from tests.support.events import APP_ID, BEGIN_US
from tests.support.planted import ALICE, MARKS
from tests.support.process import DATABASE, serving

MORE_EVENTS = 1_500
# The events are of a fixed day, however long ago that is.
KEPT = {f"ZIMWATCH_RETENTION__{name}": "36500d" for name in ("EVENTS", "ALERTS", "REJECTED", "AUDIT")}
PAGES = ("/", "/users", "/alerts", "/silences", "/rejected", "/audit", "/users.csv", "/metrics")
CALLS = ("/v1/users", "/v1/alerts", "/v1/silences", "/v1/rejected", "/v1/audit", "/v1/watches", "/v1/summary")


async def planted_in(folder: Path) -> tuple[list[bytes], str]:
    """A database with a user to be erased: the marks that must be gone, and the head of the audit log."""
    rules = planted.reaction()
    store = opened(folder, rules)
    phones = await planted.plant(store, rules)
    for start in range(0, MORE_EVENTS, 500):
        events = [phones[0].event("api_error", 300 + start + at, details={"method": "m"}) for at in range(500)]
        await store.append(events)
    head = await store.read(audit_log.head)
    await store.write(erasures.ask, APP_ID, ALICE, BEGIN_US)
    await store.close()
    return marks_of(phones), str(head)


class Progress:
    """How far the erasure is: read from the file beside the process that works on it."""

    def __init__(self, folder: Path) -> None:
        self._uri = f"{(folder / DATABASE).absolute().as_uri()}?mode=ro"

    def __call__(self) -> tuple[int, bool, bool]:
        """Rows removed, whether the id is removed from the erasure, and whether it is finished."""
        sql = "SELECT removed, user_id IS NULL, finished_at_us IS NOT NULL FROM erasures"
        with closing(sqlite3.connect(self._uri, uri=True)) as connection:
            (removed, emptied, finished) = connection.execute(sql).fetchone()
        return sum(json.loads(removed).values()), bool(emptied), bool(finished)


async def killed_at(process: Process, progress: Progress, rows: int | None, pause_s: float) -> bool:
    """Kills it once so many rows are removed, or for None all are, and a pause; whether that was before the end."""
    async with asyncio.timeout(30):
        while True:
            removed, emptied, finished = progress()
            if finished or emptied or (rows is not None and removed >= rows):
                break
            await asyncio.sleep(0.001)
    await asyncio.sleep(pause_s)
    process.kill()
    await process.wait()
    return not finished


async def finished(progress: Progress) -> None:
    async with asyncio.timeout(30):
        while not progress()[2]:  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.02)


async def looked_at(address: str) -> None:
    """No page and no call has anything of the user, and a search finds nobody."""
    async with aiohttp.ClientSession(address) as http:
        for path in (*PAGES, *CALLS):
            async with http.get(path) as answer:
                text = await answer.text()
                assert answer.status == 200, path
                assert [mark for mark in MARKS if mark in text] == [], path
        async with http.get("/v1/users?q=alice") as answer:
            assert (await answer.json())["users"] == []
        async with http.get(f"/v1/users/{APP_ID}/{ALICE}") as answer:
            assert answer.status == 404
        async with http.get("/v1/audit") as answer:
            assert (await answer.json())["entries"]


def verified(folder: Path, head: str) -> Verified:
    database = SqliteDatabase.open(folder / DATABASE)
    with closing(database), database.reading() as connection:
        found = audit_check.verify(connection, head)
    assert isinstance(found, Verified)
    return found


async def erased_despite_kills(folder: Path, seed: int, kills: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - the same every time
    marks, head = await planted_in(folder)
    progress = Progress(folder)
    moments: list[int | None] = [*sorted(chance.randrange(MORE_EVENTS) for _ in range(kills - 1)), None]
    early = 0
    for rows in moments:
        async with serving(folder, KEPT) as (_address, process):
            early += await killed_at(process, progress, rows, chance.random() * 0.05)
    assert early, "a kill came before the end"
    async with serving(folder, KEPT) as (address, _process):
        await finished(progress)
        await looked_at(address)
    verified(folder, head)
    engines.backup(f"sqlite:///{folder / DATABASE}", folder / "backup.db")
    for name in (DATABASE, f"{DATABASE}-wal", "backup.db", "serve.log"):
        assert found_in(folder / name, marks) == [], name
    assert not terms(ALICE) & terms_of(folder / "backup.db")


async def test_an_erasure_that_is_killed_twice_is_finished_after_the_next_start(tmp_path: Path) -> None:
    await erased_despite_kills(tmp_path, seed=21, kills=2)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(4))
async def test_an_erasure_that_is_killed_many_times_is_finished_after_the_next_start(tmp_path: Path, seed: int) -> None:
    await erased_despite_kills(tmp_path, seed, kills=8)
