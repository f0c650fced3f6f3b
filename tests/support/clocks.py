"""Clocks that a test sets: one alone, and a machine's two, of which time passes on both and only one can be set."""

from __future__ import annotations

from sidecar.domain.units import SECOND_US
from tests.support.events import BEGIN_US

DAY_S = 86_400


class Clock:
    """One that stands still until it is set."""

    def __init__(self) -> None:
        self.now_us = BEGIN_US

    def __call__(self) -> int:
        return self.now_us


class Machine:
    """Its time of day, which a person may set, and its steady clock, which only goes forward."""

    def __init__(self, now_us: int = BEGIN_US) -> None:
        self.now_us = now_us
        self.steady_us = 0

    def clock(self) -> int:
        return self.now_us

    def steady(self) -> int:
        return self.steady_us

    def passes(self, seconds: float) -> None:
        """Time goes by."""
        self.now_us += int(seconds * SECOND_US)
        self.steady_us += int(seconds * SECOND_US)

    def is_set_by(self, seconds: float) -> None:
        """Somebody sets the time of day."""
        self.now_us += int(seconds * SECOND_US)

    def restarts(self, *, down_s: float) -> None:
        """Zimwatch is down for a while, and its steady clock restarts at 0."""
        self.now_us += int(down_s * SECOND_US)
        self.steady_us = 0
