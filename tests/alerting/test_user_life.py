"""The findings of a stored user: in any order of arrival, after a rebuild, and from a bounded number of events."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.alerting import user_life
from sidecar.domain import findings
from sidecar.domain.events import Event
from sidecar.domain.findings import Finding
from sidecar.domain.units import SECOND_US
from sidecar.store import Store
from sidecar.store.users import as_of, user_reads
from tests.support.events import APP_ID, BEGIN_US
from tests.support.lives import Device, found
from tests.support.unhealthy_lives import LIVES

DOCS = Path(__file__).parents[2] / "docs"
AT_S = 6_000
NOW_US = BEGIN_US + AT_S * SECOND_US


def opened(folder: str | Path) -> Store:
    return Store.open(f"sqlite:///{Path(folder) / 'zimwatch.db'}", clock=lambda: NOW_US)


async def found_in(store: Store, now_us: int = NOW_US, app_id: int = APP_ID) -> list[Finding]:
    detail = await store.read(user_reads.user, app_id, "carol", store.now())
    assert detail is not None
    return await store.read(user_life.user_findings, detail, now_us)


async def send(store: Store, events: Sequence[Event], chance: random.Random) -> None:
    """In batches of any size, some of them twice."""
    waiting = list(events)
    while waiting:
        size = chance.choice([1, 5, 20])
        batch, waiting = waiting[:size], waiting[size:]
        await store.append(batch)
        if chance.random() < 0.3:
            await store.append(batch[::-1])


@settings(max_examples=2)
@given(lives=st.lists(LIVES.filter(bool), min_size=5, max_size=5), seed=st.integers())
async def test_any_order_of_arrival_with_repeats_and_a_rebuild_give_the_same_findings(
    lives: list[list[Event]], seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - the same every time
    # Each life is sent in three orders, each to an app of its own.
    expected: dict[int, list[Finding]] = {}
    with TemporaryDirectory() as folder:
        store = opened(folder)
        for number, life in enumerate(lives):
            for way, order in enumerate((life, chance.sample(life, len(life)), life[::-1])):
                app_id = number * 3 + way
                await send(store, [msgspec.structs.replace(event, app_id=app_id) for event in order], chance)
                expected[app_id] = await found_in(store, app_id=app_id)
                assert expected[app_id] == expected[number * 3]
        await store.rebuild()
        assert {app_id: await found_in(store, app_id=app_id) for app_id in expected} == expected
        await store.close()


async def test_the_store_gives_what_the_events_give(tmp_path: Path) -> None:
    device, other = Device(), Device(name="laptop")
    events = [*device.logs_in(0), *other.logs_in(5_990), device.kicked(5_991), device.fails(5_995), other.warned(5_999)]
    store = opened(tmp_path)
    await store.append(events)
    assert await found_in(store) == found(AT_S, events) != []
    await store.close()


async def test_a_kick_is_found_behind_the_calls_that_failed_since(tmp_path: Path) -> None:
    device = Device()
    events = [*device.logs_in(0), device.kicked(10), *(device.fails(20 + at) for at in range(user_life.EVENTS + 100))]
    store = opened(tmp_path)
    await store.append(events)
    (finding,) = await found_in(store)
    assert (finding.kind, finding.events) == ("kicked_by_other_device", (events[3].id,))
    await store.close()


async def test_a_kick_is_looked_for_in_a_bounded_number_of_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_life, "EVENTS", 5)
    monkeypatch.setattr(user_life, "LOOKED_AT", 10)
    device = Device()
    store = opened(tmp_path)
    await store.append([*device.logs_in(0), device.kicked(10), *(device.fails(20 + at) for at in range(14))])
    assert [one.kind for one in await found_in(store)] == ["kicked_by_other_device"]
    await store.append([device.fails(50), device.fails(51)])
    assert await found_in(store) == []
    await store.close()


async def test_old_events_that_arrive_late_displace_none_of_the_last_half_hour(tmp_path: Path) -> None:
    device, late = Device(), Device(name="late")
    recent = [*device.logs_in(5_000), *(device.fails(5_900 + at, code=6_000_105) for at in range(6))]
    store = opened(tmp_path)
    await store.append(recent)
    kept = [late.fails(at, code=6_000_104) for at in range(user_life.EVENTS * 2)]
    await store.append([msgspec.structs.replace(event, received_at_us=NOW_US) for event in kept])
    (finding,) = await found_in(store)
    assert finding.events == tuple(event.id for event in recent[-6:])
    await store.close()


async def test_the_events_of_a_flood_are_read_up_to_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_life, "EVENTS", 10)
    monkeypatch.setattr(user_life, "EVENTS_LATELY", 30)
    device = Device()
    store = opened(tmp_path)
    await store.append([device.fails(5_000 + at, code=6_000_105) for at in range(100)])
    detail = await store.read(user_reads.user, APP_ID, "carol", store.now())
    assert detail is not None
    assert len(await store.read(user_life.newest_events, detail, NOW_US)) == 30
    later_us = NOW_US + findings.HOLDS_US
    assert len(await store.read(user_life.newest_events, detail, later_us)) == 10
    await store.close()


async def test_a_clock_that_was_set_back_hides_nothing(tmp_path: Path) -> None:
    device = Device()
    store = opened(tmp_path)
    await store.append([*device.logs_in(0), device.kicked(100)])
    assert [one.kind for one in await found_in(store, BEGIN_US - 3_600 * SECOND_US)] == ["kicked_by_other_device"]
    await store.close()


async def test_the_past_has_the_findings_of_then(tmp_path: Path) -> None:
    device = Device()
    events = [
        *device.logs_in(0),
        device.kicked(100),
        *device.logs_in(400),
        *(device.fails(3_000 + at) for at in range(4)),
    ]
    store = opened(tmp_path)
    for event in events:
        await store.append([event])
    kinds = {}
    for at in (50, 150, 500, 2_500, 3_010):
        then_us = BEGIN_US + at * SECOND_US
        then = await store.read(as_of.user_as_of, APP_ID, "carol", then_us, store.now(), limit=user_life.EVENTS)
        assert then.detail is not None
        found_then = findings.find(await store.read(user_life.life, then.detail, then.events, then_us))
        assert found_then == found(at, events)
        kinds[at] = [(one.kind, one.severity) for one in found_then]
    assert kinds == {
        50: [],
        150: [("kicked_by_other_device", "critical")],
        500: [("kicked_by_other_device", "info")],
        2_500: [],
        3_010: [("calls_failing", "warning")],
    }
    await store.close()


def test_the_documents_name_how_many_events_are_read() -> None:
    limits, explained = ((DOCS / f"{name}.md").read_text() for name in ("limits", "findings"))
    for text in (limits, explained):
        assert f"newest {user_life.EVENTS}" in text
        assert f"up to {user_life.EVENTS_LATELY:,}" in text
    assert f"{user_life.LOOKED_AT:,} more for the event that logged the user out" in limits
