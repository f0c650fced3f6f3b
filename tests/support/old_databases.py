"""Databases of earlier schemas as SQL: tables and rows, kept as they were when somebody may have had them.

``python -m tests.support.old_databases`` writes those of the revisions below, and today's, where they are missing. A
file that is there is never written again: it is what stands in people's databases.
"""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from sidecar.store import Store
from sidecar.store.schema import APPLICATION_ID, REVISION

FOLDER = Path(__file__).parents[1] / "store/old"
# The first tables, and those after a large change. From then on those of each release: today's.
REVISIONS = ("0001", "0006_groups_and_runs")


def files() -> list[Path]:
    """Those that are there, the oldest first."""
    return sorted(FOLDER.glob("*.sql"))


def load(sql: Path, path: Path) -> Path:
    """Makes the database at ``path``, which only its owner can read."""
    path.touch(mode=0o600)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(sql.read_text(encoding="utf-8"))
    return path


def dump(path: Path) -> Iterator[str]:
    """The statements that make the database again."""
    yield f"PRAGMA application_id = {APPLICATION_ID};"
    with closing(sqlite3.connect(path)) as connection:
        made = connection.execute("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid")
        every = [row for row in made.fetchall() if not row[1].startswith("sqlite_")]
        virtual = [name for _, name, sql in every if sql.startswith("CREATE VIRTUAL")]
        # A virtual table makes its own tables, and has its contents in them.
        shadows = [name for _, name, _ in every if any(name.startswith(f"{one}_") for one in virtual)]
        for _, name, sql in every:
            if name not in shadows:
                yield f"{sql};"
        for kind, name, _ in every:
            if kind == "table" and name not in virtual:
                if name in shadows:
                    yield f'DELETE FROM "{name}";'
                yield from _rows(connection, name)


def _rows(connection: sqlite3.Connection, table: str) -> Iterator[str]:
    columns = [str(row[1]) for row in connection.execute(f'PRAGMA table_info("{table}")')]
    quoted = " || ', ' || ".join(f'quote("{column}")' for column in columns)
    for (values,) in connection.execute(f'SELECT {quoted} FROM "{table}"'):
        yield f'INSERT INTO "{table}" ({", ".join(columns)}) VALUES ({values});'


async def main() -> None:
    """Writes the missing files, from the first version's rows, the migrations, and today's Zimwatch."""
    from tests.store.test_upgrade import ENDS_US, a_database_of_the_first_version, migrate  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "zimwatch.db"
        a_database_of_the_first_version(path)
        for revision in REVISIONS:
            migrate(path, revision)
            _write(revision, path)
        # As a start leaves it, with the users that follow from the events.
        await Store.open(f"sqlite:///{path}", clock=lambda: ENDS_US).close()
        _write(REVISION, path)


def _write(revision: str, path: Path) -> None:
    file = FOLDER / f"{revision}.sql"
    if not file.exists():
        file.write_text("\n".join(dump(path)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(main())
