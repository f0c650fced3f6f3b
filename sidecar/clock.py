"""The only place that reads a clock. Everything else is told the time, so that tests can tell it another."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], int]
"""Gives microseconds: since the Unix epoch, UTC, unless it is a steady one, which only goes forward."""


def now_us() -> int:
    """The machine's time of day in microseconds since the Unix epoch."""
    return time.time_ns() // 1_000


def steady_us() -> int:
    """Microseconds from some beginning, by a clock that nobody sets and that only goes forward."""
    return time.monotonic_ns() // 1_000
