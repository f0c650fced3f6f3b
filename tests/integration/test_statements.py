"""What is said to SQLite for events and requests: nothing that takes longer the longer Zimwatch has run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from sidecar.alerting import engine_of
from sidecar.settings import Settings
from sidecar.store import Store
from tests.support.events import BEGIN_US, SECOND_US, Phone
from tests.support.process import DATABASE

# What there are few of: a row for each kind of something, what people made, what a statement itself brings along.
SMALL: Final = {"user_groups", "span_outbox", "alert_silences", "wanted"}
SCAN: Final = re.compile(r"SCAN (\w+)$")


class Said:
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
        reactions=[engine_of(Settings())],
    )
    said = Said(store._write_engine)
    alice, other, bob = Phone("alice"), Phone("alice", "another phone"), Phone("bob")
    await store.append([alice.says("CONNECTED", "SUCCESS", at=0), other.says("CONNECTED", "SUCCESS", at=1)])
    await store.append([bob.says("RECONNECTING", "LOGIN_INTERRUPTED", at=2)])
    await store.append([bob.says("CONNECTED", "SUCCESS", at=3), alice.says("DISCONNECTED", "KICKED_OUT", at=3)])
    await store.append([alice.says("CONNECTED", "SUCCESS", at=4)])
    await store.spans_done(5, 5)
    await store.tend()
    assert any(sql.startswith("INSERT INTO alerts") for sql in said.statements), "the rules have to have been at work"
    with store._write_engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        plans = {
            sql: [row[3] for row in driver.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
            for sql, values in said.statements.items()
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


async def test_no_request_goes_through_all_tokens(tmp_path: Path) -> None:
    store = Store.open(f"sqlite:///{tmp_path / DATABASE}", clock=lambda: BEGIN_US)
    _, secret = await store.create_token("ingest", None, None)
    connection: Any = store._tokens._connection.driver_connection
    said: list[str] = []
    connection.set_trace_callback(said.append)
    assert store.has_tokens
    assert await store.token_of(secret)
    connection.set_trace_callback(None)
    (any_plan,), (this_plan,) = [connection.execute(f"EXPLAIN QUERY PLAN {sql}").fetchall() for sql in said]
    await store.close()
    assert any_plan[3] == "SCAN api_tokens"
    assert reads_the_first_only(said[0], "api_tokens WHERE .*")
    assert this_plan[3].startswith("SEARCH api_tokens USING INDEX")
