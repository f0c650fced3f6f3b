"""The guarantees of a database engine: one suite for each, by the fixture ``database``."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from sidecar.domain.events import HEARTBEAT, Event
from sidecar.domain.lease import Leases, LeaseTime
from sidecar.errors import DatabaseRefusedError
from sidecar.store import database as databases
from sidecar.store.database import Database, Key
from sidecar.store.log import event_log
from sidecar.store.log.event_log import Batch
from sidecar.store.log.followers import FollowerFailedError, Followers
from sidecar.store.sqlite.sqlite_database import SqliteDatabase
from sidecar.store.users.projections import Projections
from sidecar.store.values import Applied, Commit
from tests.support.cursors import cursor
from tests.support.events import APP_ID, BEGIN_US, Phone, made_id
from tests.support.process import DATABASE

FIRST, SECOND = Commit(1, ((APP_ID, "alice"),)), Commit(2, (), (7,))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = SqliteDatabase.open(tmp_path / DATABASE)
    made.migrate()
    with closing(made):
        yield made


def connected(*users: str) -> list[Event]:
    return [Phone(user).says("CONNECTED", "SUCCESS", at=0) for user in users]


def append(connection: sa.Connection, events: Sequence[Event], followers: Followers | None = None) -> None:
    projections = Projections(connection, Leases())
    event_log.append(
        connection, [Batch(events)], projections, time=LeaseTime.without_skips(BEGIN_US), followers=followers
    )


def undone(database: Database, work: Callable[[sa.Connection], object]) -> None:
    """A transaction that fails after the work."""

    def fail() -> None:
        with database.begin() as connection:
            work(connection)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()


def positions(connection: sa.Connection) -> list[int]:
    return [row[0] for row in connection.exec_driver_sql("SELECT position FROM events ORDER BY position")]


def test_a_transaction_is_kept_as_a_whole_or_undone_by_an_error(database: Database) -> None:
    with database.begin() as connection:
        append(connection, connected("alice"))
    undone(database, lambda connection: append(connection, connected("bob")))
    with database.begin() as connection:
        assert positions(connection) == [1]


def test_a_snapshot_stays_as_it_was_and_writes_nothing(database: Database) -> None:
    with database.reading() as snapshot:
        assert positions(snapshot) == []
        with database.begin() as connection:
            append(connection, connected("alice"))
        assert positions(snapshot) == []
        with pytest.raises(sa.exc.DatabaseError):
            snapshot.exec_driver_sql("DELETE FROM followers")
    assert database.peek("SELECT user_id FROM events WHERE app_id = ?", APP_ID) == [("alice",)]


def test_a_transaction_sees_what_the_one_before_it_has_committed(database: Database) -> None:
    found: list[int] = []

    def count() -> None:
        with database.begin() as connection:
            found.append(len(positions(connection)))
            append(connection, connected(f"user {len(found)}"))

    with database.begin() as connection:
        others = [threading.Thread(target=count) for _ in range(2)]
        for other in others:
            other.start()
        append(connection, connected("alice"))
    for other in others:
        other.join()
    assert found == [1, 2]


@pytest.mark.parametrize("claim", [True, False])
def test_ids_are_new_that_are_not_in_the_log_of_their_app(database: Database, *, claim: bool) -> None:
    (alice, bob) = connected("alice", "bob")
    keys: list[Key] = [(APP_ID, alice.id), (APP_ID, bob.id), (APP_ID, alice.id), (7, alice.id)]
    many: list[Key] = [(APP_ID, made_id(f"many {number}")) for number in range(1_000)]
    with database.begin() as connection:
        append(connection, [alice])
    with database.begin() as connection:
        assert database.new_ids(connection, keys, claim=claim) == {(APP_ID, bob.id), (7, alice.id)}
        assert database.new_ids(connection, many, claim=claim) == set(many)
    with database.reading() as connection:
        assert database.new_ids(connection, keys, claim=False) == {(APP_ID, bob.id), (7, alice.id)}


def test_what_was_claimed_and_dropped_is_new_again(database: Database) -> None:
    (alice,) = connected("alice")
    with database.begin() as connection:
        keys = database.new_ids(connection, [(APP_ID, alice.id)])
        database.insert_events(connection, (), keys)
    with database.begin() as connection:
        append(connection, [alice])
        assert positions(connection) == [1]


def test_positions_follow_one_another_in_the_order_of_the_commits(database: Database) -> None:
    with database.begin() as connection:
        append(connection, [*connected("alice", "bob"), Phone("alice").event(HEARTBEAT, 1)])
    with database.begin() as connection:
        database.lock_users(connection, connected("carol"))
        assert database.new_positions(connection, 5) == 3
    with database.begin() as connection:
        append(connection, connected("carol", "dave"))
        assert positions(connection) == [1, 2, 3, 4]


def test_the_log_is_read_behind_a_cursor_in_order_and_no_more_than_is_wanted(database: Database) -> None:
    for users in (("alice", "bob"), ("carol",), ("dave", "erin")):
        with database.begin() as connection:
            append(connection, connected(*users))
    for context in (database.begin(), database.reading()):
        with context as connection:
            read = [database.log_behind(connection, at, 2) for at in (0, 2, 4, 5)]
    assert [[one.event.user_id for one in some] for some in read] == [["alice", "bob"], ["carol", "dave"], ["erin"], []]
    assert [one.position for some in read for one in some] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("part", ["e", "ob", "CAROL", "ca_ol", "x"])
def test_every_id_with_the_part_is_found(database: Database, part: str) -> None:
    users = ["alice", "bob", "Carol", "mallory", "émile"]
    with database.begin() as connection:
        append(connection, connected(*users))
    with database.reading() as connection:
        rows = connection.exec_driver_sql("SELECT user_key, user_id FROM user_status").all()
        wanted = {row[0] for row in rows if databases.folded(part) in databases.folded(row[1])}
        assert wanted <= set(database.find(connection, part, 10))
        assert len(database.find(connection, "l", 2)) == 2
    with database.begin() as connection:
        database.index_ids(connection, None)
        assert wanted <= set(database.find(connection, part, 10))


def test_counts_of_groups_add_up(database: Database) -> None:
    with database.begin() as connection:
        append(connection, connected("alice", "bob"))
    with database.begin() as connection:
        ((key, before),) = connection.exec_driver_sql("SELECT group_key, users FROM user_groups").all()
        database.count(connection, groups=[(3, key)])
        database.count(connection, groups=[(-1, key)])
        assert connection.exec_driver_sql("SELECT users FROM user_groups").scalar_one() == before + 2


def test_an_announcement_reaches_all_after_its_commit_and_not_at_all_where_it_is_undone(database: Database) -> None:
    received: list[tuple[str, Commit, int]] = []

    def listener(name: str) -> None:
        def hear(commit: Commit) -> None:
            with database.reading() as connection:
                received.append((name, commit, len(positions(connection))))

        ends.append(database.listen(hear))

    ends: list[object] = []
    listener("one")
    listener("two")
    with database.begin() as connection:
        append(connection, connected("alice"))
        database.announce(connection, FIRST)
        database.announce(connection, SECOND)
        assert received == []
    undone(database, lambda connection: database.announce(connection, FIRST))
    assert received == [(name, commit, 1) for commit in (FIRST, SECOND) for name in ("one", "two")]
    ends[0]()  # type: ignore[operator]  # what listen gave
    with database.begin() as connection:
        database.announce(connection, SECOND)
    assert [name for name, *_ in received[4:]] == ["two"]


def test_only_who_serves_the_database_has_its_duties_and_for_good(database: Database, tmp_path: Path) -> None:
    term = database.term("leases")
    assert term is not None
    assert term.is_for_good
    assert database.term("leases") is term
    assert database.term("retention") is not term
    with closing(SqliteDatabase.open(tmp_path / DATABASE, attach=True)) as other:
        assert other.term("leases") is None
        assert not other.is_held(term)
    with pytest.raises(DatabaseRefusedError):
        SqliteDatabase.open(tmp_path / DATABASE)


class Follower:
    """Fails on demand."""

    name = "follower"
    fails = False

    def follow(self, connection: sa.Connection, applied: Sequence[Applied], _now_us: int, /) -> None:
        sql = "INSERT INTO span_losses (lost_at_us, kind, spans, position, problem) VALUES (0, 'note', 1, ?, '')"
        connection.exec_driver_sql(sql, [(one.position,) for one in applied])
        if self.fails:
            raise ZeroDivisionError


def effects(connection: sa.Connection) -> tuple[int, int]:
    """The cursor, and how much was written."""
    written = connection.exec_driver_sql("SELECT COUNT(*) FROM span_losses").scalar_one()
    return cursor(connection, Follower.name), int(written)


def test_a_cursor_moves_with_its_effect_or_not_at_all(database: Database) -> None:
    follower = Follower()
    followers = Followers(follower)
    with database.begin() as connection:
        followers.begin(connection)
        append(connection, connected("alice"), followers)
        assert effects(connection) == (1, 1)
    undone(database, lambda connection: append(connection, connected("bob"), followers))
    follower.fails = True
    with pytest.raises(FollowerFailedError), database.begin() as connection:
        append(connection, connected("bob"), followers)
    with database.begin() as connection:
        append(connection, connected("bob"), followers)
        assert effects(connection) == (1, 1), "the second try is not followed"
    follower.fails = False
    followers.catch_up(database, BEGIN_US)
    with database.begin() as connection:
        assert effects(connection) == (2, 2)
        append(connection, connected("carol"), followers)
        assert effects(connection) == (3, 3), "who has caught up follows in the transaction again"
    assert not followers.is_behind
