"""Compares the machine's clock with the steady one, and records what lease time needs after a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import sqlalchemy as sa

from sidecar.clock import Clock
from sidecar.domain.heartbeat_pace import allowed_us
from sidecar.domain.lease import SET_BY_US, LeaseClock, LeaseTime, Stretch
from sidecar.store.care import pruning_hold
from sidecar.store.database import Database
from sidecar.store.heartbeats import Heartbeats
from sidecar.store.users import leases
from sidecar.store.users.leases import Mark
from sidecar.store.values import Commit, Publishing
from sidecar.store.writer import Writer

# After a crash, at most this much of the time before it does not count as silence of clients; each record is a small
# commit. The second: while heartbeats may be in memory alone.
ALIVE_EVERY_US: Final = 5_000_000
ALIVE_BESIDE_HEARTBEATS_US: Final = 2_000_000

ClockFollower = Callable[[sa.Connection, int, int], Commit | None]
"""Called with the clock's time and the size of the change. Its writes share the transaction that records the change;
the ``Commit`` it returns is published. It may be called again after a failure."""


class ClockWatch:
    """The lease time of an open store, and the comparisons of the clocks that keep it correct."""

    def __init__(self, database: Database, *, clock: Clock, steady: Clock, heartbeats: Heartbeats | None) -> None:
        """Without ``heartbeats`` the store is attached: nothing is recorded."""
        self._clock = clock
        self._steady = steady
        self._heartbeats = heartbeats
        self._lease_clock, settled_us = _begin(database, clock(), steady(), heartbeats)
        self._alive_us = clock()
        self._mark = Mark(self._alive_us)
        self._unsaved: list[Stretch] = []
        # By how much the settled clock is ahead of the steady one.
        self._ahead_us = settled_us - steady()
        self._noticing = asyncio.Lock()
        self.followers: list[ClockFollower] = []

    def lease_time(self) -> LeaseTime:
        """The present lease time."""
        return self._lease_clock.at(self._steady())

    def settled_us(self) -> int:
        """The machine's clock, which events and deadlines are stamped with.

        After the clock was set it shows the time as before, until the followers have moved what was stamped: so each
        row is moved once, and none twice.
        """
        if self._heartbeats is None:
            return self._clock()
        return self._steady() + self._ahead_us

    def pause(self) -> None:
        """Pauses lease time, because an event was refused; see :meth:`notice`."""
        self._lease_clock.pause(self._steady())

    async def notice(self, writer: Writer, fails: Callable[[], bool], *, closing: bool = False) -> None:
        """Records that the clock was set, and regularly that Zimwatch runs. What cannot be committed is recorded later.

        ``fails``: whether the database does. Concurrent calls wait for one another, so that each change of the clock is
        recorded, and its followers called, once.
        """
        async with self._noticing:
            await self._notice(writer, fails, closing=closing)

    async def _notice(self, writer: Writer, fails: Callable[[], bool], *, closing: bool) -> None:
        now_us, steady_us = self._clock(), self._steady()
        every_us = ALIVE_BESIDE_HEARTBEATS_US if self._mark.holds_heartbeats else ALIVE_EVERY_US
        is_due = now_us - self._alive_us >= every_us or self._insures_otherwise()
        if not writer.has_taken_all():
            self._lease_clock.compare(machine_us=self.settled_us(), steady_us=steady_us, accepts=False)
            if fails() and is_due:
                # A write that changes nothing: if it succeeds, the database works again.
                await writer.do(lambda connection: leases.record(connection, self._mark))
            return
        set_by_us = now_us - self.settled_us()
        if abs(set_by_us) <= SET_BY_US:  # it drifts
            self._ahead_us += set_by_us
            set_by_us = 0
        # The end of a pause of lease time is a stretch of its own, and does not mean that the clock was set.
        begun = self._lease_clock.compare(machine_us=self.settled_us(), steady_us=steady_us)
        if begun is not None:
            self._unsaved.append(begun)
        if set_by_us:
            await self._record_set(writer, now_us, set_by_us)
        elif self._unsaved or closing or is_due:
            await self._record(writer, now_us)

    async def _record(self, writer: Writer, now_us: int) -> None:
        unsaved, mark = tuple(self._unsaved), self._mark_at(now_us)
        await writer.do(lambda connection: leases.record(connection, mark, begun=unsaved))
        self._recorded(mark, len(unsaved))

    async def _record_set(self, writer: Writer, now_us: int, set_by_us: int) -> None:
        """Records that the clock was set; from the commit on, the settled clock and lease time know it."""
        unsaved, mark = tuple(self._unsaved), self._mark_at(now_us)
        begun = Stretch(0, 0)

        def work(connection: sa.Connection) -> Publishing[None]:
            nonlocal begun
            new_us = self.settled_us() + set_by_us
            begun = Stretch(new_us, new_us - self.lease_time().now_us)
            leases.record(connection, mark, begun=(*unsaved, begun))
            pruning_hold.jumped(connection, set_by_us, self.lease_time().now_us)
            return Publishing(None, Commit.of_all(follow(connection, new_us, set_by_us) for follow in self.followers))

        def committed() -> None:
            self._ahead_us += set_by_us
            self._lease_clock.begin(begun)

        await writer.do_alone(work, committed)
        self._recorded(mark, len(unsaved))

    def _mark_at(self, now_us: int) -> Mark:
        return Mark(now_us) if self._heartbeats is None else _mark(self._heartbeats, now_us)

    def _recorded(self, mark: Mark, saved: int) -> None:
        del self._unsaved[:saved]
        self._alive_us, self._mark = mark.alive_us or 0, mark
        if self._heartbeats is not None:
            self._heartbeats.insured_s = mark.heartbeat_after_s if mark.holds_heartbeats else 0

    def _insures_otherwise(self) -> bool:
        heartbeats = self._heartbeats
        return heartbeats is not None and heartbeats.to_insure_s() != heartbeats.insured_s


def _mark(heartbeats: Heartbeats, now_us: int) -> Mark:
    insured_s = heartbeats.to_insure_s()
    return Mark(now_us, insured_s or heartbeats.after_s, heartbeats.clients, holds_heartbeats=insured_s > 0)


def _begin(database: Database, now_us: int, steady_us: int, heartbeats: Heartbeats | None) -> tuple[LeaseClock, int]:
    """The lease time of this start, and what the settled clock shows.

    A machine's clock that shows less than when Zimwatch ran last was set back meanwhile, by so much at least.
    """
    if heartbeats is None:
        return LeaseClock((), None, machine_us=now_us, steady_us=steady_us), now_us
    with database.begin() as connection:
        stretches, mark = leases.recorded(connection)
        alive_us = mark.alive_us
        lost_us = allowed_us(mark.heartbeat_after_s) if mark.holds_heartbeats else 0
        settled_us = now_us if alive_us is None or now_us >= alive_us - SET_BY_US else alive_us
        lease_clock = LeaseClock(stretches, alive_us, machine_us=settled_us, steady_us=steady_us, lost_us=lost_us)
        heartbeats.expect(mark.heartbeat_clients, mark.heartbeat_after_s)
        leases.record(connection, _mark(heartbeats, now_us), begun=lease_clock.stretches[-1:])
        if alive_us is not None:
            pruning_hold.jumped(connection, now_us - alive_us, lease_clock.at(steady_us).now_us)
        return lease_clock, settled_us
