"""What PostgreSQL alone does: who may serve, what a lost session costs, and how long an outage lasts."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
import sqlalchemy as sa

from sidecar.domain.events import Event
from sidecar.domain.lease import LONGEST_INTERVAL_S
from sidecar.domain.login_state import LoginState
from sidecar.errors import DatabaseRefusedError, StoreUnavailableError
from sidecar.store import Store, database, engines, mapping, schema
from sidecar.store.log import event_log
from sidecar.store.users import client_rows, user_reads
from sidecar.store.values import Commit
from tests.support import databases
from tests.support.databases import url_of
from tests.support.events import BEGIN_US, Phone
from tests.support.every_statement import execute_everything
from tests.support.stores import opened, projected
from tests.support.tokens import new_token, revoke

pytestmark = [pytest.mark.postgres, pytest.mark.usefixtures("on_postgresql")]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = opened(tmp_path)
    yield store
    await store.close()


async def test_commands_work_beside_the_processes_that_serve_a_database(store: Store, tmp_path: Path) -> None:
    assert engines.is_served(url_of(tmp_path))
    command = opened(tmp_path, attach=True)
    token, secret = await new_token(command, "read")
    assert store.credentials.token(secret) is not None
    await revoke(command, token)
    await becomes(lambda: (found := store.credentials.token(secret)) is not None and found.revoked_at_us is not None)
    with pytest.raises(DatabaseRefusedError, match="only attached"):
        await command.append([Phone("bob").login(0)])
    await command.close()
    await store.close()
    assert not engines.is_served(url_of(tmp_path))


async def test_who_loses_its_session_reads_again_what_it_kept_in_memory(store: Store, tmp_path: Path) -> None:
    phone = Phone("alice")
    assert (await store.append([phone.login(0)])).accepted == 1
    end_sessions(url_of(tmp_path))
    other = opened(tmp_path)
    with pytest.raises(StoreUnavailableError):
        await store.append([phone.says("CONNECTING", "ACTIVE_LOGIN", at=1)])
    assert (await other.append([phone.says("CONNECTED", "SUCCESS", at=2)])).accepted == 1
    await other.close()
    answer = await until_accepted(store, [phone.says("DISCONNECTED", "KICKED_OUT", at=3)])
    assert answer.accepted == 1
    user = await store.read(user_reads.user, phone.app_id, "alice", store.now())
    assert user is not None
    assert (user.user.status, user.user.reason, user.user.position) == ("not_logged_in", "KICKED_OUT", 3)


async def test_tables_are_not_upgraded_under_a_process_that_serves_them(store: Store, tmp_path: Path) -> None:
    await store.write(
        lambda connection: connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0064_pruned_apps'")
    )
    with pytest.raises(DatabaseRefusedError, match="stop all that serve it first"):
        opened(tmp_path)


async def test_text_is_kept_verbatim_also_with_what_postgresql_cannot_store(store: Store) -> None:
    odd = 'a\0b\x1ac\x1a0\\u0000"😀'
    phone = Phone("al\0ice")
    event = msgspec.structs.replace(phone.says("CONNECTED", "SUCCESS", at=1), extended_data=odd, app_version=odd)
    await store.append([event])
    found = await store.read(user_reads.timeline, phone.app_id, "al\0ice", before=None, limit=10)
    assert [one.event for one in found] == [event]
    assert await store.read(user_reads.user, phone.app_id, "al\x1a0ice", store.now()) is None


async def test_an_announcement_of_many_users_arrives_whole(store: Store, tmp_path: Path) -> None:
    heard: list[Commit] = []
    store.subscribe(heard.append)
    users = tuple((1, f"user {number}" * 20) for number in range(500))
    command = opened(tmp_path, attach=True)
    announced = Commit(7, users, alerts=(1, 2))
    await command.write(lambda connection: database.of(connection).announce(connection, announced))
    await becomes(lambda: announced in heard)
    await command.close()


async def becomes(it_is: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while True:
            if it_is():
                return
            await asyncio.sleep(0.02)


def end_sessions(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as server:
        ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        server.execute(f"{ended} AND datname = current_database()".encode())


async def until_accepted(store: Store, events: list[Event]) -> Any:
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(StoreUnavailableError):
                return await store.append(events)
            await asyncio.sleep(0.1)


@pytest.mark.soak
async def test_a_walk_reads_about_as_far_as_its_rows_are_consumed(store: Store) -> None:
    def first(connection: sa.Connection, count: int) -> list[int]:
        sql = "SELECT ? / (1000 - number) FROM generate_series(1, 1000) AS series (number)"  # the last one fails
        return [row[0] for row in islice(database.of(connection).walk(connection, sql, (999,)), count)]

    assert (await store.read(first, 3)) == [1, 1, 1]
    assert len(await store.read(first, 100)) == 100
    with pytest.raises(psycopg.errors.DivisionByZero):
        await store.read(first, 1000)


@pytest.mark.soak
def test_every_statement_and_every_page_runs_on_postgresql(tmp_path: Path) -> None:
    execute_everything(tmp_path)


async def test_what_an_index_cannot_take_is_rejected_and_holds_up_no_other_event(store: Store) -> None:
    chance = random.Random(1)  # noqa: S311 - ids that cannot be compressed
    ids = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=length)) for length in (2_048, 2_049)]
    # U+0000 is stored as two bytes.
    ids.append("".join(chance.choice("abcdefgh") + chance.choice("stuvwxyz") + "\0" for _ in range(682)))
    events = [Phone(user_id).says("CONNECTED", "SUCCESS", at=1) for user_id in ids]
    long_versions = msgspec.structs.replace(
        Phone("carol").says("CONNECTED", "SUCCESS", at=1), sdk_version="😀" * 256, app_version="😀" * 257
    )
    answer = await store.append([*events, long_versions, Phone("bob").says("CONNECTED", "SUCCESS", at=1)])
    assert answer.accepted == 2
    assert [place for place, _ in answer.refused] == [1, 2, 3]
    assert all("PostgreSQL cannot index" in why for _, why in answer.refused)


async def test_a_rejected_event_takes_no_other_of_its_client_with_it(store: Store) -> None:
    phone = Phone("alice")
    first, second, third = (phone.says("CONNECTED", "SUCCESS", at=at) for at in range(3))
    unfit = msgspec.structs.replace(second, sdk_version="😀" * 256, app_version="😀" * 257)
    dry = await store.read(event_log.would_append, [first, unfit, second, third, first], store.now().leases)
    answer = await store.append([first, unfit, second, third, first])
    assert [place for place, _ in answer.refused] == [place for place, _ in dry.refused] == [1]
    assert (answer.accepted, answer.duplicates) == (dry.accepted, dry.duplicates) == (3, 1)
    only = msgspec.structs.replace(phone.says("CONNECTED", "SUCCESS", at=3), user_id="a" * 2_049)
    answer = await store.append([only])
    assert (answer.accepted, answer.duplicates, len(answer.refused)) == (0, 0, 1)


async def test_tables_of_an_earlier_zimwatch_are_upgraded(tmp_path: Path) -> None:
    """Of the first revision on PostgreSQL: each later migration runs there too, and makes what a new database has."""
    url = url_of(tmp_path / "old")
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(b"DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        server.execute(Path(__file__).with_name("postgres_0062.sql").read_bytes())
    old = opened(tmp_path / "old", export_spans=True)
    assert (await old.read(user_reads.summary)).online == 1
    assert (await old.append([Phone("carol").says("CONNECTED", "SUCCESS", at=9)])).accepted == 1
    live = projected(tmp_path / "old")
    await old.rebuild()
    await old.close()
    assert projected(tmp_path / "old") == live
    assert structure(tmp_path / "old") == structure(tmp_path / "new")


def structure(folder: Path) -> list[tuple[Any, ...]]:
    columns = (
        "SELECT table_name, column_name, data_type, collation_name, is_nullable FROM information_schema.columns"
        " WHERE table_schema = 'public' UNION ALL"
        " SELECT tablename, indexname, indexdef, NULL, NULL FROM pg_indexes WHERE schemaname = 'public' UNION ALL"
        " SELECT 'revision', version_num, NULL, NULL, NULL FROM alembic_version ORDER BY 1, 2"
    )
    with databases.reading(folder) as connection:
        return [tuple(row) for row in connection.exec_driver_sql(columns)]


async def test_a_client_may_have_the_longest_interval_between_heartbeats(store: Store) -> None:
    """An index has the end of its lease, in microseconds."""
    client = mapping.Client(
        client_key=1,
        client_id=b"1",
        user_key=1,
        state=LoginState(),
        last_seen_at_us=BEGIN_US,
        sends_heartbeats=True,
        heartbeat_after_s=LONGEST_INTERVAL_S,
    )
    await store.write(lambda c: c.exec_driver_sql(mapping.insert(schema.clients), [mapping.client_row(client)]))
    assert [one.heartbeat_after_s for one in await store.read(client_rows.newest, 1, 1)] == [LONGEST_INTERVAL_S]
