"""Late events: the same states as in order, with a bounded amount of work."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa

from sidecar.domain.events import Event
from sidecar.domain.login_state import fold
from sidecar.domain.units import SECOND_US
from sidecar.store import Store
from sidecar.store.log import event_log
from sidecar.store.users import client_history, user_reads
from tests.support.events import APP_ID, BEGIN_US, Phone, made_id
from tests.support.stores import projected
from tests.support.work import of_append

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
    return Store.open(f"sqlite:///{folder / 'zimwatch.db'}", clock=lambda: LATER_US, export_spans=True)


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
@pytest.mark.parametrize("block", [2, 5])
async def test_a_history_in_any_order_and_any_commits_gives_the_state_in_order_and_a_rebuild_equals_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, block: int
) -> None:
    monkeypatch.setattr(client_history, "BLOCK_EVENTS", block)
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
    await store.rebuild()
    assert projected(tmp_path) == live
    await store.close()


@pytest.mark.parametrize("place", [2, 500, 995])
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


async def test_a_late_event_among_deleted_events_changes_nothing(tmp_path: Path) -> None:
    store = opened(tmp_path)
    phone = Phone("alice")
    events = [phone.says("CONNECTED" if at % 2 else "RECONNECTING", "SUCCESS", at=at) for at in range(200)]
    late = events.pop(20)
    await store.append(events)

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
