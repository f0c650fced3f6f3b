"""What SQLite leaves behind of deleted rows is overwritten, and nothing else is."""

from __future__ import annotations

import os
import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from sidecar.store.sqlite import stale_bytes, tuning


def churned(file: Path, *, auto_vacuum: int, page_bytes: int, secure: bool) -> list[str]:
    """A file whose rows moved from page to page before some were deleted; the ids of those."""
    chance = random.Random(page_bytes + auto_vacuum)  # noqa: S311 - a test
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        for pragma in (f"page_size = {page_bytes}", f"auto_vacuum = {auto_vacuum}", "journal_mode = WAL"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute(f"PRAGMA secure_delete = {'ON' if secure else 'OFF'}")
        connection.execute("CREATE TABLE u (k INTEGER PRIMARY KEY, id TEXT UNIQUE, state TEXT, body TEXT)")
        connection.execute("CREATE INDEX by_state ON u (state, k, id)")
        connection.execute("CREATE TABLE w (id TEXT PRIMARY KEY, copy TEXT) WITHOUT ROWID")
        ids = [f"user-{chance.getrandbits(48):012x}" for _ in range(1_500)]
        connection.execute("BEGIN")
        for number, one in enumerate(ids):
            longest = 12_000 if number % 50 == 0 else 300  # some on pages of their own
            body = one + "x" * chance.randint(10, longest)
            connection.execute("INSERT INTO u (id, state, body) VALUES (?, ?, ?)", (one, chance.choice("abc"), body))
            connection.execute("INSERT INTO w VALUES (?, ?)", (one, one))
            again = chance.choice(ids[: number + 1])
            changed = (chance.choice("abc"), again + "y" * chance.randint(10, 400), again)
            connection.execute("UPDATE u SET state = ?, body = ? WHERE id = ?", changed)
        connection.execute("COMMIT")
        gone = chance.sample(ids, 400)
        connection.execute("BEGIN")
        for one in gone:
            connection.execute("DELETE FROM u WHERE id = ?", (one,))
            connection.execute("DELETE FROM w WHERE id = ?", (one,))
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return gone


def left(file: Path, gone: list[str]) -> int:
    content = file.read_bytes()
    return sum(one.encode() in content for one in gone)


def dump(file: Path) -> list[str]:
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return list(connection.iterdump())


@pytest.mark.parametrize(
    ("auto_vacuum", "page_bytes", "secure"),
    [(2, 4_096, True), (0, 4_096, True), (2, 1_024, True), (0, 65_536, True), (2, 4_096, False)],
)
def test_no_deleted_row_is_left_and_every_other_row_is(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    auto_vacuum: int,
    page_bytes: int,
    secure: bool,  # noqa: FBT001 - of the parameters
) -> None:
    monkeypatch.setattr(tuning, "WIPE_BYTES", 300_000)
    file = tmp_path / "some.db"
    gone = churned(file, auto_vacuum=auto_vacuum, page_bytes=page_bytes, secure=secure)
    before, stale = dump(file), left(file, gone)
    handle = os.open(file, os.O_RDWR)
    page: int | None = 1
    while page is not None:
        page = stale_bytes.overwrite(handle, page)
    os.close(handle)
    # Without secure_delete, which this version always sets, pages of long rows have some more.
    assert left(file, gone) <= (0 if secure else stale // 20)
    assert dump(file) == before
