"""The sweep of ended leases: few statements however many users, and rows as their events would have written them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from sidecar.domain.events import Event
from sidecar.domain.lease import LeaseClock
from sidecar.domain.units import SECOND_US
from sidecar.store import Store
from tests.support.clocks import Machine
from tests.support.counted import statements
from tests.support.databases import url_of
from tests.support.events import Phone

pytestmark = pytest.mark.both_engines("soak")

LEASE_S = 45


class Fleet:
    """Users that send heartbeats."""

    def __init__(self, store: Store, machine: Machine) -> None:
        self.store = store
        self.machine = machine
        self.phones: list[Phone] = []

    def _now(self, event: Event) -> Event:
        return msgspec.structs.replace(event, received_at_us=self.machine.clock())

    async def comes(self, users: int) -> None:
        first = len(self.phones)
        self.phones += [Phone(f"user-{number:04}") for number in range(first, first + users)]
        await self.says("CONNECTED")
        await self.beats()

    async def says(self, state: str) -> None:
        await self.store.append([self._now(phone.says(state, "SUCCESS", 0)) for phone in self.phones])

    async def beats(self) -> None:
        await self.store.append([self._now(phone.event("heartbeat", 0)) for phone in self.phones])

    async def rows(self) -> list[Any]:
        def read(connection: sa.Connection) -> list[Any]:
            sql = (
                "SELECT u.user_id, u.status, u.lease_until_us, u.lease_check_us, u.lease_lapsed, u.clients,"
                " g.status, g.unconfirmed, g.users FROM user_status u JOIN user_groups g USING (group_key) ORDER BY 1"
            )
            return [tuple(row) for row in connection.exec_driver_sql(sql)]

        return await self.store.read(read)


@pytest.fixture
async def fleet(tmp_path: Path, machine: Machine) -> AsyncIterator[Fleet]:
    store = Store.open(url_of(tmp_path), clock=machine.clock, steady=machine.steady)
    yield Fleet(store, machine)
    await store.close()


async def test_a_sweep_takes_as_many_statements_for_many_users_as_for_few(fleet: Fleet) -> None:
    found = []
    for users in (1, 10, 200):  # the first makes the group of the silent
        await fleet.comes(users)
        fleet.machine.passes(LEASE_S + 1)
        with statements() as executed:
            assert await fleet.store._writing.sweep(1_000) == len(fleet.phones)
        found.append(len(executed))
        assert {row[4] for row in await fleet.rows()} == {1}
    # One of them says to other nodes whom it changed, and on PostgreSQL one more may look at what others said.
    assert max(found[1:]) <= 6


async def test_a_lease_whose_end_a_crash_has_set_back_ended_when_it_was_to_be_checked(fleet: Fleet) -> None:
    """So that the alert rules, which looked at those before, see it."""
    await fleet.comes(1)
    check_us = (await fleet.rows())[0][3]
    machine, watch = fleet.machine, fleet.store._clock_watch
    watch._lease_clock = LeaseClock(
        watch._lease_clock.stretches,
        machine.now_us - 3 * SECOND_US,
        machine_us=machine.now_us,
        steady_us=machine.steady_us,
        lost_us=16 * SECOND_US,
    )
    machine.passes(LEASE_S + 20)
    assert await fleet.store._writing.sweep(1_000) == 1
    assert (await fleet.rows())[0][3:5] == (check_us, True)


@pytest.mark.parametrize("known", [True, False], ids=["in memory", "in the tables"])
async def test_a_swept_user_is_as_if_events_had_written_it(fleet: Fleet, *, known: bool) -> None:
    await fleet.comes(3)
    fleet.machine.passes(LEASE_S + 1)
    if not known:
        await fleet.store.write(fleet.store._writing.forget)
    await fleet.store.tend()
    swept = await fleet.rows()
    assert {(row[4], row[7], row[8]) for row in swept} == {(1, 1, 3)}
    await fleet.store.rebuild()
    assert await fleet.rows() == swept
    await fleet.says("RECONNECTING")
    assert {(row[1], row[4], row[6], row[7], row[8]) for row in await fleet.rows()} == {("offline", 0, "offline", 0, 3)}


@pytest.mark.parametrize("known", [True, False], ids=["in memory", "in the tables"])
async def test_a_lease_that_runs_on_is_checked_again_when_it_ends(fleet: Fleet, *, known: bool) -> None:
    await fleet.comes(2)
    (first, *_) = {row[3] for row in await fleet.rows()}
    fleet.machine.passes(30)
    await fleet.beats()
    fleet.machine.passes(20)
    if not known:
        await fleet.store.write(fleet.store._writing.forget)
    await fleet.store.tend()
    rows = await fleet.rows()
    assert {(row[3] - first, row[4], row[7]) for row in rows} == {(30 * SECOND_US, 0, 0)}
    await fleet.beats()
    assert {row[3] for row in await fleet.rows()} == {first + 30 * SECOND_US}
    fleet.machine.passes(LEASE_S + 1)
    await fleet.store.tend()
    assert {row[4] for row in await fleet.rows()} == {1}
