"""When to look at which alerts: a few bytes an alert, because there may be very many."""

from __future__ import annotations

import heapq
from typing import Final


class Queue:
    """Moments of alerts, by their ids. One number is a moment and an id: it takes a third of the memory of a pair."""

    _IDS: Final = 1 << 48
    # Fewer than this that were dropped are not worth to go through all.
    _FEW: Final = 1_000

    def __init__(self) -> None:
        self._heap: list[int] = []
        # They leave the heap when their moment comes, or when they are half of it: most alerts end long before that.
        self._dropped: set[int] = set()

    def __len__(self) -> int:
        return len(self._heap)

    def put(self, at_us: int, alert_id: int) -> None:
        """Looks at it then; an alert may be put several times."""
        heapq.heappush(self._heap, at_us * self._IDS + alert_id)

    def drop(self, alert_id: int) -> None:
        """Never looks at it again, and it will not be put again; it need not be in the queue."""
        self._dropped.add(alert_id)
        if len(self._dropped) > max(self._FEW, len(self._heap) // 2):
            self._heap = [entry for entry in self._heap if entry % self._IDS not in self._dropped]
            heapq.heapify(self._heap)
            self._dropped.clear()

    def take(self, now_us: int, most: int) -> list[int]:
        """The ids whose moment has come, each once, ``most`` of them at most: the others stay."""
        found: dict[int, None] = {}
        while len(found) < most and (next_us := self.next_us) is not None and next_us <= now_us:
            found[heapq.heappop(self._heap) % self._IDS] = None
        return list(found)

    @property
    def next_us(self) -> int | None:
        """The next moment."""
        while self._heap and self._heap[0] % self._IDS in self._dropped:
            heapq.heappop(self._heap)
        return self._heap[0] // self._IDS if self._heap else None
