"""Ended leases: shown everywhere, published to open pages, and never ended by Zimwatch's own downtime."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sidecar.errors import StoreUnavailableError
from sidecar.store.sqlite import backups
from tests.api.test_api import next_event
from tests.support.clocks import DAY_S, Machine
from tests.support.events import APP_ID, Phone
from tests.support.running import Zimwatch, zimwatch
from tests.support.wire import wire_event

pytestmark = pytest.mark.both_engines("soak")

ALICE = f"/v1/users/{APP_ID}/alice"


@pytest.fixture
def options(machine: Machine) -> dict[str, Any]:
    return {"machine": machine}


async def beats(running: Zimwatch, seq: int = 9) -> None:
    await running.send([wire_event(type="heartbeat", seq=seq)])


async def is_silent(running: Zimwatch) -> bool:
    await running.store.tend()
    user = (await running.get(ALICE))[1]
    assert user["sessions"][0]["unconfirmed"] is user["unconfirmed"]
    listed = (await running.get("/v1/users?unconfirmed=true"))[1]["users"]
    others = (await running.get("/v1/users?unconfirmed=false"))[1]["users"]
    assert (len(listed), len(others)) == ((1, 0) if user["unconfirmed"] else (0, 1))
    assert (await running.get("/v1/summary"))[1]["unconfirmed"] == len(listed)
    return bool(user["unconfirmed"])


async def alice_comes(running: Zimwatch) -> None:
    await running.send([wire_event()])
    await beats(running)
    assert not await is_silent(running)


async def test_a_silent_user_is_unconfirmed_everywhere(running: Zimwatch, machine: Machine) -> None:
    await alice_comes(running)
    async with running.http.get("/metrics") as response:
        assert 'status="online"} 1.0' in await response.text()
    machine.passes(46)
    assert await is_silent(running)
    user = (await running.get(ALICE))[1]
    assert user["status"] == "online"  # a badge, not a fourth status
    async with running.http.get("/metrics") as response:
        text = await response.text()
    assert 'status="online"} 0.0' in text
    assert 'status="unconfirmed"} 1.0' in text
    for path in ("/", "/users", "/users?status=online", f"/users/{APP_ID}/alice"):
        async with running.http.get(path) as response:
            page = await response.text()
        main = page.split("<main", 1)[1].split("<form", 1)[0] if path == "/" else page.split("<main", 1)[1]
        for found in re.finditer(r'class="status online([^"]*)"', main.split("<tbody>")[-1]):
            assert "doubtful" in found[1], path
        assert "unconfirmed" in main
        assert "Online" not in page.split("<title>")[1].split("</title>")[0]
    async with running.http.get("/") as response:
        assert "1 unconfirmed" in await response.text()
    await beats(running)
    assert not await is_silent(running)


async def test_an_open_stream_shows_that_a_lease_ended(running: Zimwatch, machine: Machine) -> None:
    await alice_comes(running)
    async with running.http.get("/v1/stream") as response:
        assert (await next_event(response))[2]["unconfirmed"] == 0
        machine.passes(46)
        name, _, user = await next_event(response)
        assert (name, user["user_id"], user["unconfirmed"]) == ("user", "alice", True)
        name, _, summary = await next_event(response)
        if name == "alert":  # that she is lost, if it fired as soon
            name, _, summary = await next_event(response)
        assert (name, summary["online"], summary["unconfirmed"]) == ("summary", 1, 1)


async def test_a_sweep_publishes_each_silent_user_once_and_no_other(running: Zimwatch, machine: Machine) -> None:
    published: list[tuple[int, str]] = []
    running.store.subscribe(lambda commit: published.extend(commit.users))
    await alice_comes(running)
    await running.send([wire_event(user_id="bob", client_id="6b1c3c5e-2b58-4d39-9d51-0d4e1f6b7a10")])
    machine.passes(46)
    await running.store.tend()
    await running.store.tend()
    await running.get("/livez")  # what was published is published in a later turn of the loop
    assert published[-1] == (APP_ID, "alice")
    assert published.count((APP_ID, "alice")) == 3  # her two events, and the end of her lease


async def test_what_comes_after_the_end_of_a_lease_is_told_after_it(running: Zimwatch, machine: Machine) -> None:
    """As an alert about it would be."""
    await alice_comes(running)
    published: asyncio.Queue[set[tuple[int, str]]] = asyncio.Queue()
    running.store.subscribe(lambda commit: published.put_nowait(set(commit.users)))
    machine.passes(46)
    bob = Phone("bob").says("CONNECTED", "SUCCESS", at=46)
    await asyncio.gather(running.store._writing.sweep(1), running.store.append([bob]))
    assert (APP_ID, "alice") in await asyncio.wait_for(published.get(), 30)


async def test_a_client_that_never_sent_a_heartbeat_has_a_day(running: Zimwatch, machine: Machine) -> None:
    await running.send([wire_event()])
    machine.passes(DAY_S)
    assert not await is_silent(running)
    machine.passes(1)
    assert await is_silent(running)


@pytest.mark.parametrize("down_s", [2, 3600, 3 * DAY_S])
async def test_downtime_of_zimwatch_ends_no_lease(tmp_path: Path, machine: Machine, down_s: int) -> None:
    async with zimwatch(tmp_path, machine=machine) as running:
        await alice_comes(running)
        machine.passes(40)
        assert not await is_silent(running)
    machine.restarts(down_s=down_s)
    async with zimwatch(tmp_path, machine=machine) as running:
        assert not await is_silent(running)
        machine.passes(5)
        assert not await is_silent(running)
        machine.passes(1)
        assert await is_silent(running)
    machine.restarts(down_s=down_s)
    async with zimwatch(tmp_path, machine=machine) as running:
        assert await is_silent(running)
        await beats(running)
        assert not await is_silent(running)


@pytest.mark.of_sqlite
async def test_a_crash_makes_a_lease_longer_by_an_interval_and_3_s_at_most(tmp_path: Path, machine: Machine) -> None:
    async with zimwatch(tmp_path, machine=machine) as running:
        await alice_comes(running)
        for _ in range(20):
            machine.passes(1)
            await running.store.tend()
        crashed_us = machine.now_us
        copy = tmp_path / "crashed"
        copy.mkdir()
        backups.backup(Path(running.store.name), copy / "zimwatch.db")  # as a kill would leave it: with the last mark
    machine.now_us = crashed_us
    machine.restarts(down_s=3600)
    async with zimwatch(copy, machine=machine) as running:
        machine.passes(25)
        assert not await is_silent(running)
        machine.passes(15 + 3 + 1)
        assert await is_silent(running)


@pytest.mark.of_sqlite
async def test_a_rebuild_right_after_a_crash_leaves_those_silent_that_were(tmp_path: Path, machine: Machine) -> None:
    async with zimwatch(tmp_path, machine=machine) as running:
        await alice_comes(running)
        for _ in range(47):
            machine.passes(1)
            await running.store.tend()
        assert await is_silent(running)
        crashed_us = machine.now_us
        copy = tmp_path / "crashed"
        copy.mkdir()
        backups.backup(Path(running.store.name), copy / "zimwatch.db")
    machine.now_us = crashed_us
    machine.restarts(down_s=1)
    async with zimwatch(copy, machine=machine) as running:
        await running.store.rebuild()
        assert await is_silent(running)
        await beats(running)
        assert not await is_silent(running)


@pytest.mark.parametrize("days", [1, -1])
async def test_a_clock_that_is_set_by_a_day_ends_no_lease_and_hides_no_silence(
    running: Zimwatch, machine: Machine, days: int
) -> None:
    await alice_comes(running)
    machine.passes(10)
    machine.is_set_by(days * DAY_S)
    assert not await is_silent(running)
    await running.store.tend()
    assert not await is_silent(running)
    machine.passes(30)
    await beats(running)
    machine.passes(45)
    await running.store.tend()
    assert not await is_silent(running)
    machine.passes(1)
    await running.store.tend()
    assert await is_silent(running)


@pytest.mark.parametrize("days", [1, -1])
async def test_a_clock_that_is_set_is_remembered_over_a_restart(tmp_path: Path, machine: Machine, days: int) -> None:
    async with zimwatch(tmp_path, machine=machine) as running:
        await alice_comes(running)
        machine.passes(10)
        machine.is_set_by(days * DAY_S)
        await running.store.tend()
        machine.passes(30)
    machine.restarts(down_s=600)
    async with zimwatch(tmp_path, machine=machine) as running:
        machine.passes(5)
        assert not await is_silent(running)
        machine.passes(1)
        assert await is_silent(running)


@pytest.mark.parametrize("days", [1, -1])
async def test_a_clock_that_is_set_just_before_a_stop_is_noticed_by_the_stop(
    tmp_path: Path, machine: Machine, days: int
) -> None:
    async with zimwatch(tmp_path, machine=machine) as running:
        await alice_comes(running)
        machine.passes(40)
        machine.is_set_by(days * DAY_S)
    machine.restarts(down_s=600)
    async with zimwatch(tmp_path, machine=machine) as running:
        machine.passes(5)
        assert not await is_silent(running)
        machine.passes(1)
        assert await is_silent(running)


@pytest.mark.of_sqlite
async def test_a_clock_that_was_set_while_nothing_could_be_committed_is_recorded_later(
    tmp_path: Path, machine: Machine
) -> None:
    async with zimwatch(tmp_path, machine=machine) as running:
        await alice_comes(running)
        machine.passes(10)
        with closing(sqlite3.connect(tmp_path / "zimwatch.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")  # another program holds the database for longer than we wait
            machine.is_set_by(DAY_S)
            with pytest.raises(StoreUnavailableError):
                await running.store.tend()
            other.execute("ROLLBACK")
        await running.store.tend()  # finds that there is room again
        await running.store.tend()  # and that no commit failed since
        machine.passes(30)
        await running.store.tend()
    machine.restarts(down_s=600)
    async with zimwatch(tmp_path, machine=machine) as running:
        machine.passes(5)
        assert not await is_silent(running)
        machine.passes(1)
        assert await is_silent(running)


async def test_an_invalid_filter_is_named(running: Zimwatch) -> None:
    for name in ("unconfirmed", "disagreement"):
        status, answer = await running.get(f"/v1/users?{name}=maybe")
        assert (status, name in answer["detail"]) == (400, True)
        async with running.http.get(f"/users?{name}=maybe") as response:
            assert response.status == 400
            assert "“maybe”" in await response.text()


async def test_pages_and_the_api_say_when_a_silent_device_is_noticed(running: Zimwatch) -> None:
    await running.send([wire_event()])
    for text, seconds in (("24 h", 86_400), ("45 s", 45)):
        assert (await running.get(ALICE))[1]["sessions"][0]["silent_at_most_s"] == seconds
        async with running.http.get(f"/users/{APP_ID}/alice") as page:
            assert f"A silent device is noticed after {text} at most." in await page.text()
        await beats(running)
    async with running.http.get("/settings") as page:
        text = await page.text()
    assert "every 15 s or sooner" in text
    assert "A silent device is noticed after 45 s at most." in text
