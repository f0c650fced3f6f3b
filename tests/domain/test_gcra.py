"""The rate limit by key."""

from __future__ import annotations

from sidecar.domain.gcra import Gcra

COST_US = 10
AT_ONCE = 3


def added(counts: Gcra, key: str, now_us: int, most: int = 10) -> int:
    """How many costs there is room for."""
    for number in range(most):
        if counts.wait_us(key, COST_US, now_us) > 0:
            return number
        counts.add(key, COST_US, now_us)
    return most


def test_some_fit_at_once_and_then_one_as_each_is_settled() -> None:
    counts = Gcra(2, AT_ONCE * COST_US)
    assert added(counts, "a", 100) == AT_ONCE
    assert counts.wait_us("a", COST_US, 100) == COST_US
    assert [added(counts, "a", now_us) for now_us in (109, 110, 129, 1_000)] == [0, 1, 1, AT_ONCE]
    assert added(counts, "b", 100) == AT_ONCE, "another key has its own"


def test_what_is_taken_back_was_never_there_also_of_a_key_that_is_dropped() -> None:
    counts = Gcra(1, AT_ONCE * COST_US)
    counts.add("a", 100 * COST_US, 0)
    counts.take_back("a", 100 * COST_US)
    assert added(counts, "a", 0) == AT_ONCE
    counts.add("b", COST_US, 0)
    counts.take_back("a", COST_US)
    assert list(counts) == ["b"]


def test_a_clock_that_is_set_back_has_nobody_wait_for_longer_than_allowed() -> None:
    counts = Gcra(1, AT_ONCE * COST_US, longest_us=5)
    counts.add("a", AT_ONCE * COST_US, 1_000_000)
    assert counts.wait_us("a", COST_US, 0) == 5 + COST_US
    assert counts.wait_us("a", COST_US, 5 + COST_US) == 0
