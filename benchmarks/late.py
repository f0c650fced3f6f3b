"""Late events and users with many clients, in the store alone: CPU beside events in order of few clients."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from sidecar.alerting import reaction_of
from sidecar.domain.events import Event
from sidecar.domain.units import SECOND_US
from sidecar.settings import Settings
from sidecar.store import Store
from tests.support.events import BEGIN_US, Phone

LATER_US = BEGIN_US + 10_000_000 * SECOND_US


def event_of(phone: Phone, at: float) -> Event:
    """The next event: online and offline by turns."""
    return phone.says("CONNECTED" if phone.seq % 2 else "RECONNECTING", "SUCCESS", at)


async def cpu_us(store: Store, events: list[Event], size: int) -> float:
    """CPU of an event, sent in batches of this size."""
    began = time.process_time()
    for start in range(0, len(events), size):
        await store.append(events[start : start + size])
    return (time.process_time() - began) / len(events) * 1e6


async def measure(history: int, clients: int) -> dict[str, float]:
    """The ratios and their microseconds."""
    with tempfile.TemporaryDirectory(prefix="zimwatch-bench-") as name:
        url = f"sqlite:///{Path(name) / 'zimwatch.db'}"
        store = Store.open(url, clock=lambda: LATER_US, export_spans=True, followers=[reaction_of(Settings())])
        alice, fleet = Phone("alice"), [Phone(f"user-{number}") for number in range(50)]
        events = [event_of(alice, at) for at in range(history)]
        late = [events.pop(place) for place in range(history - history // 100, 0, -(history // 100))]
        await cpu_us(store, events, 1_000)
        fresh = await cpu_us(store, [event_of(alice, history + at) for at in range(100)], 1)
        one_late = await cpu_us(store, late[::2], 1)
        batch_of_late = await cpu_us(store, late[1::2], 50)
        in_order = await cpu_us(store, [event_of(phone, at) for at in range(400) for phone in fleet], 100)
        phones = [Phone(f"backward-{number}") for number in range(50)]
        backward = [event_of(phone, at) for at in range(400) for phone in phones][::-1]
        newest_first = await cpu_us(store, backward, 100)
        alone: dict[int, float] = {}
        for count in (3, clients):
            own = [Phone(f"user of {count}", f"client {number}") for number in range(count)]
            await cpu_us(store, [event_of(phone, at) for at, phone in enumerate(own)], 1_000)
            alone[count] = await cpu_us(store, [event_of(own[at % count], 100_000 + at) for at in range(300)], 1)
        await store.close()
    return {
        f"one late event in a history of {history:,} beside a fresh one": one_late / fresh,
        "a late event in a batch of 50, beside a fresh one alone": batch_of_late / fresh,
        "newest first beside in order, batches of 100": newest_first / in_order,
        f"an event of a user of {clients:,} clients beside one of 3": alone[clients] / alone[3],
        "a fresh event alone, us": fresh,
        "an event in order in a batch of 100, us": in_order,
    }
