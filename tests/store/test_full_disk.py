"""A disk that is full, read-only or forbidden: the reason is named, and what needs no room works."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from shutil import disk_usage

import pytest

from sidecar.clock import now_us
from sidecar.errors import DatabaseRefusedError, StoreUnavailableError
from sidecar.store import Retention, Store, log_positions
from sidecar.store.sqlite import backups, integrity
from sidecar.store.sqlite.sqlite_errors import why_not
from sidecar.store.users import user_reads
from tests.support.commands import zimwatch as command
from tests.support.events import Phone
from tests.support.faulty_vfs import SQLITE_OK, faults
from tests.support.mounts import bound, filled, small_disk
from tests.support.process import DATABASE
from tests.support.running import zimwatch
from tests.support.stores import held_open

DISK_BYTES = 4_194_304
SQLITE_IOERR = 10
NOBODY = 65_534


def opened(folder: Path) -> Store:
    return Store.open(f"sqlite:///{folder / DATABASE}", clock=now_us, retention=Retention(events_us=1))


async def grown(store: Store, batches: int) -> int:
    """How many events were acknowledged: so many batches, or as many as there was room for."""
    count, alice = 0, Phone("alice")
    for at in range(batches):
        batch = [alice.says("CONNECTED", "SUCCESS", at=at, extended_data="x" * 2_000) for _ in range(20)]
        try:
            await store.append(batch)
        except StoreUnavailableError:
            break
        count += len(batch)
    return count


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    with small_disk(folder, DISK_BYTES):
        yield folder


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


@pytest.mark.mount
async def test_room_is_made_on_a_disk_that_the_database_has_filled_to_the_last_byte(disk: Path) -> None:
    store = opened(disk)
    acknowledged = await grown(store, 1_000)
    await store.close()
    filled(disk)
    assert disk_usage(disk).free < 4_096
    pruned = await command("db", "prune", folder=disk, ZIMWATCH_RETENTION__EVENTS="1s")
    assert pruned.code == 0, pruned
    assert disk_usage(disk).free > DISK_BYTES // 4
    assert names(disk) == {DATABASE, f"{DATABASE}.lock", "filler"}
    again = opened(disk)
    assert await again.read(log_positions.newest_position) == acknowledged
    assert integrity.problems(Path(again.name), in_use=True) == []
    assert (await again.read(user_reads.summary)).online == 1
    await again.close()


@pytest.mark.mount
async def test_a_start_on_a_full_disk_names_it(disk: Path) -> None:
    await opened(disk).close()
    filled(disk)
    with pytest.raises(DatabaseRefusedError, match=r"disk of .* is full") as refused:
        opened(disk)
    assert "restore" not in str(refused.value)
    assert not held_open(disk)
    (disk / "filler").unlink()
    await opened(disk).close()


@pytest.mark.mount
async def test_room_is_made_in_place_where_there_is_a_little(disk: Path) -> None:
    store = opened(disk)
    await grown(store, 15)
    await store.close()
    filled(disk, leave_bytes=700_000)
    free = disk_usage(disk).free
    store = opened(disk)
    assert await store.make_room() > 200
    assert disk_usage(disk).free > free + 500_000
    assert integrity.problems(Path(store.name), in_use=True) == []
    await store.close()


@pytest.mark.mount
async def test_a_copy_that_has_no_room_leaves_nothing_behind(disk: Path, tmp_path: Path) -> None:
    store = opened(tmp_path)
    await grown(store, 10)
    filled(disk, leave_bytes=50_000)
    with pytest.raises(DatabaseRefusedError, match="cannot be copied"):
        backups.backup(Path(store.name), disk / "copy.db")
    await store.close()
    assert names(disk) == {"filler"}


@pytest.mark.mount
@pytest.mark.parametrize("stopped", [True, False], ids=["stopped", "killed"])
async def test_a_read_only_file_system_is_named_and_check_and_backup_work(tmp_path: Path, *, stopped: bool) -> None:
    live, folder, mounted = (tmp_path / name for name in ("live", "data", "mounted"))
    for one in (live, folder, mounted):
        one.mkdir()
    store = opened(live)
    await grown(store, 2)
    if stopped:
        await store.close()
    for file in live.glob(f"{DATABASE}*"):
        if not file.name.endswith(("-shm", ".lock")):
            shutil.copy(file, folder)
    if not stopped:
        await store.close()
    with bound(folder, mounted, read_only=True):
        url = ("--database-url", f"sqlite:///{mounted / DATABASE}")
        served = await command("serve", *url, folder=tmp_path)
        assert (served.code, "read-only file system" in served.err, "restore" in served.err) == (1, True, False)
        checked = await command("db", "check", *url, folder=tmp_path)
        assert (checked.code, checked.err) == (0, "")
        backups.backup(mounted / DATABASE, tmp_path / "copy.db")
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        assert copy.execute("SELECT COUNT(*) FROM events").fetchone() == (40,)


@pytest.mark.mount
@pytest.mark.parametrize("what", ["file", "folder"])
async def test_what_another_user_may_not_do_is_named(what: str) -> None:
    """Root may do all; as nobody it may not."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        await opened(folder).close()
        os.chmod(folder, 0o755)  # noqa: PTH101, S103 - others may look into it
        if what == "folder":
            for file in os.listdir(folder):  # noqa: PTH208
                os.chown(folder / file, NOBODY, NOBODY)
        os.seteuid(NOBODY)
        try:
            with pytest.raises(DatabaseRefusedError) as refused:
                opened(folder)
        finally:
            os.seteuid(0)
    assert ("may not read and write" if what == "file" else "may not create files") in str(refused.value)
    assert "restore" not in str(refused.value)


async def test_a_page_shows_why_nothing_can_be_read(tmp_path: Path) -> None:
    with faults() as faulty:
        async with zimwatch(tmp_path) as served:
            faulty.decide = lambda operation: SQLITE_IOERR if operation == "lock" else SQLITE_OK
            async with served.http.get("/users", headers={"Accept": "text/html"}) as page:
                text = await page.text()
            status, answer = await served.get("/v1/users")
            faulty.decide = lambda _operation: SQLITE_OK
            async with asyncio.timeout(30):
                while served.store.problem is not None:  # noqa: ASYNC110 - another thread changes it
                    await asyncio.sleep(0.02)
    assert (page.status, "cannot be read: disk I/O error" in text) == (503, True)
    assert (status, answer["detail"]) == (503, "the database cannot be read: disk I/O error")


@pytest.mark.parametrize(("content", "old_events"), [(None, False), (b"", False), (b"x", True)])
def test_pruning_is_advised_only_where_there_may_be_events(
    tmp_path: Path, content: bytes | None, *, old_events: bool
) -> None:
    path = tmp_path / DATABASE
    if content is not None:
        path.write_bytes(content)
    reason = why_not(path, OSError(errno.ENOSPC, "No space left on device"))
    assert "is full" in reason
    assert ("zimwatch db prune" in reason) is old_events
