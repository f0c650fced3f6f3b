"""The only module that reads a clock. All other code gets the time passed in, so that tests can choose it."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], int]
"""Returns microseconds: since the Unix epoch, UTC, or of a steady clock since some beginning."""


def now_us() -> int:
    """The machine's time of day in microseconds since the Unix epoch."""
    return time.time_ns() // 1_000


def steady_us() -> int:
    """Microseconds since some beginning, by a clock that is never set and only increases."""
    return time.monotonic_ns() // 1_000
