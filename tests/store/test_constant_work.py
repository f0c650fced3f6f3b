"""Whatever a sender, a visitor or ZEGO's server makes many of, one event more and a page cost the same.

``tests/support/many.py`` has what there can be many of; a new field of an event and a new table have to be named there.
"""

from __future__ import annotations

import contextlib
import re
import typing
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

import msgspec
import pytest
import sqlalchemy as sa
from aiohttp.test_utils import TestClient, TestServer

import sidecar.alerting.tables.alert_schema
import sidecar.store.access.audit_schema  # noqa: F401 - same
from sidecar import telemetry, web_application
from sidecar.alerting import alert_metrics, reaction_of
from sidecar.alerting.alert_reaction import Gathered
from sidecar.alerting.tables import alert_log, silence_rows, user_watch_rows
from sidecar.domain.events import HEARTBEAT, Event
from sidecar.ingest import apps, wire_types
from sidecar.settings import Settings
from sidecar.store import Store, schema
from sidecar.store.access import browser_sessions
from sidecar.store.care import erasures
from sidecar.store.log import rejected_events
from sidecar.store.users import client_limit, happenings, old_reporters, user_counts
from tests.support.clocks import Machine
from tests.support.events import APP_ID, Phone, made_id
from tests.support.many import EVERY, FIELDS, TABLES, Many, Scene
from tests.support.process import DATABASE
from tests.support.work import Work, of_append, of_reads

DOCUMENT: Final = Path(__file__).parents[2] / "docs/limits.md"
ALICE: Final = f"/users/{APP_ID}/alice"
PAGES: Final = (
    "/",
    "/users",
    "/users?q=ali",
    "/users?q=alice&match=exact",
    "/users?q=user-0&match=prefix",
    "/users?order=oldest",
    "/users?order=id",
    "/users?order=user_id",
    "/users?order=token",
    "/users?status=online",
    "/users?platform=Web",
    "/users?happened=kicked_out&within=1h",
    "/users?happened=logged_in&within=24h",
    f"/users?app_id={APP_ID}&reason=SUCCESS",
    ALICE,
    "/alerts",
    "/alerts?state=firing",
    "/alerts?state=acknowledged",
    "/alerts?state=pending",
    "/alerts?kind=kicked_out",
    "/silences",
    "/rejected",
    "/v1/users",
    "/v1/users?happened=calls_failed",
    f"/v1{ALICE}",
    f"/v1{ALICE}/events",
    "/v1/summary",
    "/v1/alerts",
    "/v1/silences",
    "/v1/watches",
    "/metrics",
)
# So many groups of users have a platform and a reason of their own in these tests.
GROUPS: Final = 200
# So many alerts a page looks at here, and so many rows are counted of what happened.
ALERTS: Final = 200
HAPPENINGS: Final = 200
# With so many more, work may be so much more: a B-tree is deeper, a row of a page is alone in its group.
TIMES, STEPS = 1.25, 2_000
STATEMENTS, STATEMENTS_OF_A_PAGE = 4, 50
LATER: Final = 10_000_000
CHANGED: Final = "a second of the rules after events"
QUIET: Final = "a second of the rules without events"
# A storm that changed counts its users, as long as they are in its window.
STORMS: Final = {"offline users", "kicked users", "silent users"}

Costs = dict[str, tuple[int, int]]
"""What was done → statements, and steps of SQLite's machine."""


class Server(msgspec.Struct, frozen=True):
    """A server without background tasks, so that nothing else is counted."""

    scene: Scene
    http: TestClient[typing.Any, typing.Any]


@contextlib.asynccontextmanager
async def served(folder: Path) -> AsyncIterator[Server]:
    machine, settings = Machine(), Settings()
    reaction = reaction_of(settings)
    store = Store.open(
        f"sqlite:///{folder / DATABASE}",
        clock=machine.clock,
        steady=machine.steady,
        export_spans=True,
        followers=[reaction],
    )
    metrics = telemetry.Metrics(store, machine.clock, alert_metrics.GAUGES)
    application = web_application.build(settings, store, reaction, machine.clock, metrics_text=metrics.text)
    async with TestClient(TestServer(application, host="127.0.0.1")) as http:
        yield Server(Scene(store, machine, reaction), http)
    await store.close()


async def rules_follow(scene: Scene) -> None:
    """A second goes by, and all that is due is done."""
    scene.machine.passes(1)
    await scene.store.tend()
    while await scene.store.write(scene.reaction.tick, scene.machine.now_us, Gathered()):
        pass


async def of_write(scene: Scene, work: Callable[[sa.Connection], object]) -> tuple[int, int]:
    done = Work()
    await scene.store.write(done.watch)
    await scene.store.write(work)
    await scene.store.write(done.leave)
    return done.statements, done.steps


async def costs(server: Server, many: Many, alice: Phone, last: int) -> Costs:
    """What more events, a second of the rules and each page cost."""
    scene, found = server.scene, Costs()

    async def appended(name: str, event: Event) -> None:
        done = await of_append(scene.store, [scene.received(event)])
        found[name] = (done.statements, done.steps)

    await rules_follow(scene)
    if many.event is not None:
        # It is loaded by the first of two events. Nothing is late.
        for time in range(2):
            event = many.event(last)
            again = {"id": made_id(f"again {last} {time}"), "seq": LATER + last * 3 + time}
            await appended("an event of one of them", msgspec.structs.replace(event, **again))
        new = msgspec.structs.replace(many.event(LATER + last), id=made_id(f"new {last}"), seq=LATER + last * 3 + 2)
        await appended("one of them more", new)
    for time in range(2):
        await appended("an event of another user", alice.says("CONNECTED", "SUCCESS", at=time))
    await scene.store.append([scene.received(alice.event(HEARTBEAT, at=0))])
    await rules_follow(scene)  # from now on they may wait in memory
    await appended("a heartbeat of another user", alice.event(HEARTBEAT, at=0))
    await appended("an alert about another user", alice.says("DISCONNECTED", "KICKED_OUT", at=0))
    await appended("the end of that alert", alice.says("CONNECTED", "SUCCESS", at=0))
    for second in (CHANGED, QUIET):
        scene.machine.passes(1)
        found[second] = await of_write(scene, lambda c: scene.reaction.tick(c, scene.machine.now_us, Gathered()))
    for path in PAGES:
        with of_reads(scene.store) as done:
            async with server.http.get(path) as answer:
                await answer.read()
                assert answer.status == 200, path
        found[path] = (done.statements, done.steps)
    return found


async def rows(store: Store, many: Many) -> dict[str, int]:
    """How many rows have the tables that many of these fill."""

    def count(connection: sa.Connection) -> dict[str, int]:
        return {
            table: connection.exec_driver_sql(f"SELECT COUNT(*) FROM {table}").scalar_one()
            for table, name in TABLES.items()
            if name == many.name
        }

    return await store.read(count)


async def holds(folder: Path, many: Many, sizes: tuple[int, ...]) -> None:
    """The cost of all is about the same at each of the sizes as at the one from which on pages are full."""
    alice, before, size = Phone("alice"), 0, 0
    measured: dict[int, Costs] = {}
    async with served(folder) as server:
        store = server.scene.store
        # The first alert costs more than those after it.
        states = [("CONNECTED", "SUCCESS"), ("DISCONNECTED", "KICKED_OUT"), ("CONNECTED", "SUCCESS")]
        for first in [alice.login(0), *(alice.says(*state, at=0) for state in states)]:
            await server.scene.appends([first])
        few = await rows(store, many)
        for size in sizes:
            # One event or two more than the bound, so that it is reached.
            end = size if many.at_most is None else min(size, many.at_most + (many.name != "apps"))
            if end > before:
                await many.makes(server.scene, range(before, end))
            before = max(before, end)
            measured[size] = await costs(server, many, alice, before - 1)
        filled = await rows(store, many)
    assert [table for table, count in filled.items() if count < few[table] + 10] == []
    if many.at_most is not None:
        assert max(filled.values(), default=0) <= few_more(many.at_most)
    usual = measured[many.full]
    more = {
        f"{what} at {size}": (usual[what], found)
        for size, all_costs in measured.items()
        for what, found in all_costs.items()
        if not (what == CHANGED and many.name in STORMS)
        if found[0] > usual[what][0] + (STATEMENTS_OF_A_PAGE if "/" in what else STATEMENTS)
        or found[1] > usual[what][1] * TIMES + STEPS
    }
    assert more == {}


def few_more(count: int) -> int:
    return count + 10


@pytest.mark.parametrize("many", EVERY, ids=lambda many: many.name)
async def test_with_three_times_as_many_an_event_and_a_page_cost_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, many: Many
) -> None:
    monkeypatch.setattr(user_counts, "GROUPS_MOST", GROUPS)
    monkeypatch.setattr(alert_log, "LOOKED_AT_MOST", ALERTS)
    monkeypatch.setattr(happenings, "COUNTED_MOST", HAPPENINGS)
    await holds(tmp_path, many, (many.full, 3_000))


@pytest.mark.soak
@pytest.mark.parametrize("many", EVERY, ids=lambda many: many.name)
async def test_with_a_hundred_thousand_an_event_and_a_page_cost_what_they_do_with_a_thousand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, many: Many
) -> None:
    monkeypatch.setattr(user_counts, "GROUPS_MOST", GROUPS)
    monkeypatch.setattr(alert_log, "LOOKED_AT_MOST", ALERTS)
    monkeypatch.setattr(happenings, "COUNTED_MOST", HAPPENINGS)
    await holds(tmp_path, many, (10, many.full, 100_000))


def test_each_has_a_row_in_the_document_with_its_bound() -> None:
    rows = [line.split(" | ") for line in DOCUMENT.read_text().splitlines() if line.startswith("| ")][1:]
    bounds = {row[0].removeprefix("| "): row[2] for row in rows}
    assert list(bounds) == [many.name for many in EVERY]
    for many in EVERY:
        assert many.at_most is None or f"{many.at_most:,}" in bounds[many.name], many.name
    constants = {
        "groups of users": user_counts.GROUPS_MOST,
        "devices of a user": client_limit.CLIENTS_MOST,
        "rejected events": rejected_events.KEPT,
        "silences": silence_rows.SILENCES_MOST,
        "old reporters": old_reporters.MOST_OF_AN_APP,
        "watches": user_watch_rows.MOST_OF_AN_APP,
        "sign-ins": browser_sessions.MOST_OF_AN_OWNER,
        "apps": apps.LEARNED_MOST,
        "erasures that are not finished": erasures.PENDING_MOST,
    }
    for name, most in constants.items():
        assert re.search(rf"\b{most:,}\b", bounds[name]), name


def test_each_field_of_an_event_and_each_table_is_named() -> None:
    structs = [*typing.get_args(wire_types.Wire), wire_types.Sdk, wire_types.Reporter]
    assert {name for struct in structs for name in struct.__struct_fields__} == FIELDS.keys()
    assert {table.name for table in schema.metadata.sorted_tables} == TABLES.keys()
    names = {many.name for many in EVERY}
    assert {name for name in FIELDS.values() if name not in names} == set()
    assert {name for name in TABLES.values() if name not in names and not name.startswith("few: ")} == set()
