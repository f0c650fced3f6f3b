"""The generic cell rate algorithm (GCRA): a rate limit that keeps one time for each key. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator


class Gcra:
    """Costs of each key, in microseconds of its rate; ``full_us`` of them fit at once.

    For each key it keeps the time at which its costs are settled. Past ``most`` keys, the one whose last cost is oldest
    is dropped. A key waits no longer than ``longest_us`` and one more cost, also where the clock was set back.
    """

    def __init__(self, most: int, full_us: int, longest_us: int = 0) -> None:
        self._most = most
        self._full_us = full_us
        self._longest_us = longest_us
        self._settled_us: OrderedDict[Hashable, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._settled_us)

    def __iter__(self) -> Iterator[Hashable]:
        return iter(self._settled_us)

    def wait_us(self, key: Hashable, cost_us: float, now_us: int) -> float:
        """How long until there is room for the cost; none where it is not above zero."""
        return self._settled(key, now_us) + cost_us - self._full_us - now_us

    def add(self, key: Hashable, cost_us: float, now_us: int) -> None:
        """Adds a cost, whether there is room for it or not."""
        self._settled_us[key] = max(self._settled(key, now_us), now_us) + cost_us
        self._settled_us.move_to_end(key)
        if len(self._settled_us) > self._most:
            self._settled_us.popitem(last=False)

    def take_back(self, key: Hashable, cost_us: float) -> None:
        """Takes back a cost that was added."""
        if key in self._settled_us:
            self._settled_us[key] -= cost_us

    def _settled(self, key: Hashable, now_us: int) -> float:
        settled_us = self._settled_us.get(key, 0.0)
        latest_us = now_us + self._full_us + self._longest_us
        if settled_us > latest_us:
            settled_us = self._settled_us[key] = latest_us
        return settled_us
