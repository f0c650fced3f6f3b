"""Counts how many different things there were, in little memory."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from typing import Final


class Distinct:
    """How many different strings were added, told apart by their hashes of 64 bits.

    A set of a million hashes takes 70 MB. Here each takes 8 bytes, in its place in one of many short sorted arrays, so
    that a new one moves few others.
    """

    _ARRAYS: Final = 1 << 10

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._hashes: defaultdict[int, array[int]] = defaultdict(lambda: array("q"))
        self._count = 0
        for text in texts:
            self.add(text)

    def add(self, text: str) -> bool:
        """Whether it is new."""
        hashed = hash(text)
        near = self._hashes[hashed % self._ARRAYS]
        place = bisect_left(near, hashed)
        if place < len(near) and near[place] == hashed:
            return False
        near.insert(place, hashed)
        self._count += 1
        return True

    def __len__(self) -> int:
        return self._count
