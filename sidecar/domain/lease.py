"""Leases: how long a client may be silent before it counts as unconfirmed, and the clock that measures it.

The SDK gives no callback when a process dies, so silence is the only sign. A lease runs in *lease time*: it counts only
while Zimwatch accepts events, because nobody could have reported in the meantime, and it never jumps when the machine's
clock is set. Times in the database are the machine's; a *stretch* is a period with a constant offset between the two.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from operator import itemgetter
from typing import Final

import msgspec

from sidecar.domain.units import DAY_US, SECOND_US

# A synchronised clock drifts by less than this between two comparisons; a larger difference: the clock was set.
SET_BY_US: Final = SECOND_US
STRETCHES_KEPT: Final = 128
# A stretch may have lasted for so much longer than is known: a crash loses the record of the last seconds, a restart
# moves the end back by what heartbeats in memory were worth, and what comes before a pause is over is after it.
UNRECORDED_US: Final = 60 * SECOND_US
# A lease outlasts two heartbeats that are lost.
BEATS_IN_A_LEASE: Final = 3
# The intervals between heartbeats that clients obey.
SHORTEST_INTERVAL_S: Final = 1
LONGEST_INTERVAL_S: Final = 3_600
LONGEST_LEASE_US: Final = BEATS_IN_A_LEASE * LONGEST_INTERVAL_S * SECOND_US


class Leases(msgspec.Struct, frozen=True):
    """The duration of a lease: of a client that sends heartbeats, and of one that never has.

    ``heartbeat_us`` is the least: that of a client that was given a longer interval than :attr:`heartbeat_after_s` is
    three times this interval. ``heartbeats_per_second``: all clients together are to send no more.
    """

    heartbeat_us: int = 45 * SECOND_US
    silent_us: int = DAY_US
    heartbeats_per_second: int = 500

    @property
    def heartbeat_after_s(self) -> int:
        """The interval between heartbeats that clients are given while they are few."""
        third_s = self.heartbeat_us // (BEATS_IN_A_LEASE * SECOND_US)
        return min(LONGEST_INTERVAL_S, max(SHORTEST_INTERVAL_S, third_s))

    def lasts_us(self, *, sends_heartbeats: bool, heartbeat_after_s: int = 0) -> int:
        """The duration of a client's lease. ``heartbeat_after_s`` is the interval last given to it, 0 if none was."""
        if not sends_heartbeats:
            return self.silent_us
        if heartbeat_after_s <= self.heartbeat_after_s:
            return self.heartbeat_us
        return max(self.heartbeat_us, BEATS_IN_A_LEASE * SECOND_US * heartbeat_after_s)

    def until_us(self, last_seen_at_us: int, *, sends_heartbeats: bool, heartbeat_after_s: int = 0) -> int:
        """When the lease of a client last seen at ``last_seen_at_us`` ends, by the machine's clock."""
        return last_seen_at_us + self.lasts_us(sends_heartbeats=sends_heartbeats, heartbeat_after_s=heartbeat_after_s)


class Stretch(msgspec.Struct, frozen=True):
    """From ``begins_us`` on, by the machine's clock, lease time is ``skipped_us`` behind that clock."""

    begins_us: int
    skipped_us: int


class LeaseTime(msgspec.Struct, frozen=True):
    """A moment in lease time, and the stretches up to it: oldest first, at least one.

    ``paused_us``: for how long lease time has been paused by then.
    """

    now_us: int
    stretches: tuple[Stretch, ...]
    paused_us: int = 0

    @classmethod
    def without_skips(cls, now_us: int) -> LeaseTime:
        """Lease time that always equals the machine's clock."""
        return cls(now_us, (Stretch(0, 0),))

    @property
    def machine_us(self) -> int:
        """The machine's clock at this moment, apart from a change that was not noticed yet."""
        return self.now_us + self.stretches[-1].skipped_us

    def skipped_us(self, at_us: int) -> int:
        """How far lease time was behind the machine's clock when that showed ``at_us``."""
        newest = self.stretches[-1]
        if newest.begins_us <= at_us <= self.now_us + newest.skipped_us:  # the usual case, on the path of every event
            return newest.skipped_us
        for one, ends_us in self.newest_first():
            if one.begins_us <= at_us <= ends_us:
                return one.skipped_us
        # Received in the last seconds before a crash, which were not recorded; or before the oldest stretch kept.
        begun = (one.skipped_us for one, _ in self.latest_ended() if one.begins_us <= at_us)
        return next(begun, self.stretches[0].skipped_us)

    def skipped_at_sign_us(self, at_us: int) -> int:
        """The same of a sign of life, which counts as the latest that ``at_us`` may mean, and never as of after now.

        One from after the known end of its stretch counts as of that end: lease time did not run on before the next.
        So a lease that was found to last until a moment may turn out to last longer, and shorter only by what a crash
        or a pause sets lease time back.
        """
        for one, ends_us, latest_us in self._with_latest():
            if one.begins_us <= at_us <= ends_us:
                return one.skipped_us
            if one.begins_us <= at_us <= latest_us:
                return one.skipped_us + at_us - ends_us
        return self.skipped_us(at_us)

    def lease_us(self, at_us: int) -> int:
        """The lease time when the machine's clock showed ``at_us``."""
        return at_us - self.skipped_us(at_us)

    def sign_us(self, at_us: int) -> int:
        """The lease time of a sign of life, see :meth:`skipped_at_sign_us`."""
        return at_us - self.skipped_at_sign_us(at_us)

    def newest_first(self) -> Iterator[tuple[Stretch, int]]:
        """Each stretch with its end by the machine's clock. They overlap where the clock was set back."""
        lease_us = self.now_us
        for one in reversed(self.stretches):
            yield one, lease_us + one.skipped_us
            lease_us = one.begins_us - one.skipped_us

    def _with_latest(self) -> Iterator[tuple[Stretch, int, int]]:
        """The same, each with the latest time of a sign of life that may be of it.

        Where the clock was set back while Zimwatch ran, the end is known. Before a larger difference may be a crash.
        """
        unrecorded_us = SET_BY_US + self.paused_us
        after: Stretch | None = None
        for one, ends_us in self.newest_first():
            if after is not None:
                is_set_back = after.skipped_us < one.skipped_us - SET_BY_US
                unrecorded_us = SET_BY_US if is_set_back else UNRECORDED_US
            yield one, ends_us, ends_us + unrecorded_us
            after = one

    def latest_ended(self) -> list[tuple[Stretch, int]]:
        """The same by their ends by the machine's clock, the latest first."""
        return sorted(self.newest_first(), key=itemgetter(1), reverse=True)

    def ends_before_later_times(self) -> list[int]:
        """When stretches ended, by the machine's clock, that began after it was set back; not where it was past before.

        Signs of life from before have later times, although they are older. An end may be in here twice: as it is
        known, and with what may not be recorded.
        """
        ends = [(ends_us, latest_us) for _, ends_us, latest_us in self._with_latest()]
        latest = list(accumulate((ends_us for ends_us, _ in reversed(ends)), max))[-2::-1]
        found = [one for both, before_us in zip(ends, latest, strict=False) for one in both if one < before_us]
        return sorted(set(found), reverse=True)

    def is_silent(self, until_us: int, *, seen_us: int) -> bool:
        """Whether the lease of who was seen last at ``seen_us`` has ended; both by the machine's clock."""
        return until_us - self.skipped_at_sign_us(seen_us) < self.now_us

    def is_past(self, until_us: int, *, begun_us: int) -> bool:
        """Whether the time from ``begun_us`` to ``until_us`` is over; both by the machine's clock."""
        return until_us - self.skipped_us(begun_us) < self.now_us


class Now(msgspec.Struct, frozen=True):
    """The present, for reads that judge leases: the moment in lease time, and the durations of leases."""

    time: LeaseTime
    leases: Leases


class LeaseClock:
    """Measures lease time. ``steady_us`` is always a monotonic clock, with any origin."""

    def __init__(
        self, kept: Sequence[Stretch], alive_us: int | None, *, machine_us: int, steady_us: int, lost_us: int = 0
    ) -> None:
        """Continues from ``kept``; ``alive_us`` is when Zimwatch was last known to run, by the machine's clock.

        ``lost_us`` is by how much heartbeats that were lost in memory may have moved a lease: every lease is that much
        longer.
        """
        self._begun_steady_us = self._compared_at_us = steady_us
        self._paused_at_us: int | None = None
        if alive_us is None or not kept:
            self._begun_us = machine_us
            self.stretches: tuple[Stretch, ...] = (Stretch(0, 0),)
        else:
            self._begun_us = alive_us - kept[-1].skipped_us - lost_us
            begun = Stretch(machine_us, machine_us - self._begun_us)
            self.stretches = (*kept, begun)[-STRETCHES_KEPT:]

    @classmethod
    def joined(cls, stretches: Sequence[Stretch], *, machine_us: int, steady_us: int) -> LeaseClock:
        """The lease time that another process measures, by the last of the ``stretches`` that this one knows of."""
        joined = cls((), None, machine_us=machine_us - stretches[-1].skipped_us, steady_us=steady_us)
        joined.stretches = tuple(stretches)[-STRETCHES_KEPT:]
        return joined

    def pause(self, steady_us: int) -> None:
        """Stops lease time, because events are refused from now on. Idempotent."""
        if self._paused_at_us is None:
            self._paused_at_us = steady_us

    def compare(self, *, machine_us: int, steady_us: int, accepts: bool = True) -> Stretch | None:
        """Compares the clocks; the new stretch where the machine's was set since the last time, or after a pause.

        ``accepts``: events are accepted. Else lease time is paused until it is called with True again.
        """
        passed_us, self._compared_at_us = steady_us - self._compared_at_us, steady_us
        if not accepts:
            self.pause(steady_us)
            return None
        now = self.at(steady_us)
        if self._paused_at_us is not None:
            self._begun_steady_us += steady_us - self._paused_at_us
            self._paused_at_us = None
        set_by_us = machine_us - now.machine_us
        if abs(set_by_us) <= SET_BY_US:
            return None
        # When exactly the clock was set is unknown: everything received since the last comparison counts as later.
        begun = Stretch(machine_us - passed_us, self.stretches[-1].skipped_us + set_by_us)
        self.begin(begun)
        return begun

    def begin(self, stretch: Stretch) -> None:
        """From now on this stretch is the newest."""
        self.stretches = (*self.stretches, stretch)[-STRETCHES_KEPT:]

    def at(self, steady_us: int) -> LeaseTime:
        """The lease time when the steady clock shows ``steady_us``."""
        paused_us = 0 if self._paused_at_us is None else max(0, steady_us - self._paused_at_us)
        return LeaseTime(self._begun_us + steady_us - paused_us - self._begun_steady_us, self.stretches, paused_us)
