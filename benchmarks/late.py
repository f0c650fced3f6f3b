"""Late events and users with many clients, in the store alone: CPU beside events in order of few clients."""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from sidecar.alerting import reaction_of
from sidecar.domain.events import Event
from sidecar.domain.units import SECOND_US
from sidecar.settings import Settings
from sidecar.store import Store
from tests.support.events import BEGIN_US, Phone

LATER_US = BEGIN_US + 10_000_000 * SECOND_US
ORDERS: Final = ("in order", "newest first", "shuffled")


class Shape(msgspec.Struct, frozen=True):
    """``clients`` by turns send ``events`` each, in batches of ``batch``; with ``apart`` each sends its own batches.

    ``tabs`` clients have one user; None: they have none.
    """

    clients: int
    batch: int
    events: int
    tabs: int | None = 1
    apart: bool = False

    def batches(self, order: str, name: str) -> list[list[list[Event]]]:
        """The batches to append one after the other; those of an inner list are sent at once."""
        chance = random.Random(1)  # noqa: S311 - the same every time
        own = [[event_of(phone, at) for at in range(self.events)] for phone in self._phones(f"{order} {name}")]
        for events in own:
            if order == "newest first":
                events.reverse()
            elif order == "shuffled":
                chance.shuffle(events)
        if self.apart:
            starts = range(0, self.events, self.batch)
            return [[events[start : start + self.batch] for events in own] for start in starts]
        by_turns = [event for turn in zip(*own, strict=True) for event in turn]
        return [[by_turns[start : start + self.batch]] for start in range(0, len(by_turns), self.batch)]

    def _phones(self, name: str) -> list[Phone]:
        tabs = self.tabs
        return [
            Phone(None if tabs is None else f"{name}, user {number // tabs}", f"{name}, client {number}")
            for number in range(self.clients)
        ]


SHAPES: Final = {
    "1 client, batches of 100": Shape(1, 100, 10_000),
    "10 clients, batches of 100": Shape(10, 100, 1_000),
    "50 clients, batches of 100": Shape(50, 100, 400),
    "500 clients, batches of 100": Shape(500, 100, 40),
    "5,000 clients, batches of 100": Shape(5_000, 100, 8),
    "50 clients, batches of 10": Shape(50, 10, 100),
    "50 clients, batches of 1,000": Shape(50, 1_000, 400),
    "5,000 clients, batches of 1,000": Shape(5_000, 1_000, 8),
    "10 users of 5 tabs, batches of 100": Shape(50, 100, 200, tabs=5),
    "2 users of 100 clients, batches of 100": Shape(200, 100, 40, tabs=100),
    "50 clients without a user, batches of 100": Shape(50, 100, 200, tabs=None),
    "a week's outage of 200 devices, each in batches of 50": Shape(200, 50, 150, apart=True),
}


def event_of(phone: Phone, at: float) -> Event:
    """The next event: online and offline by turns."""
    return phone.says("CONNECTED" if phone.seq % 2 else "RECONNECTING", "SUCCESS", at)


async def cpu_us(store: Store, batches: Sequence[Sequence[Sequence[Event]]]) -> float:
    """CPU of an event."""
    began = time.process_time()
    for at_once in batches:
        await asyncio.gather(*map(store.append, at_once))
    return (time.process_time() - began) / sum(len(one) for some in batches for one in some) * 1e6


async def one_by_one_us(store: Store, events: list[Event], size: int) -> float:
    """CPU of an event, sent in batches of this size."""
    return await cpu_us(store, [[events[start : start + size]] for start in range(0, len(events), size)])


def opened(folder: str) -> Store:
    """A store with the alert rules."""
    url = f"sqlite:///{Path(folder) / 'zimwatch.db'}"
    return Store.open(url, clock=lambda: LATER_US, export_spans=True, followers=[reaction_of(Settings())])


async def measure(history: int, clients: int, rounds: int) -> dict[str, Any]:
    """The ratios and their microseconds."""
    with tempfile.TemporaryDirectory(prefix="zimwatch-bench-") as folder:
        store = opened(folder)
        alice = Phone("alice")
        events = [event_of(alice, at) for at in range(history)]
        late = [events.pop(place) for place in range(history - history // 100, 0, -(history // 100))]
        await one_by_one_us(store, events, 1_000)
        fresh = await one_by_one_us(store, [event_of(alice, history + at) for at in range(100)], 1)
        one_late = await one_by_one_us(store, late[::2], 1)
        batch_of_late = await one_by_one_us(store, late[1::2], 50)
        alone: dict[int, float] = {}
        for count in (3, clients):
            own = [Phone(f"user of {count}", f"client {number}") for number in range(count)]
            await one_by_one_us(store, [event_of(phone, at) for at, phone in enumerate(own)], 1_000)
            alone[count] = await one_by_one_us(store, [event_of(own[at % count], 100_000 + at) for at in range(300)], 1)
        await store.close()
    return {
        f"one late event in a history of {history:,} beside a fresh one": one_late / fresh,
        "a late event in a batch of 50, beside a fresh one alone": batch_of_late / fresh,
        f"an event of a user of {clients:,} clients beside one of 3": alone[clients] / alone[3],
        "a fresh event alone, us": fresh,
        "beside in order": {name: await _shape(shape, rounds) for name, shape in SHAPES.items()},
    }


async def _shape(shape: Shape, rounds: int) -> dict[str, float]:
    """The orders by turns in one store, the least of some rounds."""
    found: dict[str, list[float]] = {order: [] for order in ORDERS}
    with tempfile.TemporaryDirectory(prefix="zimwatch-bench-") as folder:
        store = opened(folder)
        for number in range(rounds):
            for order in ORDERS:
                found[order].append(await cpu_us(store, shape.batches(order, str(number))))
        await store.close()
    least = {order: min(took) for order, took in found.items()}
    ratios = {order: least[order] / least["in order"] for order in ORDERS[1:]}
    return {**ratios, "in order, us": least["in order"]}
