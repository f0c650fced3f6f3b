"""Heartbeats in memory: no commit of their own, and nothing that is read or decided differs for it."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from sidecar.domain.events import HEARTBEAT, Event
from sidecar.domain.lease import Leases
from sidecar.domain.units import SECOND_US
from sidecar.errors import StoreUnavailableError
from sidecar.store import Store, heartbeats
from sidecar.store.log import event_log
from sidecar.store.sqlite import backups, write_lock
from sidecar.store.users import live_clients, user_reads
from sidecar.store.values import Appended, Commit, Rejected, UserDetail
from tests.support.clocks import DAY_S, Machine
from tests.support.counted import statements
from tests.support.databases import url_of
from tests.support.events import APP_ID, Phone
from tests.support.process import DATABASE

pytestmark = pytest.mark.both_engines("soak")

BEATS_S = 15
FEW = Leases(heartbeats_per_second=1)


class Fleet:
    """Devices of users, and their store. ``seen_us``: when each last gave a sign of life, by the steady clock."""

    def __init__(self, folder: Path, machine: Machine, leases: Leases | None = None) -> None:
        self.machine = machine
        self.leases = leases or Leases()
        self.phones: dict[str, Phone] = {}
        self.open(folder)

    def open(self, folder: Path) -> None:
        url = url_of(folder)
        self.store = Store.open(url, clock=self.machine.clock, steady=self.machine.steady, leases=self.leases)

    def _now(self, event: Event) -> Event:
        at_us = self.store.settled_us()
        return msgspec.structs.replace(event, occurred_at_us=at_us, received_at_us=at_us, moment_us=at_us)

    def event(self, name: str, *what: str) -> Event:
        """The next event of a device, such as alice or alice/phone; ``what``: a type, or a state and its event."""
        user_id, _, device = name.partition("/")
        phone = self.phones.setdefault(name, Phone(user_id, device or "phone"))
        return self._now(phone.says(what[0], what[1], 0) if len(what) == 2 else phone.event(what[0], 0))

    async def comes(self, *names: str) -> None:
        """They log in, send their first heartbeats, and a second passes."""
        await self.store.append([self.event(name, "CONNECTED", "SUCCESS") for name in names])
        await self.beats(*names)
        await self.passes(1)

    async def beats(self, *names: str) -> Appended:
        return await self.store.append([self.event(name, HEARTBEAT) for name in names])

    async def passes(self, seconds: int) -> None:
        for _ in range(seconds):
            self.machine.passes(1)
            await self.store.tend()

    async def user(self, user_id: str = "alice") -> UserDetail:
        found = await self.store.read(user_reads.user, APP_ID, user_id, self.store.now())
        assert found is not None
        assert all(one.unconfirmed == found.user.unconfirmed for one in found.sessions if one.status != "not_logged_in")
        return found

    async def is_unconfirmed(self, user_id: str = "alice") -> bool:
        return (await self.user(user_id)).user.unconfirmed

    async def seen_s(self, user_id: str = "alice") -> float:
        """How long ago the user was last seen, by the tables."""
        return (self.machine.now_us - (await self.user(user_id)).user.last_seen_at_us) / SECOND_US

    async def silent_for(self, most: int, user_id: str = "alice") -> int:
        """After how many seconds from now the user is unconfirmed."""
        for second in range(most):
            if await self.is_unconfirmed(user_id):
                return second
            await self.passes(1)
        raise AssertionError(f"{user_id} is still confirmed after {most} s")


@pytest.fixture
async def fleet(tmp_path: Path, machine: Machine) -> AsyncIterator[Fleet]:
    fleet = Fleet(tmp_path, machine)
    yield fleet
    await fleet.store.close()


async def test_a_heartbeat_in_time_is_answered_without_a_statement_and_written_with_the_next_slice(
    fleet: Fleet,
) -> None:
    published: list[Commit] = []
    await fleet.comes("alice", "bob")
    fleet.store.subscribe(published.append)
    await fleet.passes(13)
    with statements() as executed:
        assert (await fleet.beats("alice", "bob", "alice")).accepted == 3
        assert executed == []
    assert await fleet.seen_s() == 14
    with statements() as executed:
        await fleet.passes(2)
        slices = [one for one in executed if one.startswith("UPDATE user_status")]
    assert (await fleet.seen_s(), await fleet.seen_s("bob"), len(slices)) == (2, 2, 1)
    assert published == [], "nothing that is shown has changed, but when they were last seen"


async def test_a_heartbeat_is_committed_at_once_where_a_crash_would_cost_more_than_an_interval(fleet: Fleet) -> None:
    await fleet.comes("alice", "bob")
    with statements() as executed:
        await fleet.store.append([fleet.event("carol", "CONNECTED", "SUCCESS")])
        for names, after_s in ((("carol",), 0), (("alice",), 17), (("alice", "bob"), 15)):
            await fleet.passes(after_s)
            executed.clear()
            await fleet.beats(*names)
            assert any(one.startswith("UPDATE user_status") for one in executed), names
    assert await fleet.seen_s("bob") == 0
    assert await fleet.seen_s() == 15, "hers was in time"


async def test_a_heartbeat_of_an_unknown_client_or_after_a_logout_changes_nothing(fleet: Fleet) -> None:
    await fleet.comes("alice")
    await fleet.passes(5)
    await fleet.store.append([fleet.event("alice", "logout"), fleet.event("bob", "logout")])
    for _ in range(3):
        await fleet.passes(10)
        assert (await fleet.beats("alice", "mallory")).accepted == 2
    assert await fleet.store.read(user_reads.user, APP_ID, "mallory", fleet.store.now()) is None
    assert await fleet.seen_s() == 30
    assert fleet.store.heartbeats.clients == 0


async def test_what_a_client_sends_after_a_heartbeat_in_memory_counts_as_later(fleet: Fleet) -> None:
    await fleet.comes("alice", "bob")
    await fleet.passes(9)
    await fleet.beats("alice", "bob")
    fleet.machine.passes(1)
    await fleet.store.append([fleet.event("alice", "RECONNECTING", "LOGIN_INTERRUPTED"), fleet.event("bob", "logout")])
    fleet.machine.passes(1)
    await fleet.store.tend()
    assert (await fleet.seen_s(), await fleet.seen_s("bob")) == (1, 1)


async def test_a_heartbeat_after_a_pause_of_lease_time_counts_as_later_than_one_in_it(fleet: Fleet) -> None:
    await fleet.comes("alice")
    await fleet.passes(5)
    machine, lease_clock = fleet.machine, fleet.store._clock_watch._lease_clock
    lease_clock.pause(machine.steady_us)
    machine.passes(40)
    await fleet.beats("alice")
    machine.passes(1)
    lease_clock.compare(machine_us=machine.now_us, steady_us=machine.steady_us, accepts=False)
    await fleet.passes(10)
    with statements() as executed:
        await fleet.beats("alice")
        assert executed == [], "it is in memory"
    await fleet.passes(2)
    assert await fleet.seen_s() == 2


async def test_a_heartbeat_right_after_the_first_event_of_its_client_is_not_lost(fleet: Fleet) -> None:
    await asyncio.gather(
        fleet.store.append([fleet.event("alice", "CONNECTED", "SUCCESS")]),
        fleet.beats("alice"),
    )
    await fleet.passes(45)
    assert not await fleet.is_unconfirmed()
    await fleet.passes(1)
    assert await fleet.is_unconfirmed()


@pytest.mark.parametrize("leases", [Leases(), Leases(heartbeat_us=3 * SECOND_US), FEW], ids=["15 s", "1 s", "few"])
async def test_who_is_unconfirmed_is_as_if_each_heartbeat_was_committed(
    tmp_path: Path, machine: Machine, leases: Leases
) -> None:
    """Devices beat, also late, come back, and stop: second by second, against a plain account of it."""
    chance = random.Random(5)  # noqa: S311 - the same every time
    fleet = Fleet(tmp_path, machine, leases)
    users = [f"user {number}" for number in range(20)]
    await fleet.store.append([fleet.event(user, "CONNECTED", "SUCCESS") for user in users])
    due_us = {user: chance.randrange(20) * SECOND_US for user in users}
    stops_us = {user: chance.randrange(20, 250) * SECOND_US for user in users}
    ends_us: dict[str, int] = {}
    held = unconfirmed = 0
    for _ in range(300):
        for user in users:
            if due_us[user] <= machine.steady_us < stops_us[user]:
                after_s = (await fleet.beats(user)).heartbeat_after_s
                due_us[user] = machine.steady_us + int(after_s * chance.choice([0.8, 1, 1, 1.2, 3.5]) * SECOND_US)
                ends_us[user] = machine.steady_us + leases.lasts_us(sends_heartbeats=True, heartbeat_after_s=after_s)
        held += len(fleet.store.heartbeats._held)
        await fleet.passes(1)
        user = chance.choice(list(ends_us or users))
        expected = machine.steady_us > ends_us.get(user, machine.steady_us)
        assert await fleet.is_unconfirmed(user) == expected
        unconfirmed += expected
        summary = await fleet.store.read(user_reads.summary)
        assert summary.unconfirmed == sum(machine.steady_us > until_us for until_us in ends_us.values())
    assert min(held, unconfirmed) > 20
    await fleet.store.close()


@pytest.mark.parametrize("days", [1, -1])
async def test_a_clock_that_is_set_while_a_heartbeat_is_in_memory_ends_no_lease(
    fleet: Fleet, machine: Machine, days: int
) -> None:
    await fleet.comes("alice", "bob")
    await fleet.passes(13)
    await fleet.beats("alice")
    machine.is_set_by(days * DAY_S)
    await fleet.beats("bob")
    assert len(fleet.store.heartbeats._held) == 2
    await fleet.passes(2)
    assert fleet.store.heartbeats._held == {}
    assert await fleet.silent_for(99) == 44
    assert await fleet.is_unconfirmed("bob")


async def test_a_batch_with_another_event_is_committed_as_a_whole(fleet: Fleet) -> None:
    await fleet.comes("alice", "bob")
    await fleet.passes(9)
    await fleet.store.append([fleet.event("alice", HEARTBEAT), fleet.event("bob", "login")])
    assert await fleet.seen_s() == 0
    assert fleet.store.heartbeats._held == {}


async def test_heartbeats_in_memory_are_written_by_a_stop(tmp_path: Path, fleet: Fleet, machine: Machine) -> None:
    await fleet.comes("alice")
    await fleet.passes(9)
    await fleet.beats("alice")
    await fleet.store.close()
    machine.restarts(down_s=3_600)
    fleet.open(tmp_path)
    assert await fleet.silent_for(99) == 46


@pytest.mark.parametrize("silent_s", [0, 3, 14, 15, 30, 44])
@pytest.mark.of_sqlite
async def test_a_crash_shortens_no_lease_and_makes_none_longer_by_more_than_an_interval(
    tmp_path: Path, fleet: Fleet, machine: Machine, silent_s: int
) -> None:
    await fleet.comes("alice")
    await fleet.passes(14)
    assert fleet.store.heartbeats.insured_s == BEATS_S
    await fleet.beats("alice")
    await fleet.passes(silent_s)
    crashed = Fleet(copy_of(fleet, tmp_path), machine)
    # Beside the interval: what a heartbeat may be late, and since when Zimwatch was last known to run.
    assert 46 - silent_s <= await crashed.silent_for(99) <= 46 - silent_s + BEATS_S + 1 + 2
    # The next stop is in order, and costs nothing.
    crashed.phones = fleet.phones
    await crashed.beats("alice")
    await crashed.passes(10)
    await crashed.store.close()
    crashed.open(tmp_path / "crashed")
    assert await crashed.silent_for(99) == 36
    await crashed.store.close()


def copy_of(fleet: Fleet, folder: Path) -> Path:
    """The database as a kill would leave it; an hour later."""
    copy = folder / "crashed"
    copy.mkdir()
    backups.backup(Path(fleet.store.name), copy / DATABASE)
    fleet.machine.restarts(down_s=3_600)
    return copy


@pytest.mark.of_sqlite
async def test_a_user_that_was_unconfirmed_before_a_crash_stays_so(
    tmp_path: Path, fleet: Fleet, machine: Machine
) -> None:
    await fleet.comes("alice", "bob")
    await fleet.passes(14)
    await fleet.beats("bob")
    await fleet.passes(32)
    assert (await fleet.is_unconfirmed(), await fleet.is_unconfirmed("bob")) == (True, False)
    crashed = Fleet(copy_of(fleet, tmp_path), machine)
    for _ in range(13):
        assert (await crashed.is_unconfirmed(), await crashed.is_unconfirmed("bob")) == (True, False)
        await crashed.passes(1)
    crashed.phones = fleet.phones
    await crashed.beats("alice")
    assert not await crashed.is_unconfirmed()
    await crashed.store.close()


async def test_no_heartbeat_is_held_before_it_is_stored_what_a_crash_would_cost(fleet: Fleet) -> None:
    await fleet.store.append([fleet.event("alice", "CONNECTED", "SUCCESS")])
    await fleet.beats("alice")
    await fleet.beats("alice")
    assert fleet.store.heartbeats._held == {}
    await fleet.store.tend()
    await fleet.beats("alice")
    assert len(fleet.store.heartbeats._held) == 1


@pytest.mark.of_sqlite
async def test_while_nothing_can_be_committed_no_heartbeat_is_accepted_and_leases_stand_still(
    fleet: Fleet, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_lock, "BUSY_TIMEOUT_S", 0)
    await fleet.comes("alice", "bob")
    await fleet.passes(9)
    await fleet.beats("alice")
    with closing(sqlite3.connect(Path(fleet.store.name), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # another program holds the database
        machine.passes(2)
        with pytest.raises(StoreUnavailableError):
            await fleet.store.tend()  # its slice fails
        with pytest.raises(StoreUnavailableError):
            await fleet.beats("bob")
        machine.passes(600)
        assert not await fleet.is_unconfirmed()
        other.execute("ROLLBACK")
    await fleet.passes(2)
    assert await fleet.seen_s() == 604, "the heartbeat in memory is written once that is possible"
    await fleet.beats("bob")
    assert 40 <= await fleet.silent_for(60) <= 46


async def test_a_slice_that_waits_has_the_next_heartbeats_wait_too(fleet: Fleet, machine: Machine) -> None:
    await fleet.comes("alice", "bob", "carol")
    held = fleet.store.heartbeats
    await fleet.passes(5)
    await fleet.beats("alice")
    answered: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()

    async def busy(_batch: event_log.Batch) -> Appended:
        return await answered

    held._append = busy
    held._begin_slice()
    await fleet.beats("bob")
    assert len(held._held) == 1
    machine.passes(4)
    late = asyncio.create_task(fleet.beats("carol"))
    await asyncio.sleep(0)
    assert (len(held._held), late.done()) == (1, False)
    held._append = fleet.store._append_batch
    answered.set_result(Appended(1, 0))
    assert (await late).accepted == 1


async def test_no_more_than_some_thousand_heartbeats_are_held(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeats, "HELD_MOST", 20)
    monkeypatch.setattr(heartbeats, "SLICE_HEARTBEATS", 8)
    names = [f"user {number}" for number in range(30)]
    await fleet.comes(*names)
    await fleet.passes(5)
    held = fleet.store.heartbeats
    assert (await fleet.beats(*names)).accepted == 30  # two slices are on their way, and ten that found no room
    assert len(held._held) == 4
    await held.write(at_once=True)
    assert {await fleet.seen_s(name) for name in names} == {0}


async def test_the_interval_grows_with_the_clients_and_their_leases_with_it(tmp_path: Path, machine: Machine) -> None:
    fleet = Fleet(tmp_path, machine, FEW)
    names = [f"user {number}" for number in range(40)]
    await fleet.comes("alice")
    assert (await fleet.beats("alice")).heartbeat_after_s == 15
    await fleet.comes(*names)
    answer = await fleet.store.append([fleet.event("alice", "CONNECTED", "SUCCESS")])
    given_s = answer.heartbeat_after_s
    assert given_s == fleet.store.heartbeat_after_s == 51
    assert (await fleet.user()).sessions[0].lease_us == 3 * given_s * SECOND_US, "an answer to an event gives it too"
    for _ in range(3):
        await fleet.passes(40)
        assert (await fleet.beats(*names)).heartbeat_after_s == given_s
    assert not await fleet.is_unconfirmed()
    await fleet.store.close()
    # A restart neither forgets how many they are, nor how long each may be silent.
    fleet.open(tmp_path)
    assert fleet.store.heartbeat_after_s == given_s
    assert await fleet.silent_for(60) == 3 * given_s + 1 - 120
    # Most of them leave: the others learn it, and are missed sooner.
    for _ in range(8):
        await fleet.passes(40)
        answer = await fleet.beats(*names[:3])
    assert answer.heartbeat_after_s == 15
    assert await fleet.silent_for(60, names[0]) == 46
    await fleet.store.close()


async def test_an_answer_gives_no_longer_interval_than_is_stored_for_each_of_its_clients(
    tmp_path: Path, machine: Machine
) -> None:
    fleet = Fleet(tmp_path, machine, FEW)
    await fleet.comes("alice")
    await fleet.passes(9)
    held = fleet.store.heartbeats

    async def append(batch: event_log.Batch) -> Appended:
        held.after_s = 60  # many come meanwhile
        return await fleet.store._append_batch(batch)

    held._append = append
    await fleet.store.append([fleet.event("bob", "CONNECTED", "SUCCESS")])
    assert (await fleet.beats("alice", "bob")).heartbeat_after_s == 15
    assert (await fleet.beats("bob")).heartbeat_after_s == 60
    await fleet.store.close()


async def test_an_answer_about_no_stored_client_gives_the_least_interval(tmp_path: Path, machine: Machine) -> None:
    fleet = Fleet(tmp_path, machine, FEW)
    first = fleet.event("alice", "CONNECTED", "SUCCESS")
    await fleet.store.append([first])
    fleet.store.heartbeats.after_s = 60
    rejected = Rejected(machine.now_us, 0, None, "id is missing", "{}")
    assert (await fleet.store.append([first])).heartbeat_after_s == 15
    assert (await fleet.store.append([], [rejected])).heartbeat_after_s == 15
    assert (await fleet.store.append([])).heartbeat_after_s == 15
    assert (await fleet.store.append([first, fleet.event("bob", "CONNECTED", "SUCCESS")])).heartbeat_after_s == 15
    assert (await fleet.store.append([first, fleet.event("alice", "CONNECTED", "SUCCESS")])).heartbeat_after_s == 60
    assert (await fleet.user()).sessions[0].lease_us == 24 * 3600 * SECOND_US, "it has sent no heartbeat"
    await fleet.store.close()


@pytest.mark.parametrize(("lease_s", "interval_s"), [(1, 1), (2, 1), (4 * 3600, 3600)])
async def test_a_lease_that_is_no_three_intervals_of_those_that_clients_obey_lasts_as_long_as_it_says(
    tmp_path: Path, machine: Machine, lease_s: int, interval_s: int
) -> None:
    fleet = Fleet(tmp_path, machine, Leases(heartbeat_us=lease_s * SECOND_US))
    await fleet.store.append([fleet.event("alice", "CONNECTED", "SUCCESS")])
    assert (await fleet.beats("alice")).heartbeat_after_s == interval_s
    await fleet.store.tend()
    assert (await fleet.user()).sessions[0].lease_us == lease_s * SECOND_US
    machine.passes(min(lease_s, 60) - 0.1)
    await fleet.beats("alice")
    await fleet.store.heartbeats.write(at_once=True)
    machine.passes(lease_s - 0.1)
    assert not await fleet.is_unconfirmed()
    machine.passes(0.2)
    assert await fleet.is_unconfirmed()
    await fleet.store.close()


async def test_a_rebuild_keeps_the_interval_that_a_client_was_given(tmp_path: Path, machine: Machine) -> None:
    fleet = Fleet(tmp_path, machine, FEW)
    await fleet.comes(*(f"user {number}" for number in range(40)))
    await fleet.passes(15)
    await fleet.beats("user 0")
    await fleet.passes(3)
    before = await fleet.user("user 0")
    assert before.sessions[0].lease_us > 45 * SECOND_US
    await fleet.store.rebuild()
    assert await fleet.user("user 0") == before
    await fleet.store.close()


async def test_the_lease_of_a_user_of_many_devices_is_the_longest_of_theirs(tmp_path: Path, machine: Machine) -> None:
    fleet = Fleet(tmp_path, machine, FEW)
    await fleet.comes(*(f"alice/{number}" for number in range(40)))
    long_us = max(one.lease_us for one in (await fleet.user()).sessions)
    fleet.store.heartbeats.after_s = 15
    await fleet.store.append([fleet.event("alice/3", "CONNECTED", "SUCCESS")])
    assert {45 * SECOND_US, long_us} <= {one.lease_us for one in (await fleet.user()).sessions}
    for _ in range(long_us // SECOND_US - 1):
        assert not (await fleet.store.read(user_reads.summary)).unconfirmed
        await fleet.passes(1)
    await fleet.passes(2)
    assert (await fleet.store.read(user_reads.summary)).unconfirmed
    await fleet.store.close()


@pytest.mark.of_sqlite
def test_the_clients_in_memory_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_clients, "CLIENTS_MOST", 10)
    clients = live_clients.LiveClients(0, 15)
    for number in range(1, 100):
        clients.put(number, 0, 15)
        assert clients.count <= 10
    assert clients.was_stored_since(99, 0, 15)
    assert not clients.was_stored_since(80, 0, 15)


@pytest.mark.of_sqlite
def test_a_client_counts_for_some_intervals_after_its_last_heartbeat() -> None:
    clients = live_clients.LiveClients(0, 15)
    clients.put(1, 0, 15)
    for second in range(1, 100):
        if clients.is_due(second * SECOND_US):
            clients.turn(second * SECOND_US, 15)
        if second % 15 == 0:
            clients.put(2, second * SECOND_US, 15)
        assert clients.count == (1 if second < 15 or second >= 38 else 2)
