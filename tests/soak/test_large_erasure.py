"""A user of 100,000 events is erased in small slices and little memory, while events of others are stored."""

from __future__ import annotations

import asyncio
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from sidecar.clock import steady_us
from sidecar.store.care import erasures
from tests.privacy.test_erase import erased, found_in, marks_of, opened
from tests.support.events import APP_ID, BEGIN_US, Phone
from tests.support.memory import traced
from tests.support.planted import ALICE
from tests.support.stores import projected

pytestmark = pytest.mark.soak

EVENTS = 100_000
BATCH = 2_000
# Far below what the events take, which is some 100 MB as objects.
MOST_BYTES = 24 << 20
MOST_ROWS = 1_500


async def test_a_user_of_many_events_is_erased_in_little_memory_while_others_report(tmp_path: Path) -> None:
    store = opened(tmp_path, steady=steady_us)  # there are pauses in the overwriting of a large file
    alice, bob = Phone(ALICE), Phone("bob")
    for start in range(0, EVENTS, BATCH):
        step = [("CONNECTED", "SUCCESS"), ("RECONNECTING", "LOGIN_INTERRUPTED")]
        await store.append([alice.says(*step[at % 2], at=start + at) for at in range(BATCH)])
    await store.write(erasures.ask, APP_ID, ALICE, BEGIN_US)
    changed: list[int] = []
    work = store._eraser.work

    def counting(connection: Any, *more: Any) -> Any:
        driver = connection.connection.driver_connection
        before = driver.total_changes
        step = work(connection, *more)
        changed.append(driver.total_changes - before)
        return step

    store._eraser.work = counting  # type: ignore[method-assign, assignment]
    between: list[int] = []
    with traced():
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        erasing = asyncio.create_task(store.erase())
        while not erasing.done():
            slices = len(changed)
            await store.append([bob.says("CONNECTED", "SUCCESS", at=EVENTS + len(between))])
            between.append(len(changed) - slices)
        await erasing
        peak = tracemalloc.get_traced_memory()[1] - before
    assert len(changed) > EVENTS / 300
    assert max(changed) < MOST_ROWS
    assert peak < MOST_BYTES
    assert sum(between) > len(changed) / 2, "others were stored all the while"
    assert max(between) <= 4, "no event waited for more than a few slices"
    done = await store.read(erasures.one, 1)
    assert done is not None
    assert done.removed["events"] == EVENTS
    assert (await erased(store, "nobody")).removed == {}
    live = projected(tmp_path)
    await store.rebuild()
    assert projected(tmp_path) == live
    await store.close()
    assert found_in(tmp_path / "zimwatch.db", marks_of([alice])) == []
