"""The audit log: its chain holds, and has the ids of users as pseudonyms alone."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from sidecar.domain.units import DAY_US
from sidecar.store.access import audit_check, audit_log
from sidecar.store.access.audit_check import Broken, Verified
from sidecar.store.access.audit_retention import AuditRetention
from sidecar.store.access.audit_values import Head, SearchText, User
from sidecar.store.database import Database
from sidecar.store.sqlite.sqlite_database import SqliteDatabase
from tests.store.test_database import append, connected, undone
from tests.support.audit_edits import EDITS, TABLES, edit, rehash
from tests.support.audited import entry, record_many
from tests.support.counted import statements
from tests.support.events import APP_ID, BEGIN_US
from tests.support.process import DATABASE

ROWS = 12


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = SqliteDatabase.open(tmp_path / DATABASE)
    made.migrate()
    with closing(made):
        with made.begin() as connection:
            append(connection, connected("alice", "bob"))
        yield made


def recorded(database: Database, count: int = ROWS) -> Head:
    with database.begin() as connection:
        record_many(connection, count)
        return audit_log.head(connection)


def checked(database: Database, saved: str | None = None) -> Verified | Broken:
    with database.reading() as connection:
        return audit_check.verify(connection, saved)


def written(database: Database) -> str:
    """All text of the log and of its side table."""
    with database.reading() as connection:
        tables = ("audit_log", "audit_subjects")
        return str([tuple(row) for table in tables for row in connection.exec_driver_sql(f"SELECT * FROM {table}")])


def test_a_chain_holds_from_its_first_row_to_its_head(database: Database) -> None:
    empty = checked(database)
    assert isinstance(empty, Verified)
    assert empty.rows == 0
    head = recorded(database)
    found = checked(database, str(head))
    assert isinstance(found, Verified)
    assert (found.rows, found.head.id, found.anchor.id) == (ROWS, ROWS, 0)
    recorded(database)
    assert isinstance(checked(database, head.hash), Verified), "a head that was saved earlier is in the longer chain"


def edits_are_found(database: Database, count: int, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - the same every time
    recorded(database)
    not_found, done = [], set()
    with database.begin() as connection:
        for _ in range(count):
            undo = connection.begin_nested()
            made = edit(connection, chance)
            done.add(made.partition(" of " if made.startswith("change: ") else ":")[0])
            if isinstance(audit_check.verify(connection), Verified):
                not_found.append(made)
            undo.rollback()
        assert isinstance(audit_check.verify(connection), Verified)
    assert not_found == []
    columns = {f"change: {column}" for table in TABLES for column in table.columns}
    assert done >= columns | {one.__name__ for one in EDITS} - {"change"}


def test_random_edits_of_the_tables_are_found_each(database: Database) -> None:
    edits_are_found(database, 500, seed=21)


@pytest.mark.soak
def test_ten_thousand_random_edits_of_the_tables_are_found_each(database: Database) -> None:
    edits_are_found(database, 10_000, seed=22)


def test_a_chain_rehash_with_the_key_of_the_database_shows_against_a_saved_head_alone(database: Database) -> None:
    head = recorded(database)
    with database.begin() as connection:
        key, _ = audit_log.keys(connection)
        connection.exec_driver_sql("UPDATE audit_log SET actor = 'mallory' WHERE id = 5")
        rehash(connection, 5, key)
    assert isinstance(checked(database), Verified), "who has the key can forge: docs/security.md says so"
    assert isinstance(checked(database, str(head)), Broken)


def test_a_tail_cut_with_the_key_shows_against_a_saved_head(database: Database) -> None:
    head = recorded(database)
    with database.begin() as connection:
        key, _ = audit_log.keys(connection)
        connection.exec_driver_sql("DELETE FROM audit_log WHERE id > 9")
        rehash(connection, 9, key)
    assert isinstance(checked(database), Verified)
    for saved in (str(head), head.hash):
        assert isinstance(checked(database, saved), Broken)


def test_an_entry_that_is_undone_with_its_transaction_leaves_the_chain_as_it_was(database: Database) -> None:
    head = recorded(database)
    undone(database, lambda connection: audit_log.record(connection, entry()))
    assert isinstance(checked(database), Verified)
    with database.begin() as connection:
        assert audit_log.head(connection) == head


def test_the_log_has_a_pseudonym_and_the_side_table_the_id(database: Database) -> None:
    with database.begin() as connection:
        audit_log.record(connection, entry(), entry(1), entry(2, SearchText("Bob")))
        assert "alice" not in str(list(connection.exec_driver_sql("SELECT * FROM audit_log")))
        rows = connection.exec_driver_sql(
            "SELECT s.app_id, s.user_id FROM audit_log JOIN audit_subjects s ON s.pseudonym = subject ORDER BY id"
        )
        assert [tuple(row) for row in rows] == [(APP_ID, "alice"), (APP_ID, "alice"), (None, "Bob")]


@pytest.mark.parametrize("searched", ["alice", "ALICE", "lic", "/users/1/alice"])
def test_a_forgotten_user_is_in_the_log_by_its_pseudonym_alone(database: Database, searched: str) -> None:
    with database.begin() as connection:
        audit_log.record(connection, entry(), entry(1, SearchText(searched)), entry(2, SearchText("bob")))
        audit_log.forget(connection, APP_ID, "alice")
    assert "alic" not in written(database).lower()
    assert "bob" in written(database)
    assert isinstance(checked(database), Verified)


def test_a_look_at_an_unknown_user_or_a_search_for_it_brings_no_id_into_the_database(database: Database) -> None:
    with database.begin() as connection:
        unknown = (entry(0, User(APP_ID, "erin")), entry(1, SearchText("erin")), entry(2, SearchText("er")))
        audit_log.record(connection, *unknown)
        kept = connection.exec_driver_sql("SELECT COUNT(*) FROM audit_subjects").scalar_one()
    assert kept == 0
    assert "erin" not in written(database)


def test_recording_costs_the_same_number_of_statements_for_one_entry_and_for_many(database: Database) -> None:
    counts = []
    for entries in ([entry()], [entry(at) for at in range(100)]):
        with database.begin() as connection, statements() as executed:
            audit_log.record(connection, *entries)
        counts.append(len(executed))
    recorded(database, 200)
    with database.begin() as connection, statements() as executed:
        audit_log.record(connection, entry())
    assert counts == [5, 5] == [len(executed)] * 2


def test_a_cut_at_the_retention_leaves_an_anchor_from_which_the_rest_holds(database: Database) -> None:
    retention = AuditRetention(kept_us=10 * DAY_US)
    with database.begin() as connection:
        for day in range(20):
            user = "alice" if day < 5 else "bob"
            audit_log.record(connection, entry(day * DAY_US, User(APP_ID, user)))
    head = recorded(database, 1)
    now_us = BEGIN_US + 20 * DAY_US
    with database.begin() as connection:
        removed = [retention.expire(connection, now_us, 4, None) for _ in range(4)]
        assert removed == [4, 4, 2, 0], "in slices, and once a day"
        assert not retention.has_more
    found = checked(database, str(head))
    assert isinstance(found, Verified)
    assert (found.anchor.id, found.head.id, found.rows) == (10, 22, 12)
    assert "alice" in written(database), "the last row is about her"
    saved = checked(database, "3:" + "0" * 64)
    assert isinstance(saved, Broken)
    assert "which was deleted" in saved.why
    with database.begin() as connection:
        connection.exec_driver_sql("UPDATE audit_marks SET hash = zeroblob(32) WHERE name = 'anchor'")
    assert isinstance(checked(database), Broken)


def test_a_log_of_which_all_is_past_its_retention_goes_on_from_its_head(database: Database) -> None:
    recorded(database)
    with database.begin() as connection:
        assert AuditRetention().expire(connection, BEGIN_US + 400 * DAY_US, 100, None) == ROWS
    found = checked(database)
    assert isinstance(found, Verified)
    assert (found.anchor.id, found.rows) == (ROWS, 1)
    assert "alice" not in written(database)
