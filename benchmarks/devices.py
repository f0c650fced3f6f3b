"""What an event costs by how many devices its user has, in the store alone: CPU beside users of one device."""

from __future__ import annotations

import random
import statistics
import tempfile

from benchmarks.late import event_of, one_by_one_us, opened
from tests.support.events import Phone

ROUNDS = 8


async def measure(counts: tuple[int, ...] = (1, 3, 10, 16, 17, 40)) -> dict[str, dict[str, float]]:
    """By number of devices: one event a commit, and batches of 100, of one user and of 100; medians of the rounds."""
    chance = random.Random(3)  # noqa: S311 - the same each time
    found: dict[int, list[tuple[float, ...]]] = {count: [] for count in counts}
    with tempfile.TemporaryDirectory(prefix="zimwatch-bench-") as name:
        store = opened(name)
        fleets = {
            count: [[Phone(f"{count}-{user}", f"{number}") for number in range(count)] for user in range(100)]
            for count in counts
        }
        for fleet in fleets.values():
            await one_by_one_us(store, [event_of(phone, at) for own in fleet for at, phone in enumerate(own)], 1_000)
        at = max(counts)
        for _ in range(ROUNDS):
            for count, fleet in fleets.items():
                costs = []
                for users, size, events in ((1, 1, 40), (1, 100, 500), (100, 100, 500)):
                    at += events
                    phones = [chance.choice(fleet[chance.randrange(users)]) for _ in range(events)]
                    costs.append(
                        await one_by_one_us(store, [event_of(one, at + n) for n, one in enumerate(phones)], size)
                    )
                found[count].append(tuple(costs))
        await store.close()
    names = ("alone", "batches of one user", "batches of 100 users")
    first = found[counts[0]]
    return {
        f"{count} devices": {
            name: statistics.median(cost[at] / one[at] for cost, one in zip(found[count], first, strict=True))
            for at, name in enumerate(names)
        }
        for count in counts
    }
