"""Damage is found anywhere and named, and a damaged file is left byte for byte as it was."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from sidecar.clock import now_us
from sidecar.errors import DatabaseRefusedError
from sidecar.store import Store
from sidecar.store.sqlite import backups, integrity, write_ahead_log
from tests.support.commands import zimwatch as command
from tests.support.events import Phone
from tests.support.process import DATABASE

COMMITS = 12
WAL_HEADER, FRAME_HEADER, PAGE = 32, 24, 4_096


def opened(folder: Path) -> Store:
    """Its steady clock stands still, so that no checkpoint begins the log again."""
    return Store.open(f"sqlite:///{folder / DATABASE}", clock=now_us, steady=lambda: 0)


async def crashed(folder: Path) -> Path:
    """A database as ``kill -9`` leaves it: a part of it is in the log alone."""
    (live := folder / "live").mkdir()
    store = opened(live)
    for at in range(COMMITS):
        await store.append([Phone(f"user-{at}").says("CONNECTED", "SUCCESS", at=at, extended_data="x" * 300)])
    (left := folder / "left").mkdir()
    for suffix in ("", "-wal"):
        shutil.copy(live / f"{DATABASE}{suffix}", left / f"{DATABASE}{suffix}")
    await store.close()
    return left / DATABASE


async def closed(folder: Path) -> Path:
    store = opened(folder)
    for at in range(COMMITS):
        await store.append([Phone(f"user-{at}").says("CONNECTED", "SUCCESS", at=at, extended_data="x" * 300)])
    await store.close()
    return folder / DATABASE


def flip(file: Path, at: int) -> None:
    content = bytearray(file.read_bytes())
    content[at] ^= 0x10
    file.write_bytes(content)


def middle(log: Path) -> int:
    """In the page of a frame in the middle."""
    frames = (log.stat().st_size - WAL_HEADER) // (FRAME_HEADER + PAGE)
    return WAL_HEADER + frames // 2 * (FRAME_HEADER + PAGE) + FRAME_HEADER + 2_000


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if not file.name.endswith(".lock")}


@pytest.mark.parametrize(
    "where",
    [0, 9, 17, 30, WAL_HEADER + 9, WAL_HEADER + FRAME_HEADER + 100, None],
    ids=lambda at: f"at {at or 'middle'}",
)
async def test_a_damaged_log_is_refused_by_name_and_left_as_it_was(tmp_path: Path, where: int | None) -> None:
    file = await crashed(tmp_path)
    log = Path(f"{file}-wal")
    assert write_ahead_log.damage(log) is None
    flip(log, middle(log) if where is None else where)
    before = contents(file.parent)
    with pytest.raises(DatabaseRefusedError, match=f"{log}.*damaged|damaged.*{log}"):
        opened(file.parent)
    assert str(log) in "".join(integrity.problems(file, in_use=False))
    with pytest.raises(DatabaseRefusedError, match=str(log)):
        backups.backup(file, tmp_path / "copy.db")
    assert contents(file.parent) == before


async def test_a_torn_commit_at_the_end_of_the_log_is_no_damage(tmp_path: Path) -> None:
    """The last commit was not acknowledged, whatever part of it reached the disk."""
    file = await crashed(tmp_path)
    check_torn(Path(f"{file}-wal"))


def check_torn(log: Path) -> None:
    whole = log.read_bytes()
    for cut in (1, FRAME_HEADER + PAGE, FRAME_HEADER + PAGE + 1):
        log.write_bytes(whole[:-cut])
        assert write_ahead_log.damage(log) is None, cut
    log.write_bytes(whole)
    flip(log, len(whole) - 10)
    assert write_ahead_log.damage(log) is None
    log.write_bytes(whole + whole[WAL_HEADER : WAL_HEADER + 3 * (FRAME_HEADER + PAGE)])
    assert write_ahead_log.damage(log) is None
    log.write_bytes(bytes(len(whole)))
    assert write_ahead_log.damage(log) is None


async def test_a_log_that_was_begun_again_over_an_older_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        for sql in ("PRAGMA journal_mode = WAL", "CREATE TABLE t (a)", "PRAGMA wal_autocheckpoint = 0"):
            writer.execute(sql)
        for _ in range(30):
            writer.execute("INSERT INTO t VALUES (randomblob(5000))")
        writer.execute("PRAGMA wal_checkpoint(RESTART)")
        writer.execute("INSERT INTO t VALUES (randomblob(5000))")
        assert write_ahead_log.damage(Path(f"{path}-wal")) is None


def page_of(file: Path, name: str) -> int:
    """Where the root page of a table or index begins."""
    with closing(sqlite3.connect(file)) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (name,)).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    return int((root - 1) * size)


async def test_an_index_that_lacks_what_its_table_has_is_found_before_an_event_is_stored_twice(tmp_path: Path) -> None:
    file = await closed(tmp_path)
    with closing(sqlite3.connect(file)) as connection:
        (index,) = connection.execute(
            "SELECT name FROM pragma_index_list('events') WHERE \"unique\" ORDER BY seq LIMIT 1"
        ).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        (event_id,) = connection.execute("SELECT id FROM events WHERE position = 5").fetchone()
    content = file.read_bytes()
    begin = page_of(file, index)
    at = content.index(event_id, begin, begin + size)
    flip(file, at)
    before = contents(tmp_path)
    checked = await command("db", "check", folder=tmp_path)
    assert checked.code == 1
    assert index in checked.err
    with pytest.raises(DatabaseRefusedError, match="zimwatch db restore"):
        opened(tmp_path)
    assert contents(tmp_path) == before


async def test_a_damaged_page_is_found_and_a_check_leaves_the_log_as_it_is(tmp_path: Path) -> None:
    file = await crashed(tmp_path)
    checked = await command("db", "check", folder=file.parent)
    assert (checked.code, checked.out) == (0, "The database is intact.\n")
    # The newest of a page is in the log; a page that is not there is damaged in the file alone.
    store = opened(file.parent)
    await store.close()
    begin = page_of(file, "events")
    flip(file, begin)
    before = contents(file.parent)
    checked = await command("db", "check", folder=file.parent)
    assert checked.code == 1
    with pytest.raises(DatabaseRefusedError, match="damaged"):
        opened(file.parent)
    assert contents(file.parent) == before


async def test_a_check_and_a_refused_start_leave_a_log_with_commits_in_it_alone(tmp_path: Path) -> None:
    file = await crashed(tmp_path)
    before = contents(file.parent)
    assert integrity.problems(file, in_use=False) == []
    backups.backup(file, tmp_path / "copy.db")
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        assert copy.execute("SELECT COUNT(*) FROM events").fetchone() == (COMMITS,)
    assert contents(file.parent) == before
    newer = tmp_path / "newer"
    shutil.copytree(file.parent, newer)
    with closing(sqlite3.connect(newer / DATABASE)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    before = contents(newer)
    with pytest.raises(DatabaseRefusedError, match="newer Zimwatch"):
        opened(newer)
    assert contents(newer) == before
