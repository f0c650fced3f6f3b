"""Late events: the same states as in order, with a bounded amount of work."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa

from sidecar.domain.events import Event
from sidecar.domain.login_state import LoginState, fold
from sidecar.domain.units import SECOND_US
from sidecar.store import Store
from sidecar.store.log import event_log
from sidecar.store.mapping import Client
from sidecar.store.users import client_block, client_history, recent_blocks, user_reads, write_users
from sidecar.store.users.client_events import ClientEvents
from sidecar.store.users.recent_blocks import RecentBlocks
from tests.support.databases import url_of
from tests.support.events import APP_ID, BEGIN_US, Phone, made_id
from tests.support.stores import projected
from tests.support.work import of_append

pytestmark = pytest.mark.both_engines("soak")

LATER_US = BEGIN_US + 1_000_000 * SECOND_US
KINDS = (
    ("CONNECTED", "SUCCESS"),
    ("RECONNECTING", "LOGIN_INTERRUPTED"),
    ("DISCONNECTED", "KICKED_OUT"),
    ("DISCONNECTED", "SUCCESS"),
    "login",
    "logout",
)


def opened(folder: Path) -> Store:
    return Store.open(url_of(folder), clock=lambda: LATER_US, export_spans=True)


def history(count: int, chance: random.Random, phone: Phone | None = None) -> list[Event]:
    phone = phone or Phone("alice")
    changes = [chance.choice(KINDS) for _ in range(count)]
    return [
        phone.event(what, at, details={"token_expires_at_us": LATER_US + at})
        if isinstance(what, str)
        else phone.says(what[0], what[1], at)
        for at, what in enumerate(changes)
    ]


async def is_as_in_order(store: Store, events: list[Event]) -> bool:
    expected = fold(events)
    detail = await store.read(user_reads.user, APP_ID, "alice", store.now())
    assert detail is not None
    (session,) = detail.sessions
    names = (
        "status",
        "since_us",
        "reason",
        "outages",
        "connection_state",
        "session_id",
        "login_at_us",
        "token_expires_at_us",
    )
    return [getattr(session, name) for name in names] == [getattr(expected, name) for name in names]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("block", "kept"), [(2, 0), (5, 30), (3, recent_blocks.KEPT)])
async def test_a_history_in_any_order_and_any_commits_gives_the_state_in_order_and_a_rebuild_equals_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, block: int, kept: int
) -> None:
    monkeypatch.setattr(client_history, "BLOCK_EVENTS", block)
    monkeypatch.setattr(recent_blocks, "KEPT", kept)
    monkeypatch.setattr(client_block, "READ_FIRST", 1 + seed % 2)
    chance = random.Random(seed)  # noqa: S311 - the same every time
    events = history(150, chance)
    arriving = list(events)
    if seed % 3 == 0:
        arriving.reverse()
    elif seed % 3 == 1:
        chance.shuffle(arriving)
    else:
        arriving.sort(key=lambda event: event.seq + chance.randrange(40))
    store = opened(tmp_path)
    while arriving:
        size = chance.choice([1, 4, 30])
        await store.append(arriving[:size])
        del arriving[:size]
    assert await is_as_in_order(store, events)
    live = projected(tmp_path)
    monkeypatch.setattr(recent_blocks, "KEPT", 0)
    await store.rebuild()
    assert projected(tmp_path) == live
    await store.close()


@pytest.mark.parametrize("place", [2, 500, 995])
@pytest.mark.of_sqlite
async def test_a_late_event_costs_the_same_after_a_history_ten_times_as_long(tmp_path: Path, place: int) -> None:
    found = []
    for times in (1, 10):
        folder = tmp_path / str(times)
        folder.mkdir()
        store = opened(folder)
        events = history(1_000 * times, random.Random(1))  # noqa: S311 - the same every time
        late = events.pop(place * times)
        for start in range(0, len(events), 1_000):
            await store.append(events[start : start + 1_000])
        found.append(await of_append(store, [late]))
        assert await is_as_in_order(store, [*events, late])
        await store.close()
    assert found[1].statements <= found[0].statements + 20
    assert found[1].steps <= found[0].steps + 5_000


@pytest.mark.of_sqlite
async def test_a_moment_that_all_later_events_keep_passes_over_their_blocks(tmp_path: Path) -> None:
    store = opened(tmp_path)
    phone = Phone("alice")
    events = [phone.says("CONNECTED", "SUCCESS", at=at) for at in range(1_000)]
    await store.append(events[1:])
    work = await of_append(store, events[:1])
    detail = await store.read(user_reads.user, APP_ID, "alice", store.now())
    assert detail is not None
    assert detail.user.since_us == BEGIN_US
    # One statement finds a block and one writes it; events are read of the first block and the tail alone.
    assert work.statements <= 2 * 1_000 / client_history.BLOCK_EVENTS + 40
    await store.close()


async def test_the_work_of_late_events_is_sliced_and_others_are_served_in_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_log, "WORK_MOST", 30)
    store = opened(tmp_path)
    chance = random.Random(3)  # noqa: S311 - the same every time
    events = history(200, chance)
    late = events[::2]
    await store.append(events[1::2])
    order: list[str] = []

    async def send(name: str, batch: list[Event]) -> int:
        answer = await store.append(batch)
        order.append(name)
        return answer.accepted + 1_000 * answer.duplicates

    bob = Phone("bob").says("CONNECTED", "SUCCESS", at=0)
    # Whichever the writer takes first, many slices of late events remain when bob is due.
    sent = [send("late", [*late, events[1]]), send("bob", [bob])]
    assert await asyncio.gather(*sent) == [1_100, 1]
    assert order == ["bob", "late"]
    assert await is_as_in_order(store, events)
    live = projected(tmp_path)
    await store.rebuild()
    assert projected(tmp_path) == live
    await store.close()


@pytest.mark.parametrize("known", [False, True])
async def test_a_late_event_among_deleted_events_changes_nothing(tmp_path: Path, *, known: bool) -> None:
    store = opened(tmp_path)
    phone = Phone("alice")
    events = [phone.says("CONNECTED" if at % 2 else "RECONNECTING", "SUCCESS", at=at) for at in range(200)]
    late, earlier = events.pop(20), events.pop(19)
    await store.append(events)
    if known:  # then its block is in memory
        await store.append([earlier])

    def forget(connection: sa.Connection) -> None:
        connection.exec_driver_sql("DELETE FROM events WHERE position <= 100")

    await store.write(forget)
    before = await store.read(user_reads.user, APP_ID, "alice", store.now())
    assert (await store.append([late])).accepted == 1
    after = await store.read(user_reads.user, APP_ID, "alice", store.now())
    assert before is not None
    assert after is not None
    assert [(one.status, one.since_us, one.outages) for one in after.sessions] == [
        (one.status, one.since_us, one.outages) for one in before.sessions
    ]
    # One among events that are still there is put in order.
    recent = phone.says("DISCONNECTED", "KICKED_OUT", at=199.5, id=made_id("between"))
    await store.append([msgspec.structs.replace(phone.says("CONNECTED", "SUCCESS", at=300), seq=300)])
    await store.append([msgspec.structs.replace(recent, seq=250)])
    found = await store.read(user_reads.user, APP_ID, "alice", store.now())
    assert found is not None
    assert found.user.since_us == BEGIN_US + 300 * SECOND_US
    await store.close()


@pytest.mark.parametrize("length", [100, 1_500])
@pytest.mark.parametrize("order", ["newest first", "shuffled"])
@pytest.mark.of_sqlite
async def test_late_events_of_a_client_read_its_blocks_once_and_write_one_each(
    tmp_path: Path, length: int, order: str
) -> None:
    store = opened(tmp_path)
    chance = random.Random(5)  # noqa: S311 - the same every time
    events = history(length, chance)
    first, late = events[60:], events[:60]
    if order == "newest first":
        late.reverse()
    else:
        chance.shuffle(late)
    for start in range(0, len(first), 500):
        await store.append(first[start : start + 500])
    works = [await of_append(store, late[start : start + 2]) for start in range(0, 60, 2)]
    assert await is_as_in_order(store, events)
    assert sum(work.having("FROM events WHERE position IN") for work in works) <= 4
    assert sum(work.having("FROM client_blocks") for work in works) <= 6
    assert sum(work.having("WITH RECURSIVE") for work in works) <= 1
    # Each of the 60 changes its block; some change the next one too, or split one.
    assert sum(work.having("INSERT INTO client_blocks") for work in works) <= 1.5 * 60
    await store.close()


@pytest.mark.parametrize("length", [100, 1_500])
async def test_events_before_all_others_read_the_first_ones_of_a_block_that_is_not_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    monkeypatch.setattr(recent_blocks, "KEPT", 0)
    read: list[int] = []
    at = ClientEvents.at

    def counted(self: ClientEvents, positions: Sequence[int]) -> list[tuple[int, Event]]:
        read.append(len(positions))
        return at(self, positions)

    monkeypatch.setattr(ClientEvents, "at", counted)
    store = opened(tmp_path)
    phone = Phone("alice")
    events = [phone.says("RECONNECTING" if at % 2 else "CONNECTED", "SUCCESS", at) for at in range(length)]
    await store.append(events[32:])
    for event in reversed(events[:32]):
        await store.append([event])
    assert await is_as_in_order(store, events)
    # A block is read to its end only when it is split, with every sixteenth.
    assert sum(read) <= 32 * 8 + 2 * 32
    await store.close()


async def test_a_commit_that_failed_leaves_nothing_of_its_blocks_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(tmp_path)
    events = history(100, random.Random(8))  # noqa: S311 - the same every time
    await store.append(events[20:])
    await store.append(events[15:20])
    with monkeypatch.context() as patch:
        patch.setattr(write_users, "_write_users", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            await store.append(events[5:15])
    await store.append(events[:10])
    await store.append(events[10:15])
    assert await is_as_in_order(store, events)
    live = projected(tmp_path)
    await store.rebuild()
    assert projected(tmp_path) == live
    await store.close()


@pytest.mark.of_sqlite
def test_memory_of_blocks_is_bounded_and_keeps_the_clients_that_were_late_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent_blocks, "KEPT", 100)
    recent = RecentBlocks()
    clients = [
        Client(client_key=number, client_id=bytes(16), user_key=1, state=LoginState(), last_seen_at_us=0)
        for number in range(200)
    ]
    for client in clients:
        known = recent.take(client)
        known.events += 7
        recent.keep(known)
    kept = [client.client_key for client in clients if client.client_key in recent]
    assert 100 // 7 <= len(kept) <= 2 * 100 // 7
    assert kept[-1] == 199
    assert kept == list(range(kept[0], 200))
    assert recent.take(clients[199]).events == 7
    # Until it is kept again it is unknown.
    assert recent.take(clients[199]).events == 0
