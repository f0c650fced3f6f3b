"""Several processes serve one database: whichever takes an event, all of them agree."""

from __future__ import annotations

import contextlib
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sidecar.domain.events import Event
from sidecar.domain.units import SECOND_US
from sidecar.store import Store, database
from sidecar.store.care.clock_watch import ALIVE_EVERY_US
from sidecar.store.users import user_reads
from tests.support import databases
from tests.support.events import BEGIN_US, Phone
from tests.support.stores import STEPS, events_of, opened, projected
from tests.support.tokens import new_token, revoke

pytestmark = [pytest.mark.postgres, pytest.mark.usefixtures("on_postgresql")]


@contextlib.asynccontextmanager
async def two(folder: Path, **options: Any) -> AsyncIterator[tuple[Store, Store]]:
    async with contextlib.AsyncExitStack() as stack:
        stores = []
        for _ in range(2):
            stores.append(opened(folder, **options))
            stack.push_async_callback(stores[-1].close)
        yield stores[0], stores[1]


async def take_turns(folder: Path, events: list[Event], nodes: list[bool]) -> None:
    """Each event is sent to the node drawn for it, one after another."""
    async with two(folder) as stores:
        for event, node in zip(events, nodes, strict=False):
            assert (await stores[node].append([event])).accepted == 1
        summaries = [await one.read(user_reads.summary) for one in stores]
        assert summaries[0] == summaries[1]


@pytest.mark.soak
@given(steps=STEPS, nodes=st.lists(st.booleans(), min_size=30, max_size=30), late=st.randoms())
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_interleaving_of_two_nodes_gives_what_one_gives(
    steps: list[Any], nodes: list[bool], late: random.Random, tmp_path_factory: pytest.TempPathFactory
) -> None:
    events = events_of(steps)
    for _ in range(len(events) // 5):  # some come late
        at = late.randrange(len(events))
        events.insert(late.randrange(len(events)), events.pop(at))
    await gives_what_one_gives(events, nodes, tmp_path_factory)


async def test_events_of_one_user_by_turns_to_two_nodes_give_what_one_gives(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    chance = random.Random(3)  # noqa: S311 - which node, and what is late
    says = [("CONNECTING", "ACTIVE_LOGIN"), ("CONNECTED", "SUCCESS"), ("DISCONNECTED", "KICKED_OUT"), "login", "logout"]
    events = events_of(
        [(f"bob/{chance.choice(['phone', 'laptop', 'tablet'])}", chance.choice(says)) for _ in range(24)]
    )
    events[4], events[9] = events[9], events[4]
    await gives_what_one_gives(events, [bool(at % 2) for at in range(30)], tmp_path_factory)


async def gives_what_one_gives(
    events: list[Event], nodes: list[bool], tmp_path_factory: pytest.TempPathFactory
) -> None:
    one, both = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("both")
    await take_turns(one, events, [False] * 30)
    await take_turns(both, events, nodes)
    assert projected(both) == projected(one)
    live = projected(both)
    async with two(both) as (first, second):
        await first.rebuild()
        assert projected(both) == live
        # What the other one kept in memory is as it was.
        await second.append([Phone("zoe").login(40)])
        await first.append([Phone("zoe", "laptop").login(41)])
        counts = [await store.read(user_reads.summary) for store in (first, second)]
        assert counts[0] == counts[1]


async def test_a_token_revoked_on_one_node_ends_on_the_other(tmp_path: Path) -> None:
    async with two(tmp_path) as (first, second):
        token, secret = await new_token(first, "read")
        assert second.credentials.token(secret) is not None
        await revoke(first, token)
        await second.write(lambda _connection: None)  # begins by following what others committed
        found = second.credentials.token(secret)
        assert found is not None
        assert found.revoked_at_us is not None


class Machine:
    """The clocks of all nodes."""

    def __init__(self) -> None:
        self.now_us = BEGIN_US + 20 * SECOND_US
        self.steady_us = 0

    def passes(self, us: int) -> None:
        self.now_us += us
        self.steady_us += us

    def nodes(self, folder: Path) -> contextlib.AbstractAsyncContextManager[tuple[Store, Store]]:
        return two_on(folder, self)


@contextlib.asynccontextmanager
async def two_on(folder: Path, machine: Machine) -> AsyncIterator[tuple[Store, Store]]:
    url = databases.url_of(folder)
    async with contextlib.AsyncExitStack() as stack:
        stores = []
        for _ in range(2):
            store = Store.open(url, clock=lambda: machine.now_us, steady=lambda: machine.steady_us)
            stack.push_async_callback(store.close)
            stores.append(store)
            await store.notice_clock()
            machine.passes(ALIVE_EVERY_US // 2)
        yield stores[0], stores[1]


async def test_a_node_that_starts_joins_the_lease_time_of_the_others(tmp_path: Path) -> None:
    machine = Machine()
    async with machine.nodes(tmp_path) as (first, second):
        assert first.now().time == second.now().time
        assert len(first.now().time.stretches) == 1


async def test_a_pause_of_lease_time_and_a_set_clock_are_of_all_nodes(tmp_path: Path) -> None:
    machine = Machine()
    async with machine.nodes(tmp_path) as (first, second):
        first._clock_watch.pause()
        machine.passes(30 * SECOND_US)
        await second.notice_clock()
        await first.notice_clock()
        await second.write(lambda _connection: None)
        assert second.now().time.now_us == first.now().time.now_us
        assert second.now().time.stretches[-1].skipped_us == 30 * SECOND_US
        before_us = first.now().time.now_us
        machine.now_us += 3_600 * SECOND_US
        for store in (first, second, first):
            await store.notice_clock()
        assert {store.now().time.now_us for store in (first, second)} == {before_us}
        assert {store.settled_us() for store in (first, second)} == {machine.now_us}
        assert first.now().time.stretches == second.now().time.stretches
        assert len(first.now().time.stretches) == 3


async def test_a_node_counts_the_commits_of_others_that_it_has_not_followed(tmp_path: Path) -> None:
    async with two(tmp_path) as (first, second):
        deaf: Any = second._database
        deaf._notifications.close()

        def behind(connection: sa.Connection) -> int:
            return database.of(connection).commits_behind(connection)

        for at in range(3):
            await first.append([Phone("alice", f"phone {at}").says("CONNECTED", "SUCCESS", at=at)])
        assert await second.read(behind) == 3
        assert await first.read(behind) == 0
        await second.append([Phone("bob").says("CONNECTED", "SUCCESS", at=4)])
        assert await second.read(behind) == 0
