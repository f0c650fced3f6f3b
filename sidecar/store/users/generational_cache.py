"""A bounded cache of recently used keys."""

from __future__ import annotations

from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class GenerationalCache(Generic[K, V]):
    """Keeps at least the ``least`` most recently used keys, and at most twice as many.

    There are two generations: when the young one is full, it becomes the old one, which is dropped. A hit costs one
    dict lookup, where an LRU list would be reordered.
    """

    def __init__(self, least: int) -> None:
        self._least = least
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        """The value; counts as a use."""
        found = self._young.get(key)
        if found is None:
            found = self._old.pop(key, None)
            if found is not None:
                self.put(key, found)
        return found

    def put(self, key: K, value: V) -> None:
        """Adds or replaces the value; may drop others."""
        if len(self._young) >= self._least:
            self._old, self._young = self._young, {}
        self._young[key] = value

    def forget(self, key: K) -> None:
        """Drops one key."""
        self._young.pop(key, None)
        self._old.pop(key, None)
