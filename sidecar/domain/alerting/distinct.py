"""Counts how many different things there were, in little memory."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final


class Distinct:
    """How many different strings were added: exactly up to 20,000, by their hashes; then within a thousandth.

    A set of a million hashes takes 70 MB. Of more, a map of 2 MiB has a bit for each hash instead, and how many share
    one is made up for (linear counting, https://doi.org/10.1145/78922.78925).
    """

    EXACT: Final = 20_000
    _BITS: Final = 1 << 24

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._hashes = set(map(hash, texts))
        self._map = bytearray()
        self._set = 0
        self._bound()

    def add(self, text: str) -> bool:
        """Whether it is new."""
        hashed = hash(text)
        if self._map:
            return self._mark(hashed)
        before = len(self._hashes)
        self._hashes.add(hashed)
        is_new = len(self._hashes) > before
        self._bound()
        return is_new

    def _bound(self) -> None:
        """From a set to a map, where there are too many for a set."""
        if len(self._hashes) > self.EXACT:
            self._map = bytearray(self._BITS // 8)
            for hashed in self._hashes:
                self._mark(hashed)
            self._hashes = set()

    def _mark(self, hashed: int) -> bool:
        place, bit = hashed % self._BITS >> 3, 1 << (hashed & 7)
        if self._map[place] & bit:
            return False
        self._map[place] |= bit
        self._set += 1
        return True

    def __len__(self) -> int:
        if not self._map:
            return len(self._hashes)
        return round(-self._BITS * math.log1p(-min(self._set, self._BITS - 1) / self._BITS))
