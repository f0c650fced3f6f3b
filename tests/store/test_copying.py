"""A whole database is copied to another engine and back: equal row by row, also while its server takes events."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from sidecar.clock import now_us, steady_us
from sidecar.errors import DatabaseRefusedError
from sidecar.store import Store, engines, mapping, schema
from sidecar.store.access.audit_values import AuditAction, Entry
from sidecar.store.copying import database_copy, one_copy, table_rows
from sidecar.store.copying.database_copy import Pass
from sidecar.store.copying.one_copy import OneCopy
from sidecar.store.sqlite import database_file
from sidecar.store.users import user_list, user_reads
from sidecar.store.users.user_query import UserQuery
from sidecar.system.files import FILES
from sidecar.system.threads import THREADS
from tests.support import databases, made_day
from tests.support.events import APP_ID, Phone
from tests.support.tokens import new_token

pytestmark = pytest.mark.postgres

# What the copy itself writes: an audit entry at the end.
OF_THE_COPY = ("audit_log", "audit_marks")
ODD = ("a\0b", "a\x1ab", "a\x1a0b", "a\x01b", "a\x1cb", "\N{GRINNING FACE}", "\uffff", "Z", "é")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The URL of a new database of PostgreSQL."""
    with databases.engine("postgresql"):
        yield databases.url_of(tmp_path)


@pytest.fixture
def file(tmp_path: Path) -> str:
    """The URL of a SQLite file."""
    return f"sqlite:///{tmp_path / 'here.db'}"


def moved(source: str, target: str) -> Pass:
    return database_copy.run(
        source, target, Entry(at_us=now_us(), actor="a test", action=AuditAction.DATABASE_COPIED), lambda *_: None
    )


def rows(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables, with flags as numbers, in one order whatever the engine."""

    def plain(value: Any) -> Any:
        return int(value) if isinstance(value, bool) else bytes(value) if isinstance(value, memoryview) else value

    found = {}
    with engines.reading(url) as connect, connect() as connection:
        for table in schema.metadata.sorted_tables:
            if table.name not in OF_THE_COPY:
                columns = ", ".join(column.name for column in table.columns)
                every = connection.exec_driver_sql(f"SELECT {columns} FROM {table.name}")
                found[table.name] = sorted((tuple(map(plain, row)) for row in every), key=repr)
    return {name: [row for row in of if row[0] != "moved"] for name, of in found.items()}


async def with_events(url: str, *users: str | None) -> None:
    store = Store.open(url, clock=now_us)
    phones = [Phone(user) for user in users]
    await store.append([phone.login(0) for phone in phones])
    await store.append([phone.says("DISCONNECTED", "KICKED_OUT", at=1) for phone in phones])
    await store.close()


async def test_a_day_is_the_same_on_the_other_engine_and_back_again(tmp_path: Path, server: str) -> None:
    await made_day.write(tmp_path, 40)
    first, second = (f"sqlite:///{tmp_path / name}" for name in ("zimwatch.db", "back.db"))
    there = moved(first, server)
    full = {table.table for table in there.tables if table.rows}
    assert {"events", "user_status", "alerts", "happenings", "rollups", "traces"} <= full
    assert rows(server) == rows(first)
    back = moved(server, second)
    assert rows(second) == rows(first)
    for one, other in zip(there.tables, back.tables, strict=True):
        if one.table not in OF_THE_COPY:
            assert (one.table, one.rows, one.checksum) == (other.table, other.rows, other.checksum)
            assert one.rows == len(rows(second)[one.table])
    assert {table.checksum for table in there.tables if table.rows}.isdisjoint(
        {table.checksum for table in there.tables if not table.rows}
    )


def made_up(table: sa.Table, count: int, chance: Random) -> list[tuple[Any, ...]]:
    """Rows of any values that the columns may have, keys that engines sort each in its own way among them."""

    def value(column: sa.Column[Any], number: int) -> Any:
        if column.nullable and chance.random() < 0.3:
            return None
        if isinstance(column.type, sa.Boolean):
            return chance.random() < 0.5
        if isinstance(column.type, sa.LargeBinary):
            return chance.choice((b"", b"\0", b"\xff" * 3)) + number.to_bytes(2, "big")
        if isinstance(column.type, sa.Text):
            return f"{chance.choice(ODD)}{number}{chance.choice(ODD)}"
        if column.name.endswith("_s"):
            return number
        bits = 62 if isinstance(column.type, sa.BigInteger) else 31
        return chance.choice((number, number - 2**bits, 2**bits - 1 - number))

    return [tuple(value(column, number) for column in table.columns) for number in range(1, count + 1)]


async def test_every_table_is_copied_both_ways_with_whatever_it_may_hold(
    tmp_path: Path, file: str, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_rows, "CHUNK", 7)
    await with_events(file)
    chance = Random(5)  # noqa: S311 - the same each time
    with contextlib.closing(sqlite3.connect(tmp_path / "here.db")) as connection, connection:
        for table in schema.metadata.sorted_tables:
            if table.name not in OF_THE_COPY:  # these have seals
                made = made_up(table, 40, chance)
                connection.executemany(mapping.insert(table).replace("INSERT", "INSERT OR REPLACE", 1), made)
    second = f"sqlite:///{tmp_path / 'back.db'}"
    for source, target in ((file, server), (server, second)):
        done = moved(source, target)
        assert {table.table for table in done.tables if table.rows < 40} == {*OF_THE_COPY}
        assert rows(target) == rows(file)


async def test_a_database_moves_to_one_of_the_same_engine(tmp_path: Path, file: str) -> None:
    await with_events(file, "alice", "bob", None)
    second = f"sqlite:///{tmp_path / 'second.db'}"
    assert moved(file, second).is_finished
    assert rows(second) == rows(file)


async def test_a_database_moves_from_one_of_postgresql_to_another_and_back(tmp_path: Path, server: str) -> None:
    await made_day.write(tmp_path, 20)
    file = f"sqlite:///{tmp_path / 'zimwatch.db'}"
    moved(file, server)
    second = databases.url_of(tmp_path, "second")
    there = moved(server, second)
    assert there.is_finished
    assert rows(second) == rows(server) == rows(file)
    phone = Phone("somebody new")
    store = Store.open(second, clock=now_us)
    await store.append([phone.login(0), phone.says("CONNECTED", "SUCCESS", at=1)])
    await store.close()
    third = databases.url_of(tmp_path, "third")
    assert moved(second, third).is_finished
    assert rows(third) == rows(second)
    assert len(rows(third)["events"]) == len(rows(server)["events"]) + 2


async def test_it_moves_within_postgresql_while_it_is_served(
    tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_rows, "CHUNK", 10)
    await with_events(server, *(f"user {number}" for number in range(20)))
    target = databases.url_of(tmp_path, "second")
    serving = Store.open(server, clock=now_us)
    assert not moved(server, target).is_finished
    phone = Phone("user 7", "another")
    await serving.append([phone.login(100)])
    again = moved(server, target)
    assert {table.table: table.written for table in again.tables}["events"] == 1
    await serving.close()
    assert moved(server, target).is_finished
    assert rows(target) == rows(server)
    with pytest.raises(DatabaseRefusedError, match="was moved to postgresql://"):
        Store.open(server, clock=now_us)


@pytest.fixture(params=["sqlite", "postgresql"])
def target(request: pytest.FixtureRequest, tmp_path: Path, server: str) -> str:
    """The URL of a new database of each engine."""
    return server if request.param == "postgresql" else f"sqlite:///{tmp_path / 'target.db'}"


def moved_twice(source: str, target: str) -> list[str]:
    """Begins a second copy in the middle of a first one: why it was refused."""
    refused: list[str] = []

    def begin_another(*_: object) -> None:
        if not refused:
            try:
                moved(source, target)
            except DatabaseRefusedError as error:
                refused.append(str(error))
            else:
                refused.append("")

    entry = Entry(at_us=now_us(), actor="a test", action=AuditAction.DATABASE_COPIED)
    assert database_copy.run(source, target, entry, begin_another).is_finished is not engines.is_served(source)
    return refused


@pytest.mark.parametrize("is_served", [False, True])
async def test_one_copy_at_a_time_writes_to_a_database(file: str, target: str, *, is_served: bool) -> None:
    await with_events(file, "alice", "bob")
    serving = Store.open(file, clock=now_us) if is_served else None
    (refused,) = moved_twice(file, target)
    assert refused.startswith(f"another `zimwatch db copy` writes to {engines.name(target)}; wait until")
    if serving is not None:
        await serving.close()
        moved(file, target)
    assert rows(target) == rows(file)


async def test_a_file_in_which_a_copy_has_not_made_its_tables_yet_is_the_others_while_that_runs(
    tmp_path: Path, file: str
) -> None:
    await with_events(file, "alice")
    path = database_file.claim(tmp_path / "target.db")
    with (
        database_file.hold(path),
        pytest.raises(DatabaseRefusedError, match=r"already served by another Zimwatch, or one copies to it"),
    ):
        moved(file, f"sqlite:///{path}")
    assert moved(file, f"sqlite:///{path}").is_finished
    assert rows(f"sqlite:///{path}") == rows(file)


async def test_of_copies_that_begin_at_once_one_writes(file: str, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    await with_events(file, "alice", "bob")
    monkeypatch.setattr(one_copy, "refuse_in_use", lambda _: None)
    serving = Store.open(file, clock=now_us)
    (refused,) = moved_twice(file, target)
    await serving.close()
    assert re.match(r"another `zimwatch db copy` writes to|.* is already served by another Zimwatch \(process", refused)
    assert moved(file, target).is_finished
    assert rows(target) == rows(file)


@pytest.mark.parametrize("is_taken", [False, True])
async def test_a_copy_that_lost_its_session_continues_unless_another_has_begun(server: str, *, is_taken: bool) -> None:
    with contextlib.ExitStack() as opened:
        copies = []
        for _ in range(2):
            database = engines.open_database(server, attach=False, steady=steady_us, threads=THREADS, files=FILES)
            opened.enter_context(contextlib.closing(database)).migrate()
            copies.append(OneCopy(database))
        first, second = copies
        first.take()
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
        for copy in copies:
            with pytest.raises(sa.exc.OperationalError), copy.begin():
                pass
        winner, loser = (second, first) if is_taken else (first, second)
        with winner.begin():
            pass
        with pytest.raises(DatabaseRefusedError, match="another `zimwatch db copy` writes to"), loser.begin():
            pass


async def test_while_it_is_served_all_is_copied_and_the_rest_is_caught_up_with_once_it_is_not(
    file: str, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_rows, "CHUNK", 10)
    await with_events(file, *(f"user {number}" for number in range(30)))
    serving = Store.open(file, clock=now_us)
    first = moved(file, server)
    assert (first.is_finished, first.behind) == (False, 0)
    phone = Phone("user 7", "another")
    await serving.append([phone.login(100), *(phone.says("CONNECTED", "SUCCESS", at=101 + at) for at in range(5))])
    second = moved(file, server)
    written = {table.table: table.written for table in second.tables if table.written}
    assert written["events"] == 6
    assert written["user_status"] == 1
    with pytest.raises(DatabaseRefusedError, match=r"a copy that is not finished; run the same `zimwatch db copy`"):
        Store.open(server, clock=now_us)
    await serving.append([phone.says("DISCONNECTED", "KICKED_OUT", at=200)])
    await serving.close()
    last = moved(file, server)
    assert last.is_finished
    assert {table.table: table.written for table in last.tables}["events"] == 1
    assert rows(server) == rows(file)
    with pytest.raises(DatabaseRefusedError, match=r"was moved to postgresql://.*would be sent twice"):
        Store.open(file, clock=now_us)
    with pytest.raises(DatabaseRefusedError, match="was moved to"):
        Store.open(file, clock=now_us, attach=True)


async def test_a_copy_goes_on_as_the_database_would_have(tmp_path: Path, file: str, server: str) -> None:
    store = Store.open(file, clock=now_us, export_spans=True)
    token, secret = await new_token(store, "read")
    phone = Phone("alice")
    await store.append([phone.login(0), phone.says("CONNECTED", "SUCCESS", at=1)])
    await store.close()
    for source, target in ((file, server), (server, f"sqlite:///{tmp_path / 'back.db'}")):
        moved(source, target)
        store = Store.open(target, clock=now_us, export_spans=True)
        assert store.credentials.token(secret) is not None
        event = phone.says("RECONNECTING", "LOGIN_INTERRUPTED", at=phone.seq)
        answer = await store.append([event, event])
        assert (answer.accepted, answer.duplicates) == (1, 1)
        another, _ = await new_token(store, "read")
        assert another.id > token.id, "a key that was copied is not given again"
        token = another
        user = await store.read(user_reads.user, APP_ID, "alice", store.now())
        assert user is not None
        assert user.user.status == "offline"
        for part, found in (("lic", ["alice"]), ("x", [])):
            listed = await store.read(user_list.list_users, UserQuery(q=part), store.now())
            assert [one.user_id for one in listed.users] == found
        await with_new_user(store, f"new {target[:6]}")
        await store.close()


async def with_new_user(store: Store, name: str) -> None:
    assert (await store.append([Phone(name).login(0)])).accepted == 1
    listed = await store.read(user_list.list_users, UserQuery(q=name[2:6]), store.now())
    assert name in [one.user_id for one in listed.users]


async def test_what_differs_in_the_copy_is_written_again_and_nothing_else(
    file: str, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_rows, "CHUNK", 5)
    await with_events(file, *(f"user {number}" for number in range(20)))
    serving = Store.open(file, clock=now_us)
    moved(file, server)
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("UPDATE events SET extended_data = 'x' WHERE position = 3")
        connection.execute("DELETE FROM events WHERE position IN (8, 9)")
        connection.execute("UPDATE user_status SET user_id = 'mallory' WHERE user_key = 2")
        connection.execute("INSERT INTO traces (trace_id, root_position) VALUES ('\\x00', 1), ('\\xff', 1)")
    again = moved(file, server)
    assert {table.table: table.written for table in again.tables if table.written} == {
        "events": 3,
        "user_status": 1,
        "traces": 2,
    }
    await serving.close()
    last = moved(file, server)
    assert rows(server) == rows(file)
    assert not [table for table in last.tables if table.written and table.table not in ("lease_stretches", "followers")]
    store = Store.open(server, clock=now_us)
    listed = await store.read(user_list.list_users, UserQuery(q="mall"), store.now())
    assert [one.user_id for one in listed.users] == []
    await store.close()


async def test_unique_values_that_have_changed_places_are_copied(
    tmp_path: Path, file: str, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_rows, "CHUNK", 2)
    await with_events(file, *(f"user {number}" for number in range(6)))
    serving = Store.open(file, clock=now_us)
    moved(file, server)
    with contextlib.closing(sqlite3.connect(tmp_path / "here.db")) as connection, connection:
        for user_id, key in (("x", 1), ("user 0", 6), ("user 5", 1)):
            connection.execute("UPDATE user_status SET user_id = ? WHERE user_key = ?", (user_id, key))
    moved(file, server)
    await serving.close()
    assert moved(file, server).is_finished
    assert rows(server)["user_status"] == rows(file)["user_status"]


@pytest.mark.usefixtures("server")
async def test_a_copy_is_made_to_a_new_database_alone(tmp_path: Path, file: str, server: str) -> None:
    other = f"sqlite:///{tmp_path / 'other.db'}"
    await with_events(file, "alice")
    await with_events(other, "bob")
    before = rows(other)
    with pytest.raises(DatabaseRefusedError, match="has data already"):
        moved(file, other)
    with pytest.raises(DatabaseRefusedError, match=r"has data already|already served"):
        moved(file, file)
    assert rows(other) == before
    with pytest.raises(DatabaseRefusedError, match="there is no database"):
        moved(f"sqlite:///{tmp_path / 'none.db'}", other)
    serving = Store.open(file, clock=now_us)
    moved(file, server)
    with pytest.raises(DatabaseRefusedError, match="unfinished copy of another database"):
        moved(other, server)
    with pytest.raises(DatabaseRefusedError, match="not finished"):
        moved(server, f"sqlite:///{tmp_path / 'third.db'}")
    with pytest.raises(DatabaseRefusedError, match="not finished"):
        database_copy.reopen(server)
    await serving.close()
    target = Store.open(other, clock=now_us)
    with pytest.raises(DatabaseRefusedError, match="already served"):
        moved(file, other)
    await target.close()


async def test_what_the_other_engine_cannot_take_is_named_and_the_source_may_be_served(file: str, server: str) -> None:
    await with_events(file, Random(1).randbytes(3_000).hex())  # noqa: S311 - what can be compressed would fit
    with pytest.raises(DatabaseRefusedError, match=r"cannot take rows of user_status: .*index row"):
        moved(file, server)
    await with_events(file, "bob")


async def test_a_moved_database_is_served_again_only_when_that_is_wanted(file: str, server: str) -> None:
    await with_events(file, "alice")
    moved(file, server)
    with pytest.raises(DatabaseRefusedError, match="db reopen"):
        await with_events(file, "bob")
    assert database_copy.reopen(file)
    await with_events(file, "bob")
    assert not database_copy.reopen(file)


async def test_a_database_of_an_older_zimwatch_is_upgraded_before(tmp_path: Path, file: str, server: str) -> None:
    await with_events(file, "alice")
    with contextlib.closing(sqlite3.connect(tmp_path / "here.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '0063_sessions_at_the_provider'")
    for source, target in ((file, server), (server, file)):
        with pytest.raises(DatabaseRefusedError, match="older Zimwatch; stop it and run `zimwatch db upgrade` first"):
            moved(source, target)


def test_all_columns_are_of_types_that_are_the_same_on_both_engines() -> None:
    """No fractions, no dates, no decimals: their forms differ, and the copy knows none of them."""
    types = (sa.Integer, sa.Text, sa.LargeBinary, sa.Boolean)
    for table in schema.metadata.sorted_tables:
        assert table.primary_key.columns, table.name
        assert all(isinstance(column.type, types) for column in table.columns), table.name
