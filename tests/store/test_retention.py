"""The oldest events are deleted in slices; their projections stay."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sidecar.domain.events import Event
from sidecar.domain.units import DAY_US, SECOND_US
from sidecar.store import Store, log_positions
from sidecar.store.care.app_retention import prune
from sidecar.store.care.retention import Retention
from sidecar.store.log import span_outbox
from sidecar.store.users import per_minute, user_list, user_reads
from sidecar.store.users.user_query import UserQuery
from tests.support.clocks import Clock
from tests.support.databases import url_of
from tests.support.events import APP_ID, BEGIN_US, Phone
from tests.support.stores import STEPS, events_of, projected

pytestmark = pytest.mark.both_engines("soak")

OTHER = 7


def opened(folder: Path, clock: Clock, **limits: Any) -> Store:
    kept = Retention(**limits)
    return Store.open(url_of(folder), clock=clock, retention=kept, export_spans=True)


async def ids(store: Store, user_id: str) -> list[bytes]:
    return [one.event.id for one in await store.read(user_reads.timeline, APP_ID, user_id, before=None, limit=100)]


async def test_events_are_deleted_by_age_and_the_user_keeps_its_status_and_the_end_of_its_timeline(
    tmp_path: Path, clock: Clock
) -> None:
    store = opened(tmp_path, clock, events_us=DAY_US)
    alice, bob = Phone("alice"), Phone("bob")
    old = [alice.says("CONNECTED", "SUCCESS", at=0), bob.says("DISCONNECTED", "KICKED_OUT", at=1)]
    new = alice.says("RECONNECTING", "LOGIN_INTERRUPTED", at=90_000)
    await store.append([*old, new])
    clock.now_us = BEGIN_US + DAY_US + 3_600 * SECOND_US
    assert await store.prune() > 0
    assert await store.prune() == 0
    assert (await ids(store, "alice"), await ids(store, "bob")) == ([new.id], [])
    users = {user.user_id: user for user in (await store.read(user_list.list_users, UserQuery(), store.now())).users}
    assert (users["alice"].status, users["bob"].reason) == ("offline", "KICKED_OUT")
    await store.close()


@pytest.mark.of_sqlite
async def test_the_file_stops_growing_at_its_size_and_the_oldest_are_deleted(tmp_path: Path, clock: Clock) -> None:
    store = opened(tmp_path, clock, max_bytes=1_000_000)
    file = tmp_path / "zimwatch.db"
    for batch in range(30):
        phone = Phone("alice", f"page {batch}")
        await store.append([phone.says("CONNECTED", "SUCCESS", at=at, extended_data="x" * 100) for at in range(300)])
        await store.tend()
    found = await store.read(user_reads.timeline, APP_ID, "alice", before=None, limit=10_000)
    assert 0 < len(found) < 9_000
    await store.close()
    # Some pages are kept for what comes; all that was written would take twice as much and more.
    assert file.stat().st_size < 2_000_000


@pytest.mark.of_sqlite
async def test_freed_pages_are_returned_to_the_disk(tmp_path: Path, clock: Clock) -> None:
    store = opened(tmp_path, clock, events_us=DAY_US)
    file = tmp_path / "zimwatch.db"
    alice = Phone("alice")
    for _ in range(10):
        await store.append([alice.says("CONNECTED", "SUCCESS", at=0, extended_data="x" * 3_000) for _ in range(1_000)])
        clock.now_us += SECOND_US  # so that the log goes back into the file
    before = file.stat().st_size
    clock.now_us = BEGIN_US + 2 * DAY_US
    await store.prune()
    assert len(await ids(store, "alice")) == 1
    await store.close()
    assert before > 20_000_000
    # Some pages are kept for what comes.
    assert file.stat().st_size < 10_000_000


async def test_a_span_pending_when_its_event_is_deleted_is_counted_and_shown(tmp_path: Path, clock: Clock) -> None:
    store = opened(tmp_path, clock, events_us=DAY_US)
    alice = Phone("alice")
    await store.append([alice.says("CONNECTED", "SUCCESS", at=at) for at in (0, 1, 100_000)])
    clock.now_us = BEGIN_US + DAY_US + 3_600 * SECOND_US
    await store.prune()
    assert (await store.read(span_outbox.backlog)).spans == 1
    (loss,) = await store.read(span_outbox.newest_losses, 10)
    assert (loss.kind, loss.spans) == ("expired", 2)
    assert "log" in loss.problem
    await store.close()


async def test_a_span_is_pending_no_longer_than_export_max_age(tmp_path: Path, clock: Clock) -> None:
    store = opened(tmp_path, clock, pending_us=3_600 * SECOND_US)
    alice = Phone("alice")
    await store.append([alice.says("CONNECTED", "SUCCESS", at=at) for at in (0, 1, 7_000)])
    clock.now_us = BEGIN_US + 7_200 * SECOND_US
    await store.prune()
    assert [span.occurred_at_us for span in await store.read(span_outbox.claim, 0, 10)] == [
        BEGIN_US + 7_000 * SECOND_US
    ]
    assert [(loss.kind, loss.spans) for loss in await store.read(span_outbox.newest_losses, 10)] == [("expired", 2)]
    assert len(await ids(store, "alice")) == 3
    await store.close()


async def test_a_session_longer_than_the_retention_gets_no_second_root(tmp_path: Path, clock: Clock) -> None:
    store = opened(tmp_path, clock, events_us=DAY_US)
    alice = Phone("alice")
    alice.login(at=0)
    await store.append([alice.says("CONNECTED", "SUCCESS", at=0), alice.says("CONNECTED", "SUCCESS", at=100_000)])
    clock.now_us = BEGIN_US + DAY_US + 3_600 * SECOND_US
    await store.prune()
    await store.append([alice.says("RECONNECTING", "LOGIN_INTERRUPTED", at=100_001)])
    assert [span.starts_trace for span in await store.read(span_outbox.claim, 0, 10)] == [False, False]
    await store.close()


async def test_positions_continue_after_everything_was_pruned_and_after_a_start(tmp_path: Path, clock: Clock) -> None:
    alice = Phone("alice")
    store = opened(tmp_path, clock, events_us=DAY_US)
    await store.append([alice.says("CONNECTED", "SUCCESS", at=at) for at in range(5)])
    clock.now_us = BEGIN_US + 3 * DAY_US
    await store.prune()
    await store.close()
    again = opened(tmp_path, clock, events_us=DAY_US)
    await again.append([alice.says("CONNECTED", "SUCCESS", at=9)])
    assert await again.read(log_positions.newest_position) == 6
    await again.close()


async def test_events_of_an_app_with_a_retention_of_its_own_are_deleted_as_those_of_all_are(
    tmp_path: Path, clock: Clock
) -> None:
    hour_us = 3_600 * SECOND_US
    store = opened(tmp_path, clock, events_us=10 * DAY_US, apps_us={OTHER: DAY_US})
    ours, theirs = Phone("alice"), Phone("bob", app_id=OTHER)
    theirs.login(at=0)
    for hour in range(40):
        clock.now_us = BEGIN_US + hour * hour_us
        for phone in (ours, theirs):
            state, event = ("CONNECTED", "SUCCESS") if hour % 2 else ("RECONNECTING", "LOGIN_INTERRUPTED")
            await store.append([phone.says(state, event, at=hour * 3_600)])
        await store.append([theirs.event("api_error", hour * 3_600, details={"method": "m", "code": 6_000_104})])
    await store.append([ours.says("DISCONNECTED", "KICKED_OUT", at=40 * 3_600)])
    pending = (await store.read(span_outbox.backlog)).spans
    happened = await store.read(rows_of, "happenings", OTHER)
    before = await store.read(user_reads.user, OTHER, "bob", store.now())
    removed = [await store.write(prune, {OTHER: DAY_US}, clock(), 20)]
    while removed[-1]:
        removed.append(await store.write(prune, {OTHER: DAY_US}, clock(), 20))
    assert max(removed) == 20, "a slice looks at a bounded number of events"
    assert await store.read(rows_of, "events", APP_ID) == 41
    left = await store.read(user_reads.timeline, OTHER, "bob", before=None, limit=1_000)
    assert {one.event.received_at_us >= clock.now_us - DAY_US for one in left} == {True}
    assert len(left) == 2 * 25
    assert (await store.read(span_outbox.backlog)).spans == pending - 15
    (loss,) = {(one.kind, one.problem) for one in await store.read(span_outbox.newest_losses, 100)}
    assert loss == ("expired", "its event is no longer in the log")
    await store.prune()
    assert 0 < await store.read(rows_of, "happenings", OTHER) < happened
    after = await store.read(user_reads.user, OTHER, "bob", store.now())
    assert before is not None
    assert after is not None
    assert after.user == before.user
    late = [msgspec.structs.replace(theirs.says("CONNECTED", "SUCCESS", at=5), seq=3, received_at_us=clock.now_us)]
    await store.append(late)
    live = projected(tmp_path)
    await store.rebuild()
    assert projected(tmp_path) == live
    await store.append([theirs.says("CONNECTED", "SUCCESS", at=41 * 3_600)])
    assert not any(one.starts_trace for one in await store.read(span_outbox.claim, 100, 100)), "no second root"
    await store.close()


def rows_of(connection: sa.Connection, table: str, app_id: int) -> int:
    return int(connection.exec_driver_sql(f"SELECT COUNT(*) FROM {table} WHERE app_id = ?", (app_id,)).scalar_one())


OWN_RETENTIONS: tuple[dict[int, int], ...] = ({}, {APP_ID: DAY_US // 4}, {OTHER: DAY_US // 4})


@pytest.mark.of_sqlite
@pytest.mark.parametrize("apps_us", OWN_RETENTIONS)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, chance=st.randoms(use_true_random=False))
def test_a_rebuild_after_pruning_equals_what_was_live(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[str, Any]],
    chance: random.Random,
    apps_us: dict[int, int],
) -> None:
    asyncio.run(rebuilds_to_the_same(tmp_path_factory.mktemp("pruned"), steps, chance, apps_us))


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, chance=st.randoms(use_true_random=False), apps_us=st.sampled_from(OWN_RETENTIONS))
def test_a_rebuild_after_pruning_equals_what_was_live_on_each_engine(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[str, Any]],
    chance: random.Random,
    apps_us: dict[int, int],
) -> None:
    asyncio.run(rebuilds_to_the_same(tmp_path_factory.mktemp("pruned"), steps, chance, apps_us))


async def rebuilds_to_the_same(
    folder: Path, steps: list[tuple[str, Any]], chance: random.Random, apps_us: dict[int, int]
) -> None:
    arrived = [event if event.user_id == "bob" else in_other(event) for event in events_of(steps)]
    chance.shuffle(arrived)
    clock = Clock()
    store = opened(folder, clock, events_us=DAY_US, apps_us=apps_us)
    while arrived:
        at_us = clock.now_us
        batch = [arrived.pop() for _ in range(min(len(arrived), chance.randint(1, 5)))]
        received = [Event(**_fields(event) | {"received_at_us": at_us}) for event in batch]
        await store.append(received)
        clock.now_us += chance.randint(0, DAY_US // 2)
        if chance.random() < 0.5:
            await store.prune()
    await store.tend()
    live = projected(folder)
    await store.rebuild()
    await store.prune()  # what happened before the receipt of its event is past its retention before the event is
    assert projected(folder) == live
    await store.close()


def in_other(event: Event) -> Event:
    return msgspec.structs.replace(event, app_id=OTHER)


def _fields(event: Event) -> dict[str, Any]:
    return {name: getattr(event, name) for name in event.__struct_fields__}


async def test_the_minutes_of_charts_are_deleted_after_ninety_days_also_of_a_quiet_app(
    tmp_path: Path, clock: Clock
) -> None:
    store = opened(tmp_path, clock)
    quiet = Phone("alice", app_id=7)
    await store.append([quiet.says("CONNECTED", "SUCCESS", at=0), Phone("bob").says("CONNECTED", "SUCCESS", at=0)])

    async def minutes(*app_ids: int) -> int:
        buckets = await store.read(
            per_minute.buckets,
            frozenset(app_ids) or None,
            begin_us=BEGIN_US,
            end_us=clock.now_us,
            step_minutes=1_440,
        )
        return len(buckets)

    clock.now_us = BEGIN_US + 89 * DAY_US
    await store.prune()
    assert [await minutes(*apps) for apps in ((7,), (APP_ID,), (7, APP_ID), ())] == [90] * 4
    clock.now_us = BEGIN_US + 91 * DAY_US
    await store.prune()
    assert [await minutes(*apps) for apps in ((7,), (APP_ID,), (7, APP_ID), ())] == [0] * 4
    await store.close()
