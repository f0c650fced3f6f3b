"""The store: opening and closing its file, tokens, backups and migrations."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
import structlog
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

import sidecar.alerting.tables.alert_schema
import sidecar.store.access.audit_schema  # noqa: F401 - same
from sidecar.clock import now_us
from sidecar.errors import DatabaseRefusedError, StoreUnavailableError, ZimwatchError
from sidecar.store import (
    Store,
    log_positions,
    migrations,
    schema,
)
from sidecar.store.access import tokens
from sidecar.store.access.tokens import NewToken
from sidecar.store.sqlite import backups, connections, database_file, integrity, search
from sidecar.store.users import (
    user_reads,
)
from sidecar.store.values import Commit, Publishing
from sidecar.system.files import FILES
from tests.support.events import APP_ID, BEGIN_US, Phone
from tests.support.stores import LATER_US, contents, held_open, opened
from tests.support.tokens import new_token, revoke


@pytest.mark.both_engines
async def test_a_token_is_valid_until_it_is_revoked_or_expires_and_its_secret_is_not_in_the_file(
    store: Store, tmp_path: Path
) -> None:
    token, secret = await new_token(store, "ingest", APP_ID)
    expired, _ = await new_token(store, "read", None, LATER_US)
    assert (token.state(LATER_US), expired.state(LATER_US - 1), expired.state(LATER_US)) == ("good", "good", "expired")
    assert store.credentials.token(secret) == token
    assert store.credentials.token("zw_guess") is None
    assert all(secret.encode() not in content for content in contents(tmp_path))
    assert await revoke(store, token)
    assert not await revoke(store, token)
    revoked = store.credentials.token(secret)
    assert revoked is not None
    assert revoked.state(LATER_US) == "revoked"


@pytest.mark.both_engines
async def test_a_token_created_by_another_process_works_at_once_and_counts_as_created_for_ever(
    store: Store, tmp_path: Path
) -> None:
    before = store.credentials.any_access_ever()
    command_line = opened(tmp_path, attach=True)
    token, secret = await new_token(command_line, "write")
    await command_line.close()
    assert store.credentials.token(secret) == token
    during = store.credentials.any_access_ever()
    await revoke(store, token)
    assert (before, during, store.credentials.any_access_ever()) == (False, True, True)


@pytest.mark.both_engines
async def test_what_a_work_refuses_is_logged_as_no_error_and_what_fails_is(store: Store) -> None:
    def fail(error: Exception) -> Callable[[object], None]:
        def work(_connection: object) -> None:
            raise error

        return work

    with structlog.testing.capture_logs() as logged:
        with pytest.raises(ZimwatchError, match="the code is wrong"):
            await store.write(fail(ZimwatchError("the code is wrong")))
        assert logged == []
        with pytest.raises(RuntimeError):
            await store.write(fail(RuntimeError("a fault")))
    assert [(line["log_level"], line["event"]) for line in logged] == [("error", "work failed")]


@pytest.mark.both_engines
async def test_a_store_that_is_only_attached_publishes_nothing_and_appends_nothing(
    store: Store, tmp_path: Path
) -> None:
    def work(connection: sa.Connection) -> Publishing[None]:
        tokens.create(connection, NewToken(scope="read"), LATER_US)
        return Publishing(None, Commit(alert_log=True))

    attached = opened(tmp_path, attach=True)
    with pytest.raises(DatabaseRefusedError, match="only attached"):
        await attached.write(work)
    with pytest.raises(DatabaseRefusedError, match="only attached"):
        await attached.append([Phone("alice").login(0)])
    await attached.close()
    assert (await store.read(tokens.listed, LATER_US), await store.read(log_positions.newest_position)) == ([], 0)


async def test_a_second_process_is_refused_with_the_first_ones_pid(store: Store, tmp_path: Path) -> None:
    assert store.problem is None
    with pytest.raises(DatabaseRefusedError, match=r"already served by another Zimwatch \(process \d+\)"):
        opened(tmp_path)


def test_a_foreign_file_is_refused_and_not_changed(tmp_path: Path) -> None:
    file = tmp_path / "zimwatch.db"
    for content in (b"a shopping list", b"SQLite format 3\0" + bytes(200)):
        file.write_bytes(content)
        with pytest.raises(DatabaseRefusedError, match="not a Zimwatch database"):
            opened(tmp_path)
        assert file.read_bytes() == content


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("DELETE FROM alembic_version", "is still being made by the Zimwatch that serves it; try again in a moment"),
        ("UPDATE alembic_version SET version_num = '0001'", "is served by an older Zimwatch .*; stop that one first"),
    ],
)
async def test_a_command_beside_a_server_is_told_what_its_tables_are_not(tmp_path: Path, sql: str, why: str) -> None:
    await opened(tmp_path).close()
    file = tmp_path / "zimwatch.db"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(sql)
    with database_file.hold(file, FILES), pytest.raises(DatabaseRefusedError, match=why):
        Store.open(f"sqlite:///{file}", clock=now_us, attach=True)


async def test_a_file_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    await opened(tmp_path).close()
    connection = sqlite3.connect(tmp_path / "zimwatch.db")
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    with pytest.raises(DatabaseRefusedError, match="newer Zimwatch"):
        opened(tmp_path)
    assert not held_open(tmp_path)


async def test_a_backup_holds_what_was_committed_and_never_overwrites(store: Store, tmp_path: Path) -> None:
    await store.append([Phone("alice").says("CONNECTED", "SUCCESS", at=0)])
    copy = tmp_path / "copy" / "zimwatch.db"
    copy.parent.mkdir()
    backups.backup(Path(store.name), copy)
    with pytest.raises(DatabaseRefusedError, match="never overwrites"):
        backups.backup(Path(store.name), copy)
    restored = opened(copy.parent)
    assert await restored.read(user_reads.user, APP_ID, "alice", restored.now()) is not None
    assert integrity.problems(Path(restored.name), in_use=True) == []
    await restored.close()


async def test_a_damaged_file_is_refused_with_advice_and_not_changed(tmp_path: Path) -> None:
    store = opened(tmp_path)
    for at in range(50):
        await store.append([Phone(f"user-{at}").says("CONNECTED", "SUCCESS", at=at, extended_data="x" * 500)])
    await store.close()
    file = tmp_path / "zimwatch.db"
    content = bytearray(file.read_bytes())
    content[20_000:60_000] = bytes(random.Random(3).randbytes(40_000))  # noqa: S311 - damage
    file.write_bytes(content)
    with pytest.raises(DatabaseRefusedError, match="zimwatch db restore"):
        opened(tmp_path)
    assert file.read_bytes() == content
    assert not held_open(tmp_path)


def test_a_file_with_our_application_id_that_is_no_database_is_refused_and_closed(tmp_path: Path) -> None:
    file = tmp_path / "zimwatch.db"
    content = b"SQLite format 3\0" + bytes(52) + schema.APPLICATION_ID.to_bytes(4, "big") + bytes(500)
    file.write_bytes(content)
    with pytest.raises(DatabaseRefusedError, match="zimwatch db restore"):
        opened(tmp_path)
    assert file.read_bytes() == content
    assert not held_open(tmp_path)


async def test_a_backup_made_while_events_arrive_is_restored_and_overwrites_nothing(tmp_path: Path) -> None:
    file, copy = tmp_path / "zimwatch.db", tmp_path / "copy.db"
    store = opened(tmp_path)
    alice = Phone("alice")
    await store.append([alice.says("CONNECTED", "SUCCESS", at=0)])
    writing = asyncio.gather(*(store.append([alice.says("CONNECTED", "SUCCESS", at=at)]) for at in range(1, 200)))
    await asyncio.to_thread(backups.backup, Path(store.name), copy)
    await writing
    with pytest.raises(DatabaseRefusedError, match="already served"):
        backups.restore(copy, file)
    await store.close()
    replaced = backups.restore(copy, file)
    assert replaced is not None
    restored = opened(tmp_path)
    assert 1 <= await restored.read(log_positions.newest_position) <= 200
    assert integrity.problems(Path(restored.name), in_use=True) == []
    await restored.append([alice.says("RECONNECTING", "LOGIN_INTERRUPTED", at=999)])
    await restored.close()
    with closing(sqlite3.connect(replaced)) as before:
        assert before.execute("SELECT COUNT(*) FROM events").fetchone() == (200,)


def test_a_file_that_is_no_backup_is_not_restored(tmp_path: Path) -> None:
    other = tmp_path / "list.txt"
    other.write_bytes(b"a shopping list")
    with pytest.raises(DatabaseRefusedError, match="not a Zimwatch database"):
        backups.restore(other, tmp_path / "zimwatch.db")
    other.write_bytes(b"")
    with pytest.raises(DatabaseRefusedError, match="empty"):
        backups.restore(other, tmp_path / "zimwatch.db")
    assert not (tmp_path / "zimwatch.db").exists()


@pytest.mark.both_engines
async def test_after_close_nothing_is_accepted_and_all_accepted_events_are_stored(tmp_path: Path) -> None:
    store = opened(tmp_path)
    waiting = [
        asyncio.ensure_future(store.append([Phone(f"user-{n}").says("CONNECTED", "SUCCESS", at=0)])) for n in range(50)
    ]
    await asyncio.sleep(0)
    await store.close()
    assert [answer.accepted for answer in await asyncio.gather(*waiting)] == [1] * 50
    with pytest.raises(StoreUnavailableError):
        await store.append([Phone("late").says("CONNECTED", "SUCCESS", at=0)])
    again = opened(tmp_path)
    assert await again.read(log_positions.newest_position) == 50
    await again.close()


# SQLAlchemy cannot reflect an index of an expression.
@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression-based index clients_by_lease")
@pytest.mark.filterwarnings("ignore:autogenerate skipping metadata-specified expression-based index")
async def test_the_migrations_create_the_declared_tables(store: Store) -> None:
    reader = connections.connect(Path(store.name), writes=False)
    with reader.connect() as connection:
        # SQLite keeps the index for searches in tables of its own.
        options = {"include_name": lambda name, kind, _parents: kind != "table" or not name.startswith(search.TABLE)}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), schema.metadata) == []
    reader.dispose()


async def test_a_file_that_is_up_to_date_is_at_the_newest_migration(store: Store) -> None:
    script = ScriptDirectory(str(Path(migrations.__file__).parent))
    with store._database.reading() as reading, reading.engine.connect() as connection:
        assert MigrationContext.configure(connection).get_current_revision() == schema.REVISION
    assert script.get_current_head() == schema.REVISION, "schema.REVISION must name the newest migration"


async def test_a_file_that_is_up_to_date_is_opened_without_alembic(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'zimwatch.db'}"
    await Store.open(url, clock=lambda: BEGIN_US).close()
    code = (
        "import asyncio, sys\nfrom sidecar.store import Store\n"
        "asyncio.run(Store.open(sys.argv[1], clock=lambda: 0).close())\nprint('alembic' in sys.modules)"
    )
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", code, url, stdout=asyncio.subprocess.PIPE)
    assert (await child.communicate())[0].split() == [b"False"]
