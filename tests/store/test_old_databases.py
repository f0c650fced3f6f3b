"""Databases of earlier schemas, from files that are never changed, become databases of today."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sidecar.cli.commands import zimwatch
from sidecar.store import Store, schema
from sidecar.store.sqlite import connections, database_file, integrity
from sidecar.store.users import user_list
from sidecar.store.users.user_query import UserQuery
from tests.store.test_upgrade import ENDS_US, EVENTS, USERS
from tests.support import cut_off, old_databases

OLD = [file for file in old_databases.files() if file.stem != schema.REVISION]
EVERY = pytest.mark.parametrize("old", old_databases.files(), ids=lambda file: file.stem)


def command(path: Path, *words: str) -> Result:
    return CliRunner().invoke(zimwatch, ["db", "upgrade", *words, "--database-url", f"sqlite:///{path}"])


def tables_of(path: Path) -> dict[str, Any]:
    """Columns and indexes, whatever the order in which migrations added them."""
    found: dict[str, Any] = {}
    with closing(sqlite3.connect(path)) as connection:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        for (name,) in names.fetchall():
            columns = {tuple(row[1:]) for row in connection.execute(f'PRAGMA table_info("{name}")')}
            indexes = {tuple(row[1:]) for row in connection.execute(f'PRAGMA index_list("{name}")')}
            found[name] = (columns, indexes)
    return found


def contents_of(path: Path) -> Iterator[str]:
    """What does not differ by chance: the keys do, and so does the audit log's seal that is made by one."""
    return (
        line for line in old_databases.dump(path) if not line.startswith(('INSERT INTO "keys"', 'INSERT INTO "audit'))
    )


@EVERY
async def test_users_events_and_tables_are_those_of_today(old: Path, tmp_path: Path) -> None:
    path = old_databases.load(old, tmp_path / "zimwatch.db")
    store = Store.open(f"sqlite:///{path}", clock=lambda: ENDS_US)
    found = await store.read(user_list.list_users, UserQuery(), store.now())
    part = await store.read(user_list.list_users, UserQuery(q="aro"), store.now())
    await store.close()
    assert {user.user_id: user.status for user in found.users} == {name: one[0] for name, one in USERS.items()}
    assert [user.user_id for user in part.users] == ["carol"]
    assert integrity.problems(path, in_use=False) == []
    new = tmp_path / "new.db"
    await Store.open(f"sqlite:///{new}", clock=lambda: ENDS_US).close()
    assert tables_of(path) == tables_of(new)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT COUNT(*) FROM events").fetchone() == (len(EVENTS),)


def test_the_command_says_what_is_due_and_what_was_done(tmp_path: Path) -> None:
    path = old_databases.load(OLD[0], tmp_path / "zimwatch.db")
    before = path.read_bytes()
    asked = command(path, "--check")
    assert (asked.exit_code, path.read_bytes()) == (1, before)
    assert "0031_reporters: The tap or port" in asked.stdout
    assert "is to be upgraded" in asked.stdout
    done = command(path)
    assert done.exit_code == 0
    assert set(asked.stdout.splitlines()[:-1]) <= set(done.stdout.splitlines())
    assert done.stdout.endswith(f"migrations, schema {schema.REVISION}.\n")
    for words, said in (("--check",), "is up to date."), ((), "was up to date; nothing was changed."):
        again = command(path, *words)
        assert (again.exit_code, again.stdout) == (0, f"{path} {said}\n")


def test_a_database_that_is_not_there_is_due_and_then_created(tmp_path: Path) -> None:
    path = tmp_path / "zimwatch.db"
    asked = command(path, "--check")
    assert (asked.exit_code, asked.stdout) == (1, f"There is no database {path}; it would be created.\n")
    assert not path.exists()
    assert command(path).stdout == f"Created {path}, schema {schema.REVISION}.\n"


def test_neither_a_newer_database_nor_another_file_is_said_to_be_due(tmp_path: Path) -> None:
    newer = old_databases.load(OLD[-1], tmp_path / "zimwatch.db")
    with closing(sqlite3.connect(newer)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999_later'")
    other = tmp_path / "other.db"
    other.write_text("a letter")
    for path, why in ((newer, "newer Zimwatch"), (other, "is not a Zimwatch database")):
        asked = command(path, "--check")
        assert (asked.exit_code, asked.stdout) == (1, "")
        assert why in asked.stderr


def upgraded_after_cuts(tmp_path: Path, old: Path, cuts: list[int]) -> None:
    """Cut off at each of these statements, and then upgraded, a database is as one that was upgraded at once."""
    at_once = old_databases.load(old, tmp_path / "at-once.db")
    database_file.claim(at_once)
    cut_off.upgrade(at_once)
    wanted = sorted(contents_of(at_once))
    paths = [old_databases.load(old, tmp_path / f"{number}.db") for number in cuts]
    cut_off.upgrade_and_kill(list(zip(paths, cuts, strict=True)))
    for path in paths:
        assert integrity.problems(path, in_use=False) == []
        assert integrity.revision(path, in_use=False) == old.stem, "a part of the upgrade was kept"
        assert connections.pending(path, in_use=False)
        cut_off.upgrade(path)
        assert sorted(contents_of(path)) == wanted


def ends_of_migrations(tmp_path: Path, old: Path) -> list[int]:
    """The number of the statement that records each migration, and of the last one."""
    statements = cut_off.upgrade(old_databases.load(old, tmp_path / "counted.db"))
    ends = [number for number, text in enumerate(statements, 1) if text.startswith("UPDATE alembic_version")]
    return [*ends, len(statements)]


def test_an_upgrade_that_is_killed_is_begun_again(tmp_path: Path) -> None:
    ends = ends_of_migrations(tmp_path, OLD[0])
    upgraded_after_cuts(tmp_path, OLD[0], [ends[len(ends) // 2], ends[-1]])


@pytest.mark.soak
@pytest.mark.parametrize("old", OLD, ids=lambda file: file.stem)
def test_an_upgrade_that_is_killed_within_any_migration_is_begun_again(old: Path, tmp_path: Path) -> None:
    ends = ends_of_migrations(tmp_path, old)
    middles = [(begin + end) // 2 for begin, end in zip([0, *ends], ends, strict=False)]
    upgraded_after_cuts(tmp_path, old, sorted({number for number in (*middles, *ends) if number > 2}))
