"""Counts how many different things there were, in little memory."""

from __future__ import annotations

import math
from typing import Final


class Distinct:
    """How many different strings were added: exactly up to 20,000, by their hashes; then within a thousandth.

    A set of a million hashes takes 70 MB. With more than a few thousand a map of 2 MiB has a bit for each hash instead,
    and how many share one is made up for (linear counting, https://doi.org/10.1145/78922.78925).
    """

    EXACT: Final = 20_000
    _BITS: Final = 1 << 24

    def __init__(self) -> None:
        self._hashes: set[int] = set()
        self._map: bytearray | None = None
        self._set = 0

    def add(self, text: str) -> bool:
        """Whether it is new."""
        hashed = hash(text)
        if self._map is not None:
            return self._mark(self._map, hashed)
        before = len(self._hashes)
        self._hashes.add(hashed)
        if len(self._hashes) > self.EXACT:
            self._map = bytearray(self._BITS // 8)
            for one in self._hashes:
                self._mark(self._map, one)
            self._hashes = set()
            return True
        return len(self._hashes) > before

    def _mark(self, marks: bytearray, hashed: int) -> bool:
        place, bit = hashed % self._BITS >> 3, 1 << (hashed & 7)
        if marks[place] & bit:
            return False
        marks[place] |= bit
        self._set += 1
        return True

    def __len__(self) -> int:
        if self._map is None:
            return len(self._hashes)
        return round(-self._BITS * math.log1p(-min(self._set, self._BITS - 1) / self._BITS))
