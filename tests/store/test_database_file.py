"""The database as a file: readable by its owner only, served by one process under any path, and in its place."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import aiohttp
import pytest

from sidecar import private_file
from sidecar.clock import now_us
from sidecar.errors import DatabaseRefusedError, StoreUnavailableError
from sidecar.sdk.recording.event_queue import FILE, EventQueue
from sidecar.store import Store, log_positions
from sidecar.store.sqlite import backups, integrity
from tests.support.commands import zimwatch as command
from tests.support.events import Phone
from tests.support.mounts import bound
from tests.support.process import DATABASE, serving
from tests.support.running import zimwatch
from tests.support.tokens import new_token
from tests.support.wire import wire_event


def opened(file: Path, *, attach: bool = False) -> Store:
    return Store.open(f"sqlite:///{file}", clock=now_us, attach=attach)


async def filled(folder: Path) -> Path:
    """A database with an event, that nobody serves."""
    store = opened(folder / DATABASE)
    await store.append([Phone("alice").says("CONNECTED", "SUCCESS", at=0)])
    await store.close()
    return folder / DATABASE


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o777], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
async def test_whatever_the_umask_all_files_are_open_to_their_owner_alone(tmp_path: Path) -> None:
    folder, queue = tmp_path / "data", tmp_path / "queue"
    for one in (folder, queue):
        one.mkdir()
        one.chmod(0o700)
    store = opened(folder / DATABASE)
    await store.append([Phone("alice").says("CONNECTED", "SUCCESS", at=0)])
    backups.backup(Path(store.name), folder / "copy.db")
    waiting = EventQueue(queue, most_bytes=1_000)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for one in (folder, queue) for file in one.iterdir()}
    waiting.close()
    await store.close()
    backups.restore(folder / "copy.db", folder / DATABASE)
    modes |= {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}
    assert {DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", f"{DATABASE}.lock", "copy.db", FILE} <= modes.keys()
    assert set(modes.values()) == {0o600}, modes


async def test_no_file_is_ever_open_to_others_not_even_while_it_is_made(tmp_path: Path) -> None:
    """Each file is looked at as soon as SQLite or Python opens it."""
    seen: dict[str, set[int]] = {}
    watched = [tmp_path]

    def look(event: str, _arguments: object) -> None:
        if event in {"open", "sqlite3.connect", "sqlite3.connect/handle", "os.chmod", "os.rename"}:
            for file in (file for folder in watched for file in folder.iterdir()):
                with suppress(OSError):
                    seen.setdefault(file.name, set()).add(stat.S_IMODE(file.stat().st_mode))

    sys.addaudithook(look)
    before = os.umask(0)
    try:
        file = await filled(tmp_path)
        backups.backup(file, tmp_path / "copy.db")
        backups.restore(tmp_path / "copy.db", file)
    finally:
        os.umask(before)
        watched.clear()
    assert f"{DATABASE}-wal" in seen
    assert set().union(*seen.values()) == {0o600}, seen


async def test_files_and_folders_that_are_open_to_others_are_named_at_the_start_and_by_check_config(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "data [1]"
    folder.mkdir(mode=0o700)
    file = await filled(folder)
    assert private_file.exposed(file) == []
    (copy := folder / f"{DATABASE}.replaced-1").touch()
    for one, mode in ((file, 0o640), (copy, 0o604), (folder, 0o770)):
        one.chmod(mode)
    checked = await command("check-config", "--database-url", f"sqlite:///{file}", folder=tmp_path)
    assert checked.code == 0
    capsys.readouterr()
    await opened(file).close()
    logged_at_start = capsys.readouterr().out
    for output in (checked.err, logged_at_start):
        assert f"{file} is open to others" in output
        assert f"{copy} is open to others" in output
        assert f"the folder {folder} " in output


@pytest.mark.parametrize("make", [os.link, os.symlink], ids=["hard link", "symbolic link"])
async def test_a_second_server_is_refused_under_a_second_name(
    tmp_path: Path, make: Callable[[Path, Path], None]
) -> None:
    other = tmp_path / "elsewhere"
    other.mkdir()
    async with serving(tmp_path):
        make(tmp_path / DATABASE, other / "second.db")
        ended = await command("serve", "--port", 0, "--database-url", "sqlite:///second.db", folder=other)
        assert (ended.code, ended.out) == (1, "")
        assert (
            "hard links" in ended.err if make is os.link else "already served by another Zimwatch (process" in ended.err
        )
        assert [one.name for one in other.iterdir()] == ["second.db"]
        (other / "second.db").unlink()


@pytest.mark.mount
async def test_a_second_server_is_refused_at_a_mount_of_the_file_and_of_its_folder(tmp_path: Path) -> None:
    file, folder = tmp_path / "a mount" / "second.db", tmp_path / "folder"
    file.parent.mkdir()
    folder.mkdir()
    file.touch()
    (data := tmp_path / "data").mkdir()
    async with serving(data):
        with bound(data / DATABASE, file):
            ended = await command("serve", "--port", 0, "--database-url", f"sqlite:///{file}", folder=tmp_path)
            assert ended.code == 1
            assert "mount the folder" in ended.err
            assert [one.name for one in file.parent.iterdir()] == [file.name]
        with bound(data, folder):
            ended = await command(
                "serve", "--port", 0, "--database-url", f"sqlite:///{folder / DATABASE}", folder=tmp_path
            )
            assert ended.code == 1
            assert "already served by another Zimwatch (process" in ended.err


async def test_the_lock_is_on_the_file_itself_also_where_its_name_and_the_lock_beside_it_have_gone(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path):
        (tmp_path / DATABASE).rename(tmp_path / "moved.db")
        with pytest.raises(DatabaseRefusedError, match="already served by another Zimwatch"):
            opened(tmp_path / "moved.db")
        (tmp_path / "moved.db").rename(tmp_path / DATABASE)


@pytest.mark.parametrize("what", ["a folder", "a pipe", "a ring of links", "nowhere"])
def test_what_is_no_file_is_refused_by_name(tmp_path: Path, what: str) -> None:
    file = tmp_path / "zimwatch.db"
    match what:
        case "a folder":
            file.mkdir()
        case "a pipe":
            os.mkfifo(file)
        case "a ring of links":
            file.symlink_to(file)
        case _:
            file = tmp_path / "no folder" / "zimwatch.db"
    with pytest.raises(DatabaseRefusedError, match=str(file if what != "nowhere" else file.parent)):
        opened(file)


async def test_nothing_opens_the_file_that_sqlite_has_open(tmp_path: Path) -> None:
    """A close would take SQLite's locks away: they are this process's, whichever descriptor it closes."""
    watched: list[str] = []
    file = await filled(tmp_path)

    def look(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and str(arguments[0]).startswith(str(tmp_path)):
            watched.append(Path(str(arguments[0])).name)

    async with zimwatch(tmp_path) as served:
        sys.addaudithook(look)
        attached = opened(file, attach=True)
        await new_token(attached, "read")
        assert integrity.problems(Path(attached.name), in_use=True) == []
        backups.backup(Path(attached.name), tmp_path / "copy.db")
        await attached.close()
        with pytest.raises(DatabaseRefusedError, match="already served"):
            opened(file)
        for page in ("/", "/settings", "/readyz", "/metrics"):
            await served.http.get(page)
        await served.store.tend()
        assert watched
        assert not {DATABASE, f"{DATABASE}-shm"} & set(watched)
        private_file.exposed(file)
        # The locks still hold: a writer of its own process finds the file locked by a transaction of ours.
        done = asyncio.Event()
        loop = asyncio.get_running_loop()
        found: list[str] = []

        def work(_connection: object) -> None:
            child = subprocess.run(
                [sys.executable, "-c", _TRY_TO_WRITE, str(file)], check=True, capture_output=True, text=True
            )
            found.append(child.stdout.strip())
            loop.call_soon_threadsafe(done.set)

        await served.store.write(work)
        await done.wait()
        assert found == ["database is locked"]


_TRY_TO_WRITE = """
import sqlite3, sys
try:
    sqlite3.connect(sys.argv[1], timeout=0).execute("BEGIN IMMEDIATE")
    print("it may write")
except sqlite3.OperationalError as error:
    print(error)
"""


async def test_commands_work_beside_a_server_and_by_a_symbolic_link(tmp_path: Path) -> None:
    (other := tmp_path / "elsewhere").mkdir()
    (other / "link.db").symlink_to(tmp_path / DATABASE)
    url = ("--database-url", "sqlite:///link.db")
    async with serving(tmp_path) as (address, _), aiohttp.ClientSession(address) as http:
        async with http.post("/v1/events", json=[wire_event()]) as answer:
            assert answer.status == 200
        for arguments in ("db check", "db backup copy.db", "token list", "token create --scope read"):
            ended = await command(*arguments.split(), *url, folder=other)
            assert ended.code == 0, ended
        for arguments in ("db prune", "db restore copy.db"):
            ended = await command(*arguments.split(), *url, folder=other)
            assert (ended.code, "already served" in ended.err) == (1, True), ended
    with closing(sqlite3.connect(other / "copy.db")) as copy:
        assert copy.execute("SELECT COUNT(*) FROM events").fetchone() == (1,)


@pytest.mark.parametrize(
    ("way", "suffix"), [("deleted", ""), ("replaced", ""), ("moved", "-wal"), ("replaced", "-wal"), ("deleted", "-shm")]
)
async def test_a_file_that_is_not_in_its_place_is_503_and_red_and_on_every_page_until_it_is_back(
    tmp_path: Path, way: str, suffix: str
) -> None:
    file, aside = tmp_path / f"{DATABASE}{suffix}", tmp_path / "aside"
    async with zimwatch(tmp_path) as served:
        assert (await served.send([wire_event()]))[0] == 200
        file.rename(aside)
        if way == "replaced":
            file.write_bytes(aside.read_bytes())
        if way == "deleted":
            os.link(aside, tmp_path / "kept")
            aside.unlink()
            aside = tmp_path / "kept"
        status, answer = await served.send([wire_event(seq=2)])
        assert (status, file.name in answer["detail"]) == (503, True)
        assert (await served.get("/readyz"))[0] == 503
        async with served.http.get("/") as page:
            assert f"{file.name} was deleted" in await page.text()
        with pytest.raises(StoreUnavailableError, match="put that very file back"):
            await new_token(served.store, "read")
        aside.rename(file)
        async with asyncio.timeout(30):
            while (await served.get("/readyz"))[0] != 200:  # noqa: ASYNC110 - polls the server
                await asyncio.sleep(0.05)
        assert (await served.send([wire_event(seq=3)]))[0] == 200
    again = opened(tmp_path / DATABASE)
    assert await again.read(log_positions.newest_position) == 2
    await again.close()


async def test_while_nobody_sends_it_is_noticed_within_seconds_that_the_folder_has_gone(tmp_path: Path) -> None:
    (folder := tmp_path / "data").mkdir()
    async with zimwatch(folder) as served:
        folder.rename(tmp_path / "other")
        async with asyncio.timeout(30):
            while (await served.get("/readyz"))[0] == 200:  # noqa: ASYNC110 - polls the server
                await asyncio.sleep(0.05)
        (tmp_path / "other").rename(folder)


async def test_a_log_whose_database_is_gone_is_not_thrown_away(tmp_path: Path) -> None:
    file, log = tmp_path / DATABASE, tmp_path / f"{DATABASE}-wal"
    log.write_bytes(b"frames" * 1_000)
    with pytest.raises(DatabaseRefusedError, match="put the database back"):
        opened(file)
    assert log.read_bytes() == b"frames" * 1_000
