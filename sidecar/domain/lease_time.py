"""The time by which leases run: it stands still while Zimwatch is down, and does not follow a clock that is set.

Silence that nobody listened to is not a client's fault, and a machine's clock may be set by a day in a moment. So a
lease is measured in time during which Zimwatch was there to listen, by a clock that only goes forward. Times in the
database are the machine's: a *stretch* says how far lease time was behind it, from when on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

# Clocks that are kept right drift by less than this between two looks; more means that somebody has set the clock.
SET_BY_US: Final = 1_000_000
STRETCHES_KEPT: Final = 128


class Stretch(msgspec.Struct, frozen=True):
    """From ``begins_us`` on, by the machine's clock, lease time was ``skipped_us`` behind it."""

    begins_us: int
    skipped_us: int


class LeaseTime(msgspec.Struct, frozen=True):
    """A moment in lease time, and the stretches that lead to it, oldest first and never none."""

    now_us: int
    stretches: tuple[Stretch, ...]

    @property
    def machine_us(self) -> int:
        """What the machine's clock shows at this moment, as far as was noticed."""
        return self.now_us + self.stretches[-1].skipped_us

    def skipped_us(self, at_us: int) -> int:
        """How far lease time was behind the machine's clock when that showed ``at_us``."""
        newest = self.stretches[-1]
        if newest.begins_us <= at_us <= self.now_us + newest.skipped_us:  # the usual case, asked for every event
            return newest.skipped_us
        for one, ends_us in self.newest_first():
            if one.begins_us <= at_us <= ends_us:
                return one.skipped_us
        # Received in the last seconds before a crash, of which no mark was left; or before everything that is kept.
        begun = (one.skipped_us for one in reversed(self.stretches) if one.begins_us <= at_us)
        return next(begun, self.stretches[0].skipped_us)

    def newest_first(self) -> Iterator[tuple[Stretch, int]]:
        """Each stretch, and what the machine's clock showed at its end. After a clock was set back they overlap."""
        lease_us = self.now_us
        for one in reversed(self.stretches):
            yield one, lease_us + one.skipped_us
            lease_us = one.begins_us - one.skipped_us

    def is_past(self, until_us: int, *, begun_us: int) -> bool:
        """Whether what began at ``begun_us`` and lasts until ``until_us`` is over; both by the machine's clock."""
        return until_us - self.skipped_us(begun_us) < self.now_us


def plain(now_us: int) -> LeaseTime:
    """Lease time that never differed from the machine's clock."""
    return LeaseTime(now_us, (Stretch(0, 0),))


class LeaseClock:
    """Lease time as it goes on. ``steady_us`` is always a clock that only goes forward, from any beginning."""

    def __init__(self, kept: Sequence[Stretch], alive_us: int | None, *, machine_us: int, steady_us: int) -> None:
        """Goes on where it stopped: ``alive_us`` is when Zimwatch was last known to run, by the machine's clock."""
        self._begun_steady_us = self._looked_at_us = steady_us
        if alive_us is None or not kept:
            self._begun_us = machine_us
            self.stretches: tuple[Stretch, ...] = (Stretch(0, 0),)
        else:
            self._begun_us = alive_us - kept[-1].skipped_us
            begun = Stretch(machine_us, machine_us - self._begun_us)
            self.stretches = (*kept, begun)[-STRETCHES_KEPT:]

    def look(self, *, machine_us: int, steady_us: int) -> Stretch | None:
        """Compares the clocks; the new stretch where the machine's was set since the last look."""
        now = self.at(steady_us)
        set_by_us = machine_us - now.machine_us
        passed_us, self._looked_at_us = steady_us - self._looked_at_us, steady_us
        if abs(set_by_us) <= SET_BY_US:
            return None
        # Whatever was received since the last look was received after the clock was set, or is told apart by nothing.
        begun = Stretch(machine_us - passed_us, self.stretches[-1].skipped_us + set_by_us)
        self.stretches = (*self.stretches, begun)[-STRETCHES_KEPT:]
        return begun

    def at(self, steady_us: int) -> LeaseTime:
        """The lease time when the steady clock shows ``steady_us``."""
        return LeaseTime(self._begun_us + steady_us - self._begun_steady_us, self.stretches)
