"""The statements for events and requests: none of them takes longer the longer Zimwatch has run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import pytest
import sqlalchemy as sa

from sidecar.alerting import reaction_of
from sidecar.domain.units import SECOND_US
from sidecar.settings import Settings
from sidecar.store import Store, schema
from sidecar.store.log import span_outbox
from sidecar.store.sqlite.sqlite_database import SqliteDatabase
from tests.support.counted import peeked
from tests.support.events import BEGIN_US, Phone
from tests.support.process import DATABASE

# Tables of few rows: one for each kind of something, what people created, what a statement itself brings along (of the
# chain of a user's events it takes as many as its LIMIT says).
SMALL: Final = {
    *("user_groups", "span_outbox", "alert_silences", "user_watches", "pruning_hold", "pruned_apps"),
    *("wanted", "chain", "counted", "oldest"),
}
SCAN: Final = re.compile(r"SCAN (\w+)$")


def sqlite_of(store: Store) -> SqliteDatabase:
    assert isinstance(store._database, SqliteDatabase)
    return store._database


class Executed:
    """Every statement of an engine, with one set of its values."""

    def __init__(self, engine: sa.Engine) -> None:
        self.statements: dict[str, Any] = {}
        sa.event.listen(engine, "before_cursor_execute", self._note)

    def _note(self, _c: Any, _cursor: Any, sql: str, values: Any, _context: Any, is_many: bool) -> None:  # noqa: FBT001 - SQLAlchemy's own
        self.statements.setdefault(sql, values[0] if is_many else values)


def reads_the_first_only(sql: str, table: str) -> bool:
    return re.search(rf"FROM {table}( ORDER BY \w+)? LIMIT ", sql) is not None


async def test_no_statement_of_a_commit_goes_through_a_table_that_grows(tmp_path: Path) -> None:
    store = Store.open(
        f"sqlite:///{tmp_path / DATABASE}",
        clock=lambda: BEGIN_US + 10 * SECOND_US,
        export_spans=True,
        followers=[reaction_of(Settings())],
    )
    executed = Executed(sqlite_of(store).writes)
    alice, other, bob = Phone("alice"), Phone("alice", "another phone"), Phone("bob")
    await store.append([alice.says("CONNECTED", "SUCCESS", at=0), other.says("CONNECTED", "SUCCESS", at=1)])
    await store.append([bob.says("RECONNECTING", "LOGIN_INTERRUPTED", at=2)])
    await store.append([bob.says("CONNECTED", "SUCCESS", at=3), alice.says("DISCONNECTED", "KICKED_OUT", at=3)])
    await store.append([alice.says("CONNECTED", "SUCCESS", at=4)])
    await store.write(span_outbox.acknowledge, 5, 5)
    await store.tend()
    assert any(sql.startswith("INSERT INTO alerts") for sql in executed.statements), "the rules did nothing"
    with sqlite_of(store).writes.connect() as connection:
        driver: Any = connection.connection.driver_connection
        plans = {
            sql: [row[3] for row in driver.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
            for sql, values in executed.statements.items()
            if sql.split()[0] in {"SELECT", "UPDATE", "DELETE", "INSERT", "WITH"}
        }
    await store.close()
    through = [
        sql
        for sql, plan in plans.items()
        for line in plan
        if (found := SCAN.match(line)) and found[1] not in SMALL and not reads_the_first_only(sql, found[1])
    ]
    assert not through


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("CONNECTED", set()),
        ("RECONNECTING", {"changed_position", "group_key"}),
        ("DISCONNECTED", {"changed_position", "group_key", "lease_check_us", "lease_lapsed"}),
    ],
)
async def test_an_event_sets_only_those_indexed_columns_of_its_user_that_it_changes(
    tmp_path: Path, state: str, expected: set[str]
) -> None:
    """SQLite writes the entry of an index whenever one of its columns is set."""
    store = Store.open(f"sqlite:///{tmp_path / DATABASE}", clock=lambda: BEGIN_US + 10 * SECOND_US)
    indexed = {column.name for index in schema.user_status.indexes for column in index.columns}
    alice = Phone("alice")
    await store.append([alice.says("CONNECTED", "SUCCESS", at=0)])
    executed = Executed(sqlite_of(store).writes)
    await store.append([alice.says(state, "SUCCESS", at=1)])
    await store.close()
    (update,) = [sql for sql in executed.statements if sql.startswith("UPDATE user_status")]
    assert set(re.findall(r"(\w+) = \?[,\s]", update)) & indexed == expected


async def test_no_request_goes_through_all_tokens(tmp_path: Path) -> None:
    store = Store.open(f"sqlite:///{tmp_path / DATABASE}", clock=lambda: BEGIN_US)
    with peeked(store) as executed:
        assert not store.credentials.any_access_ever()
        assert store.credentials.token("zw_guess") is None
        assert store.credentials.session("guess") is None
    connection: Any = sqlite_of(store)._peeking.driver_connection
    reads = [sql for sql in executed if not sql.startswith("PRAGMA")]
    plans = [[row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}")] for sql in reads]
    await store.close()
    assert plans[0] == [
        "COMPOUND QUERY",
        "LEFT-MOST SUBQUERY",
        "SCAN api_tokens USING COVERING INDEX sqlite_autoindex_api_tokens_1",
        "UNION ALL",
        "SCAN accounts USING COVERING INDEX sqlite_autoindex_accounts_1",
    ]
    assert reads[0].endswith("LIMIT 1")
    assert plans[1:] == [
        ["SEARCH api_tokens USING INDEX sqlite_autoindex_api_tokens_1 (secret_sha256=?)"],
        [
            "SEARCH s USING INDEX sqlite_autoindex_browser_sessions_1 (secret_sha256=?)",
            "SEARCH t USING INTEGER PRIMARY KEY (rowid=?) LEFT-JOIN",
            "SEARCH a USING INTEGER PRIMARY KEY (rowid=?) LEFT-JOIN",
        ],
    ]
