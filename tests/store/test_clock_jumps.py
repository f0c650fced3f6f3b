"""A clock that jumps deletes nothing, and time in which events are refused is no silence of clients."""

from __future__ import annotations

import asyncio
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sidecar.alerting.alert_reaction import AlertReaction, Gathered, Policy
from sidecar.alerting.tables import alert_log, notifications, silence_rows
from sidecar.domain.alerts.routing import Silence
from sidecar.domain.events import HEARTBEAT, Event
from sidecar.domain.units import DAY_US, SECOND_US
from sidecar.errors import StoreUnavailableError
from sidecar.store import Limits, Retention, Store
from sidecar.store.care import pruning_hold
from sidecar.store.postgres import connections, locks
from sidecar.store.sqlite import write_lock
from sidecar.store.users import user_reads, working_set
from tests.support.clocks import DAY_S, Machine
from tests.support.databases import reading, url_of
from tests.support.events import APP_ID, BEGIN_US, Phone
from tests.support.process import DATABASE, serving
from tests.support.running import zimwatch
from tests.support.wire import fresh_event, wire_event

pytestmark = pytest.mark.both_engines("soak")

LEASE_US = 45 * SECOND_US
LIBRARY = next(iter(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")), None)


def opened(folder: Path, machine: Machine, **options: object) -> Store:
    return Store.open(url_of(folder), clock=machine.clock, steady=machine.steady, **options)  # type: ignore[arg-type]


def rows_of(folder: Path) -> int:
    with reading(folder) as connection:
        return int(connection.exec_driver_sql("SELECT COUNT(*) FROM events").scalar_one())


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Another program holds the database for longer than we wait."""
    url = url_of(folder)
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(folder / DATABASE, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
    else:
        with psycopg.connect(url) as session:
            session.execute(locks.COMMIT_IN_ORDER.encode())
            yield


async def held(store: Store) -> pruning_hold.Hold | None:
    return await store.read(pruning_hold.current, store.now())


def day_of(machine: Machine) -> list[object]:
    phone = Phone("alice")
    at = (machine.now_us - BEGIN_US) / SECOND_US
    return [phone.says("CONNECTED", "SUCCESS", at), *(phone.event("logout", at) for _ in range(9))]


@pytest.mark.parametrize("by_s", [3_600, -3_600])
async def test_a_clock_that_is_set_shows_the_time_of_before_until_what_was_stamped_is_moved(
    tmp_path: Path, by_s: int
) -> None:
    machine = Machine()
    store = opened(tmp_path, machine)
    moved: list[tuple[int, int, int]] = []
    store.when_clock_is_set(lambda _connection, now_us, by_us: moved.append((now_us, by_us, store.settled_us())))
    machine.passes(3)
    await store.notice_clock()
    machine.is_set_by(by_s)
    before_us = store.settled_us()
    assert before_us == machine.now_us - by_s * SECOND_US
    await asyncio.gather(store.notice_clock(), store.notice_clock())
    assert moved == [(machine.now_us, by_s * SECOND_US, before_us)]
    assert store.settled_us() == machine.now_us
    await store.close()


async def test_a_clock_that_was_set_back_while_it_is_down_is_settled_once_what_was_stamped_is_moved(
    tmp_path: Path,
) -> None:
    machine = Machine()
    store = opened(tmp_path, machine)
    before_us = machine.now_us
    await store.close()
    machine.is_set_by(-3_600)
    store = opened(tmp_path, machine)
    assert store.settled_us() == before_us
    await store.notice_clock()
    assert store.settled_us() == machine.now_us
    await store.close()


@pytest.mark.parametrize("how", ["while it runs", "while it is down"])
async def test_a_clock_that_jumps_ahead_deletes_nothing_until_a_day_has_passed_or_it_is_confirmed(
    tmp_path: Path, how: str
) -> None:
    machine = Machine()
    store = opened(tmp_path, machine)
    await store.append(day_of(machine))  # type: ignore[arg-type]
    await store.tend()
    if how == "while it is down":
        await store.close()
        machine.is_set_by(400 * DAY_S)
        store = opened(tmp_path, machine)
    else:
        machine.passes(1)
        machine.is_set_by(400 * DAY_S)
    for _ in range(20):
        await store.tend()
        machine.passes(3_600)
    hold = await held(store)
    assert hold is not None
    assert hold.by_us // DAY_US == 400
    assert rows_of(tmp_path) == 10
    # It is remembered over a restart.
    await store.close()
    store = opened(tmp_path, machine)
    await store.tend()
    assert rows_of(tmp_path) == 10
    machine.passes(5 * 3_600)
    await store.tend()
    assert (await held(store), rows_of(tmp_path)) == (None, 1)
    await store.close()


@pytest.mark.parametrize("by_days", [400, -400])
async def test_a_clock_that_jumps_after_it_was_looked_at_deletes_nothing(tmp_path: Path, by_days: int) -> None:
    machine = Machine()
    store = opened(tmp_path, machine)
    await store.append(day_of(machine))  # type: ignore[arg-type]
    await store.notice_clock()
    machine.is_set_by(by_days * DAY_S)
    await store.prune()
    assert rows_of(tmp_path) == 10
    await store.close()


async def test_pruning_resumes_at_once_after_the_clock_is_confirmed(tmp_path: Path) -> None:
    machine = Machine()
    store = opened(tmp_path, machine)
    await store.append(day_of(machine))  # type: ignore[arg-type]
    machine.is_set_by(400 * DAY_S)
    await store.tend()
    assert rows_of(tmp_path) == 10
    assert await store.prune(despite_jump=True) > 0
    assert (await held(store), rows_of(tmp_path)) == (None, 1)
    await store.close()


async def test_a_clock_that_is_set_in_the_middle_of_pruning_deletes_nothing(tmp_path: Path) -> None:
    machine = Machine()
    store = opened(tmp_path, machine)
    await store.append(day_of(machine))  # type: ignore[arg-type]
    await store.notice_clock()
    machine.is_set_by(400 * DAY_S)
    await store.prune()
    assert rows_of(tmp_path) == 10
    await store.close()


async def test_a_clock_that_was_set_is_followed_once_by_however_many_it_is_noticed(tmp_path: Path) -> None:
    machine = Machine()
    store = opened(tmp_path, machine)
    followed: list[int] = []
    store.when_clock_is_set(lambda _connection, _now_us, by_us: followed.append(by_us // SECOND_US))
    machine.is_set_by(-3_600)
    await asyncio.gather(*(store.notice_clock() for _ in range(5)))
    for _ in range(5):
        machine.passes(3_600)
        await store.notice_clock()
    assert followed == [-3_600]
    await store.close()


@pytest.mark.parametrize(("by", "followed"), [(-3_600, [-3_590]), (3_600, []), (0, [])])
async def test_a_clock_that_is_set_back_while_zimwatch_is_down_is_followed_once(
    tmp_path: Path, by: int, followed: list[int]
) -> None:
    machine = Machine()
    await opened(tmp_path, machine).close()
    machine.restarts(down_s=10 + by)
    for expected in (followed, []):
        found: list[int] = []
        store = opened(tmp_path, machine)
        store.when_clock_is_set(lambda _connection, _now_us, by_us: found.append(by_us // SECOND_US))  # noqa: B023
        for _ in range(3):
            await store.notice_clock()
            machine.passes(1)
        assert found == expected
        await store.close()


async def test_lease_time_that_stood_still_is_no_clock_that_was_set(tmp_path: Path) -> None:
    machine = Machine()
    store = opened(tmp_path, machine)
    followed: list[int] = []
    store.when_clock_is_set(lambda _connection, _now_us, by_us: followed.append(by_us))
    writer = store._writing  # nothing else makes it full for sure
    kept, writer._limits = writer._limits, Limits(waiting_us=-1)
    for _ in range(48):
        with pytest.raises(StoreUnavailableError):
            await store.append(day_of(machine))  # type: ignore[arg-type]
        await store.notice_clock()
        machine.passes(3_600)
    writer._limits = kept
    for _ in range(3):
        await store.tend()
    assert (followed, await held(store)) == ([], None)
    machine.is_set_by(7)
    await store.tend()
    assert followed == [7 * SECOND_US]
    await store.close()


@pytest.mark.of_sqlite
async def test_the_size_of_the_file_is_kept_whatever_the_clock_says(tmp_path: Path) -> None:
    machine = Machine()
    store = opened(tmp_path, machine, retention=Retention(max_bytes=1))
    await store.append(day_of(machine))  # type: ignore[arg-type]
    machine.is_set_by(-400 * DAY_S)
    await store.tend()
    assert rows_of(tmp_path) == 1
    await store.close()


async def test_days_that_pass_by_the_steady_clock_are_no_jump(tmp_path: Path) -> None:
    machine = Machine()
    store = opened(tmp_path, machine)
    await store.append(day_of(machine))  # type: ignore[arg-type]
    for _ in range(31):
        machine.passes(DAY_S)
        await store.tend()
    assert (await held(store), rows_of(tmp_path)) == (None, 1)
    await store.close()


async def test_the_overview_shows_that_the_clock_jumped(tmp_path: Path) -> None:
    machine = Machine()
    async with zimwatch(tmp_path, machine=machine) as running:
        await running.send([wire_event()])
        machine.is_set_by(-3 * DAY_S)
        await running.store.tend()
        async with running.http.get("/") as page:
            text = await page.text()
        assert "The clock jumped" in text
        assert "3 d back" in text


async def is_unconfirmed(store: Store) -> bool:
    await store.tend()
    found = await store.read(user_reads.user, APP_ID, "alice", store.now())
    assert found is not None
    return found.user.unconfirmed


async def lease_lasts_25_s_more(store: Store, machine: Machine) -> None:
    assert not await is_unconfirmed(store)
    machine.passes(24)
    assert not await is_unconfirmed(store)
    machine.passes(2)
    assert await is_unconfirmed(store)


@pytest.mark.parametrize("why", ["the disk", "the queue"])
async def test_leases_stand_still_while_what_is_sent_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    monkeypatch.setattr(write_lock, "BUSY_TIMEOUT_S", 0)
    monkeypatch.setattr(connections, "LOCK_S", 1)
    machine = Machine()
    store = opened(tmp_path, machine)
    phone = Phone("alice")

    async def send() -> None:
        at = (machine.now_us - BEGIN_US) / SECOND_US
        await store.append([phone.event(HEARTBEAT, at)])

    await store.append([phone.says("CONNECTED", "SUCCESS", 0)])
    await send()
    machine.passes(20)
    if why == "the disk":
        with locked(tmp_path):
            with pytest.raises(StoreUnavailableError):
                await send()
            machine.passes(600)
            found = await store.read(user_reads.user, APP_ID, "alice", store.now())
            assert found is not None
            assert not found.user.unconfirmed
        await store.tend()  # finds that there is room again
        await store.tend()  # and that nothing was refused since
    else:
        writer = store._writing  # nothing else makes it full for sure
        kept, writer._limits = writer._limits, Limits(waiting_us=-1)
        for _ in range(60):
            with pytest.raises(StoreUnavailableError):
                await send()
            assert not await is_unconfirmed(store)
            machine.passes(10)
        writer._limits = kept
        await store.tend()
    await lease_lasts_25_s_more(store, machine)
    await store.close()


@pytest.mark.of_sqlite
async def test_leases_stand_still_while_the_disk_fails_and_nothing_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As behind a load balancer, which sends nothing to a server that is not ready."""
    machine = Machine()
    store = opened(tmp_path, machine)
    phone = Phone("alice")
    await store.append([phone.says("CONNECTED", "SUCCESS", 0), phone.event(HEARTBEAT, 0)])
    machine.passes(20)
    monkeypatch.setattr(write_lock, "BUSY_TIMEOUT_S", 0)
    with closing(sqlite3.connect(tmp_path / DATABASE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailableError):
            await store.tend()
        machine.passes(600)
        other.execute("ROLLBACK")
    await store.tend()  # finds that there is room again
    await store.tend()  # and that no commit failed since
    await lease_lasts_25_s_more(store, machine)
    await store.close()


@pytest.mark.faketime
async def test_a_server_whose_clock_is_set_a_year_ahead_keeps_its_log_and_reports_it(tmp_path: Path) -> None:
    """The whole process under libfaketime, whose file is the machine's clock."""
    clock = tmp_path / "clock"
    clock.write_text("+0")
    environ = {
        "LD_PRELOAD": str(LIBRARY),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }

    async def until_it_says_so(address: str) -> None:
        async with asyncio.timeout(30), aiohttp.ClientSession(address) as http:
            while True:
                async with http.get("/") as page:
                    if "The clock jumped" in await page.text():
                        return
                await asyncio.sleep(0.5)  # a page costs much under libfaketime

    async with serving(tmp_path, environ) as (address, _):
        async with aiohttp.ClientSession(address) as http:
            events = [fresh_event(seq=seq, id=str(uuid.uuid4())) for seq in range(1, 11)]
            async with http.post("/v1/events", json=events) as answer:
                assert (await answer.json())["accepted"] == 10
        clock.write_text("+400d")
        await until_it_says_so(address)
    assert rows_of(tmp_path) == 10
    async with serving(tmp_path, environ) as (address, _):
        await until_it_says_so(address)
    assert rows_of(tmp_path) == 10


@pytest.mark.parametrize("days", [-1, 400])
async def test_pauses_take_as_long_as_ever_when_the_clock_is_set(tmp_path: Path, days: int) -> None:
    machine = Machine()
    rules = AlertReaction(Policy(receivers={"ops": 10}, grace_us=0))
    store = opened(tmp_path, machine, followers=[rules])
    store.when_clock_is_set(rules.clock_set)
    alice, carol = Phone("alice"), Phone("carol")

    async def fires() -> dict[str, int]:
        await store.tend()
        for now_us in (machine.now_us, machine.now_us + 1):  # what is due opens on the second tick
            while await store.write(rules.tick, now_us, Gathered()):
                pass
        return await store.read(alert_log.counts, None)

    await store.append(
        [alice.says("RECONNECTING", "LOGIN_INTERRUPTED", 0), carol.says("DISCONNECTED", "KICKED_OUT", 0)]
    )
    silence = Silence(
        id=0,
        matchers={"user_id": ("bob",)},
        starts_at_us=machine.now_us,
        ends_at_us=machine.now_us + 7_200 * SECOND_US,
        author="x",
        reason="x",
    )
    await store.write(rules.silence, silence)
    machine.passes(100)
    assert "offline_too_long" not in await fires()
    machine.is_set_by(days * DAY_S)
    # It is too long after 5 minutes, however the clock was set.
    assert "offline_too_long" not in await fires()
    (kept,) = await store.read(silence_rows.listed)
    assert kept.ends_at_us - machine.now_us == 7_100 * SECOND_US
    machine.passes(190)
    assert "offline_too_long" not in await fires()
    machine.passes(20)
    assert (await fires())["offline_too_long"] == 1
    assert (await fires())["kicked_out"] == 1
    due = await store.read(notifications.next_due_us, "ops")
    assert due is not None
    assert due <= machine.now_us
    machine.passes(86_400)
    assert "kicked_out" not in await fires()
    await store.close()


DEVICES = ("phone", "desk", "tablet")
# A clock that is set back by less than a lease shows moments again that count as later then.
JUMPS = st.sampled_from((-90_000, -3_600, 30, 3_600, 90_000))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("beats"), st.sampled_from(DEVICES)),
        st.tuples(st.just("logs out"), st.sampled_from(DEVICES)),
        st.tuples(st.just("is set"), JUMPS),
        st.tuples(st.just("passes"), st.sampled_from((5, 20, 44))),
    ),
    max_size=20,
)


@pytest.mark.parametrize("packed", [4, 1])
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
@example([("passes", 20), ("is set", -3_600), ("beats", "desk"), ("logs out", "phone"), ("passes", 44)])
@example([("passes", 20), ("is set", 3_600), ("logs out", "desk"), ("passes", 20)])
@example([("is set", -3_600), ("beats", "desk"), ("logs out", "phone"), ("passes", 44), ("passes", 20)])
def test_the_longest_silence_of_several_devices_is_measured_however_the_clock_is_set(  # noqa: C901 - a step each
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, packed: int, steps: list[tuple[str, Any]]
) -> None:
    """Right after each step, and after a rebuild at the end; with more than ``packed`` the user is crowded."""
    monkeypatch.setattr(working_set, "CLIENTS_KEPT", packed)
    monkeypatch.setattr(working_set, "CLIENTS_PACKED", packed)
    folder = tmp_path_factory.mktemp("set")

    async def run() -> None:
        machine = Machine()
        store = opened(folder, machine)
        phones = {name: Phone("alice", name) for name in DEVICES}
        seen_us = dict.fromkeys(DEVICES, 0)

        async def is_silent() -> bool:
            await store.tend()
            detail = await store.read(user_reads.user, APP_ID, "alice", store.now())
            assert detail is not None
            return detail.user.unconfirmed

        async def says(name: str, *events: Callable[[float], Event]) -> None:
            at = (machine.now_us - BEGIN_US) / SECOND_US
            await store.append([event(at) for event in events])
            seen_us[name] = machine.steady_us

        for name, phone in phones.items():
            await says(name, partial(phone.says, "CONNECTED", "SUCCESS"), partial(phone.event, HEARTBEAT))
        for what, which in steps:
            if what == "is set":
                machine.is_set_by(which)
            elif what == "passes":
                machine.passes(which)
            elif which in seen_us:
                if what == "beats":
                    await says(which, partial(phones[which].event, HEARTBEAT))
                elif len(seen_us) > 1:
                    await says(which, partial(phones[which].event, "logout"))
                    del seen_us[which]
            silent_us = machine.steady_us - max(seen_us.values())
            assert await is_silent() == (silent_us > LEASE_US)
        await store.rebuild()
        assert await is_silent() == (machine.steady_us - max(seen_us.values()) > LEASE_US)
        await store.close()

    asyncio.run(run())
