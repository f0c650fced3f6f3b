"""Merges ordered sources, such as one range of an index for each group, into one order.

A source is opened only when its first element is due. So a page costs no more statements than it has rows, however many
sources there are.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

S = TypeVar("S")
E = TypeVar("E")


def merged(heads: Iterable[tuple[Any, S]], opened: Callable[[S], Iterator[E]], rank: Callable[[E], Any]) -> Iterator[E]:
    """The elements of all sources by ``rank``, the smallest first.

    ``heads`` has the rank of each source's first element, and the source. ``opened`` gives its elements in order.
    """
    waiting = sorted(heads, key=lambda head: head[0])
    open_sources: list[tuple[Any, int, E, Iterator[E]]] = []
    number = 0
    while number < len(waiting) or open_sources:
        while number < len(waiting) and (not open_sources or waiting[number][0] <= open_sources[0][0]):
            elements = opened(waiting[number][1])
            first = next(elements, None)
            number += 1
            if first is not None:
                heapq.heappush(open_sources, (rank(first), number, first, elements))
        if not open_sources:
            continue
        _, source, element, elements = open_sources[0]
        yield element
        following = next(elements, None)
        if following is None:
            heapq.heappop(open_sources)
        else:
            heapq.heapreplace(open_sources, (rank(following), source, following, elements))
