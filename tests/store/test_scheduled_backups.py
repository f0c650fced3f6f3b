"""Scheduled backups: only one that was restored and checked has its name, and only after it old ones are removed."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dashboard.pages.settings import size as readable
from sidecar.clock import now_us, steady_us
from sidecar.domain.alerts.rules.backup_overdue import LastBackup
from sidecar.domain.units import DAY_US, MINUTE_US, SECOND_US
from sidecar.errors import DatabaseRefusedError
from sidecar.settings import AlertSettings, BackupSettings
from sidecar.store import Store
from sidecar.store.backup_folder import BackupFolder
from sidecar.store.scheduled_backups import OFF, Backups
from sidecar.store.sqlite import backups, integrity
from tests.support import virtual
from tests.support.clocks import DAY_S, Machine
from tests.support.events import Phone
from tests.support.mounts import filled, small_disk
from tests.support.running import Zimwatch, zimwatch
from tests.support.stores import opened
from tests.support.wire import fresh_event

KILLED = """
import os, signal, sys
from pathlib import Path
from sidecar.store.sqlite import backups
source, target, part = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
def stopped():
    if list(target.parent.glob(f"**/*{part}")):
        os.kill(os.getpid(), signal.SIGKILL)
    return False
backups.checked_backup(source, target, stopped)
"""


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


async def until(is_so: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not is_so():  # noqa: ASYNC110 - files and another thread are looked at
            await asyncio.sleep(0.02)


async def filled_store(folder: Path, **options: Any) -> Store:
    store = opened(folder, **options)
    alice = Phone("alice")
    for at in range(20):
        await store.append([alice.says("CONNECTED", "SUCCESS", at=at, extended_data="x" * 4_000)])
    return store


async def metrics_of(running: Zimwatch) -> str:
    async with running.http.get("/metrics") as response:
        return await response.text()


async def settings_page(running: Zimwatch) -> str:
    async with running.http.get("/settings") as response:
        return await response.text()


def metric(text: str, name: str) -> float | None:
    return next((float(line.split()[-1]) for line in text.splitlines() if line.startswith(name)), None)


async def until_fires(running: Zimwatch, kinds: list[str]) -> None:
    async with asyncio.timeout(60):
        while True:
            _, answer = await running.get("/v1/alerts?state=firing")
            if [one["kind"] for one in answer["alerts"]] == kinds:
                return
            await asyncio.sleep(0.05)


async def test_a_server_makes_one_at_its_start_keeps_the_newest_and_touches_no_other_file(tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    made = BackupFolder(folder, f"sqlite:///{tmp_path / 'zimwatch.db'}")
    folder.mkdir()
    old = [made.target(now_us() - days * DAY_US) for days in (2, 3, 4, 40)]
    others = [folder / name for name in ("notes.txt", "zimwatch-20200101T000000Z.db.bak", "zimwatch.db", "other.db")]
    others.append(folder / "other-20200101T000000Z.db")
    for file in (*old, *others):
        file.write_bytes(b"x")
    left = [folder / f"{old[0].name}{part}" for part in (".unchecked", ".unchecked.unfinished")]
    for file in left:
        file.write_bytes(b"half of one")
    (folder / f"{old[1].name}.trial").mkdir()
    (folder / f"{old[1].name}.trial" / "zimwatch.db").write_bytes(b"restored")
    settings = BackupSettings(folder=str(folder), keep=3, keep_for="30d")
    async with zimwatch(tmp_path, backups=settings) as running:
        await running.send([fresh_event()])
        await until(lambda: old[3] not in folder.iterdir())
        (newest,) = names(folder) - {file.name for file in (*old, *others)}
        assert names(folder) == {newest, *(file.name for file in (*old[:2], *others))}
        size = (folder / newest).stat().st_size
        async with asyncio.timeout(60):
            while size != metric(text := await metrics_of(running), "zimwatch_backup_size_bytes"):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        shown = await settings_page(running)
        assert re.search(rf"Last backup</dt>\s*<dd>.*<time.*{re.escape(readable(size))}, checked", shown)
        assert re.search(r"Next backup</dt>\s*<dd>.*<time", shown)
    assert stat.S_IMODE((folder / newest).stat().st_mode) == 0o600
    assert integrity.problems(folder / newest, in_use=False) == []
    assert abs((metric(text, "zimwatch_backup_last_seconds") or 0) - now_us() / SECOND_US) < DAY_S
    assert metric(text, "zimwatch_backup_failures_total") is not None


async def test_a_failing_backup_fires_an_alert_that_the_next_good_one_resolves(tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.write_text("a file in the place of the folder")
    settings = BackupSettings(folder=str(folder), every="1s")
    async with zimwatch(tmp_path, backups=settings, alerts=AlertSettings(offline_too_long="0s")) as running:
        await until_fires(running, ["backup_overdue"])
        shown = await settings_page(running)
        assert "none yet that was checked" in shown
        assert re.search(r'<span class="problem">.+</span>', shown)
        folder.unlink()
        await until_fires(running, [])
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("part", [".unchecked.unfinished", ".restoring.unfinished"], ids=["copying", "restoring"])
async def test_a_kill_in_the_middle_leaves_none_that_counts_and_what_it_left_is_removed(
    tmp_path: Path, part: str
) -> None:
    store = await filled_store(tmp_path)
    folder = tmp_path / "backups"
    folder.mkdir()
    made = BackupFolder(folder, f"sqlite:///{store.name}")
    command = [sys.executable, "-c", KILLED, store.name, str(made.target(now_us())), part]
    killed = await asyncio.to_thread(subprocess.run, command, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert names(folder)
    assert made.good(now_us()) == []
    assert made.clean()
    assert names(folder) == set()
    backups.checked_backup(Path(store.name), made.target(now_us()))
    assert len(made.good(now_us())) == 1
    await store.close()


def _overwrite(file: Path) -> None:
    with file.open("r+b") as damaged:
        damaged.seek(file.stat().st_size // 2 // 4_096 * 4_096)
        damaged.write(b"\xff" * 8_192)


def _lose_a_row(file: Path) -> None:
    with closing(sqlite3.connect(file)) as copy, copy:
        copy.execute("DELETE FROM events WHERE position = 7")


@pytest.mark.parametrize("damage", [_overwrite, _lose_a_row], ids=["damaged", "a row is missing"])
async def test_a_copy_that_is_not_what_the_database_is_does_not_count(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    store = await filled_store(tmp_path)
    folder = tmp_path / "backups"
    folder.mkdir()
    target = folder / "copy.db"
    unfinished = target.with_name("copy.db.unchecked.unfinished")

    def stopped() -> bool:
        if unfinished.exists() and unfinished.stat().st_size >= Path(store.name).stat().st_size:
            damage(unfinished)
        return False

    with pytest.raises(DatabaseRefusedError, match=r"damaged|cannot be (copied|backed up)|other rows"):
        backups.checked_backup(Path(store.name), target, stopped)
    assert names(folder) == set()
    backups.checked_backup(Path(store.name), target)
    assert names(folder) == {"copy.db"}
    await store.close()


async def test_one_that_is_stopped_leaves_nothing(tmp_path: Path) -> None:
    store = await filled_store(tmp_path)
    (tmp_path / "backups").mkdir()
    for calls in range(2):
        left = iter(range(calls))
        with pytest.raises(DatabaseRefusedError):
            backups.checked_backup(Path(store.name), tmp_path / "backups/copy.db", lambda: next(left, None) is None)  # noqa: B023
        assert names(tmp_path / "backups") == set()
    await store.close()


@pytest.mark.mount
async def test_on_a_full_disk_none_is_begun_and_the_good_ones_stay(tmp_path: Path) -> None:
    store = await filled_store(tmp_path)
    folder = tmp_path / "backups"
    folder.mkdir()
    with small_disk(folder, 8 << 20):
        made = BackupFolder(folder, f"sqlite:///{store.name}")
        old = made.target(now_us() - 2 * DAY_US)
        old.write_bytes(b"a good one")
        filled(folder)
        failing = Backups(f"sqlite:///{store.name}", BackupSettings(folder=str(folder), keep=1), now_us, steady_us)
        running = asyncio.create_task(failing.run())
        await until(lambda: failing.last)
        failing.stop()
        await running
        assert failing.last is not None
        assert "no room" in str(failing.last.why)
        assert names(folder) == {old.name, "filler"}
    await store.close()


@pytest.mark.mount
async def test_a_copy_for_which_the_room_ends_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = await filled_store(tmp_path)
    folder = tmp_path / "backups"
    folder.mkdir()
    monkeypatch.setattr(backups, "_SPARE_BYTES", -(1 << 60))
    with small_disk(folder, 128 << 10), pytest.raises(DatabaseRefusedError, match="full"):
        backups.checked_backup(Path(store.name), folder / "copy.db")
    assert names(folder) == set()
    await store.close()


def test_in_virtual_time_one_is_made_when_it_is_due_and_a_clock_that_is_set_back_makes_no_more(tmp_path: Path) -> None:
    machine = Machine()
    folder = tmp_path / "backups"
    settings = BackupSettings(folder=str(folder), every="1m", keep=3)

    async def main() -> list[LastBackup | None]:
        store = await filled_store(tmp_path, threads=virtual.OneThread())
        url = f"sqlite:///{store.name}"
        made = Backups(url, settings, machine.clock, machine.steady, virtual.OneThread())
        running = asyncio.create_task(made.run())
        seen = []
        for seconds in (2, 50, 20, 240):
            await asyncio.sleep(seconds)
            seen.append(made.last)
        assert len(names(folder)) == 3
        machine.is_set_by(-10 * DAY_S)
        await asyncio.sleep(10)
        assert len(names(folder)) == 4
        made.stop()
        await running
        await store.close()
        return seen

    first, same, second, later = virtual.run(machine, main())
    assert first is not None
    assert first == same
    assert second is not None
    assert second.made_us is not None
    assert first.made_us is not None
    assert second.made_us - first.made_us == MINUTE_US
    assert later is not None
    assert later.failing_since_us is None


async def test_without_a_folder_nothing_is_made(tmp_path: Path) -> None:
    idle = Backups(f"sqlite:///{tmp_path / 'zimwatch.db'}", BackupSettings(), now_us, steady_us)
    running = asyncio.create_task(idle.run())
    await until(lambda: idle.last)
    idle.stop()
    await running
    assert idle.last == OFF
    assert os.listdir(tmp_path) == []  # noqa: PTH208
