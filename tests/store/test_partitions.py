"""The event log of PostgreSQL is in partitions, which are made ahead and dropped as a whole."""

from __future__ import annotations

import contextlib
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from sidecar.domain.events import Event
from sidecar.domain.units import DAY_US, SECOND_US
from sidecar.store import Store, database, engines, log_positions
from sidecar.store.care import erasures
from sidecar.store.care.retention import Retention
from sidecar.store.log import forwarding, log_reads, span_outbox
from sidecar.store.users import user_reads
from tests.support import databases
from tests.support.clocks import Clock
from tests.support.counted import statements
from tests.support.databases import url_of
from tests.support.events import APP_ID, BEGIN_US, Phone
from tests.support.partitions import names, rows_by_partition, use_small_partitions
from tests.support.stores import projected

pytestmark = [pytest.mark.postgres, pytest.mark.usefixtures("on_postgresql")]

DAY_S = 86_400


def opened(folder: Path, clock: Clock, **options: Any) -> Store:
    options.setdefault("retention", Retention(events_us=10 * DAY_US))
    return Store.open(url_of(folder), clock=clock, **options)


@contextlib.asynccontextmanager
async def closing(store: Store) -> AsyncIterator[Store]:
    try:
        yield store
    finally:
        await store.close()


def lives(days: int, a_day: int = 20) -> list[list[Event]]:
    """The events of each day: of some users of all days, and of some of one day alone."""
    chance = random.Random(7)  # noqa: S311 - a test
    phones = [Phone(f"user {number}") for number in range(6)]
    found = []
    for day in range(days):
        at = day * DAY_S
        guest = Phone(f"guest {day}")
        guest.login(at)
        own = [guest.says("CONNECTED", "SUCCESS", at), guest.says("DISCONNECTED", "LOGOUT", at + 1)]
        while len(own) < a_day:
            word, event = chance.choice([("CONNECTED", "SUCCESS"), ("RECONNECTING", "LOGIN_INTERRUPTED")])
            own.append(chance.choice(phones).says(word, event, at + len(own)))
        found.append(own)
    return found


async def append_days(store: Store, clock: Clock, days: list[list[Event]]) -> None:
    for own in days:
        clock.now_us = own[-1].received_at_us
        assert (await store.append(own)).accepted == len(own)


async def test_retention_drops_partitions_and_deletes_none_of_their_events(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_small_partitions(tmp_path, monkeypatch, 20)
    days = lives(14)
    async with closing(opened(tmp_path, clock)) as store:
        await append_days(store, clock, days)
        assert sorted(rows_by_partition(tmp_path).values()) == [*[20] * 12, 40]
        assert (await store.append(days[0])).duplicates == 20, "ids are known across partitions"
        clock.now_us = BEGIN_US + 14 * DAY_US - SECOND_US  # the first four days are over their time
        with statements() as executed:
            await store.prune(despite_jump=True)
        assert not [sql for sql in executed if "DELETE FROM events" in sql]
        assert sum(sql.startswith("DROP TABLE") for sql in executed) == 3
        assert sum("FROM events_" in sql for sql in executed if sql.startswith("DELETE")) == 3, "of the ids: 40 at once"
        assert names(tmp_path)[0] == "events_81_101"
        assert (await store.read(rows, "events"), await store.read(rows, "event_ids")) == (200, 200)
        assert await store.read(rows, "detached_partitions") == 0
        assert (await store.append(days[4])).duplicates == 20
        assert (await store.append([days[0][5]])).accepted == 1, "its id is not known any more"


async def test_after_partitions_were_dropped_all_is_as_after_their_events_were_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rows").mkdir()
    (tmp_path / "partitions").mkdir()
    use_small_partitions(tmp_path / "partitions", monkeypatch, 20)
    found = []
    for folder in (tmp_path / "rows", tmp_path / "partitions"):
        other = Clock()
        async with closing(opened(folder, other, export_spans=True)) as store:
            await store.write(forwarding.begin)
            await append_days(store, other, lives(14))
            other.now_us = BEGIN_US + 14 * DAY_US - SECOND_US
            await store.prune(despite_jump=True)
            late = Phone("user 0", "another device")
            await store.append([late.says("CONNECTED", "SUCCESS", 14 * DAY_S)])
            live = projected(folder)
            losses = [(one.kind, one.spans) for one in await store.read(span_outbox.newest_losses, 100)]
            found.append(
                (
                    live,
                    sum(spans for _, spans in losses),
                    await store.read(span_outbox.backlog),
                    await store.read(forwarding.state),
                    await store.read(log_positions.oldest_position),
                    await store.read(user_reads.timeline, APP_ID, "user 1", before=None, limit=100),
                )
            )
            await store.rebuild()
            assert projected(folder) == live
    assert "events_0_100001" in names(tmp_path / "rows")
    assert found[0] == found[1]
    assert found[0][4] == 81


async def test_an_event_waits_for_its_partition_and_one_of_a_long_time_does_not(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_small_partitions(tmp_path, monkeypatch, 40)
    days = lives(14)
    async with closing(opened(tmp_path, clock, retention=Retention(events_us=DAY_US))) as store:
        await append_days(store, clock, days[:3])
        clock.now_us = BEGIN_US + 2 * DAY_US
        await store.prune(despite_jump=True)
        assert await store.read(rows, "events") == 60, "two days are in the first partition, and end together"
        # Eight days in one partition.
        few = [own[:4] for own in days[3:11]]
        await append_days(store, clock, few)
        clock.now_us = BEGIN_US + 8 * DAY_US
        await store.prune(despite_jump=True)
        left = {row[0] for row in await store.read(received)}
        assert {(one - BEGIN_US) // DAY_US for one in left} == {7, 8, 9, 10}


async def test_partitions_are_made_ahead_by_retention_of_about_a_days_events(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_small_partitions(tmp_path, monkeypatch, 20)
    days = lives(8, a_day=50)
    async with closing(opened(tmp_path, clock)) as store:
        assert names(tmp_path) == ["events_0_21"]
        await store.append(days[0][:8])
        await store.prune(despite_jump=True)
        assert names(tmp_path) == ["events_0_21"]
        await store.append(days[0][8:12])
        await store.prune(despite_jump=True)
        assert names(tmp_path) == ["events_0_21", "events_21_45"], "twice the events of the first hours"
        await store.append(days[0][12:])
        for own in days[1:]:
            clock.now_us = own[-1].received_at_us
            for some in range(0, 50, 10):
                await store.prune(despite_jump=True)
                with statements() as executed:
                    await store.append(own[some : some + 10])
                assert not [sql for sql in executed if "ATTACH PARTITION" in sql], "it was made ahead"
        sizes = [int(end) - int(first) for _, first, end in (name.split("_") for name in names(tmp_path)[-3:])]
        assert all(50 <= size <= 70 for size in sizes), sizes


async def test_an_event_that_has_no_partition_is_stored(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No duty ran; more events than a partition has room for in one commit; clocks that are ahead and behind."""
    use_small_partitions(tmp_path, monkeypatch, 5)
    phone = Phone("alice")
    async with closing(opened(tmp_path, clock)) as store:
        for at in ([1], range(2, 60), [100 * DAY_S, 3, -500 * DAY_S], [4, 10_000 * DAY_S], range(5, 40)):
            own = [phone.says("CONNECTED", "SUCCESS", one) for one in at]
            assert (await store.append(own)).accepted == len(own)
        assert await store.read(log_positions.newest_position) == phone.seq
        timeline = await store.read(user_reads.timeline, APP_ID, "alice", before=None, limit=1_000)
        assert [one.position for one in timeline] == list(range(phone.seq, 0, -1))
        by_id = await store.read(log_reads.event_by_id, APP_ID, timeline[30].event.id)
        assert by_id is not None
        assert by_id.position == timeline[30].position
    assert len(names(tmp_path)) == 3


async def test_a_partition_that_was_not_committed_is_made_again(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_small_partitions(tmp_path, monkeypatch, 5)
    phone = Phone("alice")
    async with closing(opened(tmp_path, clock)) as store:
        await store.append([phone.says("CONNECTED", "SUCCESS", 1)])

        def undone(connection: sa.Connection) -> None:
            partitions: Any = database.of(connection).log_partitions
            partitions.make_room(connection, 100)
            partitions.make_room(connection, 100)
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await store.write(undone)
        assert names(tmp_path) == ["events_0_6"]
        assert (await store.append([phone.says("CONNECTED", "SUCCESS", at) for at in range(2, 90)])).accepted == 88


async def test_two_nodes_pass_the_end_of_a_partition(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever node makes a partition or drops one, the other one uses what there is."""
    use_small_partitions(tmp_path, monkeypatch, 20)
    days = lives(16)
    async with closing(opened(tmp_path, clock)) as first, closing(opened(tmp_path, clock)) as second:
        for day, own in enumerate(days):
            clock.now_us = own[-1].received_at_us
            node, other = (first, second) if day % 2 else (second, first)
            assert (await node.append(own[:7])).accepted == 7
            assert (await other.append(own[7:])).accepted == 13
            assert (await node.append(own)).duplicates == 20
            await (first if day % 3 else second).prune(despite_jump=True)
        assert 10 * 20 <= await first.read(rows, "events") <= 12 * 20
        assert await first.read(rows, "events") == await second.read(rows, "event_ids")
        assert await first.read(user_reads.summary) == await second.read(user_reads.summary)


async def test_a_long_read_delays_a_drop_and_no_event(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_small_partitions(tmp_path, monkeypatch, 20)
    days = lives(14)
    async with closing(opened(tmp_path, clock)) as store:
        await append_days(store, clock, days[:13])
        clock.now_us = BEGIN_US + 13 * DAY_US
        with psycopg.connect(url_of(tmp_path)) as reader:
            reader.execute("SELECT COUNT(*) FROM events").fetchone()
            await store.prune(despite_jump=True)
            assert await store.read(rows, "events") == 260
            assert (await store.append(days[13])).accepted == 20, "also into a partition that is made meanwhile"
        await store.prune(despite_jump=True)
        assert await store.read(rows, "events") == 220


async def test_erasing_a_user_reaches_each_partition_and_one_that_is_about_to_be_dropped(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_small_partitions(tmp_path, monkeypatch, 20)
    days = lives(14)
    async with closing(opened(tmp_path, clock)) as store:
        await append_days(store, clock, days)
        of_user = sum(one.user_id == "user 1" for own in days for one in own)

        def detach(connection: sa.Connection) -> None:
            partitions = database.of(connection).log_partitions
            oldest = partitions.oldest(connection)
            assert oldest is not None
            assert partitions.lock(connection)
            partitions.detach(connection, oldest)

        await store.write(detach)
        assert any(one.user_id == "user 1" for one in days[0])
        number = await store.write(erasures.ask, APP_ID, "user 1", clock.now_us)
        await store.erase()
        done = await store.read(erasures.one, number)
        assert done is not None
        assert done.removed["events"] == of_user
        for table in ("events", "events_0_21"):
            assert await store.read(rows, f"{table} WHERE user_id = 'user 1'") == 0
        assert await store.read(rows, "event_ids") == 14 * 20 - of_user
        await store.prune(despite_jump=True)
        assert await store.read(rows, "event_ids") == await store.read(rows, "events")


async def test_a_full_database_of_an_earlier_zimwatch_keeps_everything(tmp_path: Path, clock: Clock) -> None:
    """More events than the first partition of a new database has room for."""
    url = url_of(tmp_path)
    more = 120_000
    made = (
        "INSERT INTO events SELECT number, decode(md5(number::text), 'hex'), type, occurred_at_us, received_at_us,"
        " moment_us, client_id, seq + number, app_id, session_id, user_id, platform, sdk_name, sdk_version,"
        " app_version, device_id, connection_state, connection_event, extended_data, details, previous_user_position,"
        " previous_client_position, previous_state, previous_state_duration_us, user_status, starts_trace,"
        " reporter_name, reporter_version, proven FROM events, generate_series(6, ?) AS series (number)"
        " WHERE position = 5".replace("?", str(more))
    )
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(b"DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        server.execute(Path(__file__).with_name("postgres_0062.sql").read_bytes())
        server.execute("SET search_path = public")
        server.execute(made.encode())
        server.execute(b"UPDATE followers SET position = (SELECT MAX(position) FROM events)")
        before = server.execute("SELECT SUM(hashtext(events::text)::bigint) FROM events").fetchone()
    assert "0071_partitions" in [name for name, _ in engines.pending_migrations(url)]
    async with closing(opened(tmp_path, clock)) as store:
        assert names(tmp_path) == [f"events_0_{more + 1}"]
        assert await store.read(rows, "event_ids") == more
        with databases.reading(tmp_path) as connection:
            kept = connection.exec_driver_sql("SELECT SUM(hashtext(events::text)::bigint) FROM events").one()
        assert before == tuple(kept)
        sent = await store.read(log_reads.events_after, 0, 5)
        assert (await store.append([one.event for one in sent])).duplicates == 5
        assert (await store.append([Phone("carol").says("CONNECTED", "SUCCESS", at=9)])).accepted == 1
        assert len(names(tmp_path)) == 2
    assert engines.pending_migrations(url) == []


async def test_a_read_by_position_looks_into_one_partition(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_small_partitions(tmp_path, monkeypatch, 20)
    async with closing(opened(tmp_path, clock)) as store:
        await append_days(store, clock, lives(30))

    def read(connection: sa.Connection, sql: str) -> tuple[int, int]:
        """How many partitions were read, and how many the plan has."""
        plan = [row[0] for row in connection.exec_driver_sql(f"EXPLAIN (ANALYZE, TIMING OFF) {sql}")]
        scans = [line for line in plan if " on events_" in line]
        return sum("never executed" not in line for line in scans), len(scans)

    chain = (
        "WITH RECURSIVE chain (position, length) AS (SELECT {}::bigint, 1 UNION ALL SELECT previous_user_position,"
        " length + 1 FROM chain JOIN events USING (position) WHERE previous_user_position IS NOT NULL AND length < {})"
        " SELECT type FROM chain JOIN events USING (position)"
    )
    with databases.reading(tmp_path) as connection:
        connection.exec_driver_sql("SET enable_hashjoin = off")  # as with tables that are not as small as these
        connection.exec_driver_sql("SET enable_seqscan = off")
        connection.exec_driver_sql("SET enable_mergejoin = off")
        assert read(connection, "SELECT type FROM events WHERE position = 333") == (1, 1)
        assert read(connection, "SELECT type FROM events WHERE position > 300 ORDER BY position LIMIT 15")[0] <= 2
        assert read(connection, "SELECT type FROM events WHERE position <= 300 ORDER BY position DESC LIMIT 1")[0] == 1
        visited, planned = read(connection, chain.format(590, 3))
        assert visited <= 6
        assert planned == 2 * len(names(tmp_path)) == 58


def rows(connection: sa.Connection, table: str) -> int:
    return int(connection.exec_driver_sql(f"SELECT COUNT(*) FROM {table}").scalar_one())


def received(connection: sa.Connection) -> list[Any]:
    return list(connection.exec_driver_sql("SELECT received_at_us FROM events").all())
