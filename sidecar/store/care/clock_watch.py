"""Compares the machine's clock with the steady one, and records what lease time needs after a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import sqlalchemy as sa
import structlog

from sidecar.clock import Clock
from sidecar.domain.heartbeat_pace import allowed_us
from sidecar.domain.lease import SET_BY_US, UNRECORDED_US, LeaseClock, LeaseTime, Stretch
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
# A node whose last record is so far from this clock runs, and has a clock that agrees.
AGREES_US: Final = 2 * ALIVE_EVERY_US

_log = structlog.get_logger(__name__)

ClockFollower = Callable[[sa.Connection, int, int], Commit | None]
"""Called with the clock's time and the size of the change. Its writes share the transaction that records the change;
the ``Commit`` it returns is published. It may be called again after a failure."""


class ClockWatch:
    """The lease time of an open store, and the comparisons of the clocks that keep it correct."""

    def __init__(self, database: Database, *, clock: Clock, steady: Clock, heartbeats: Heartbeats | None) -> None:
        """Without ``heartbeats`` the store is attached: nothing is recorded."""
        self._database = database
        self._clock = clock
        self._steady = steady
        self._heartbeats = heartbeats
        # Stretches of other nodes were not taken over, and are to be read.
        self._has_missed = False
        self._is_begun = False
        if heartbeats is not None:
            database.listen(self._follow, elsewhere=True)
        self._lease_clock, settled_us = _begin(database, clock(), steady(), heartbeats)
        self._alive_us = clock()
        self._mark = Mark(self._alive_us)
        self._unsaved: list[Stretch] = []
        # By how much the settled clock is ahead of the steady one.
        self._ahead_us = settled_us - steady()
        self._noticing = asyncio.Lock()
        self._is_begun = True
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
        """Pauses lease time, because events are refused, or would be; see :meth:`notice`."""
        self._lease_clock.pause(self._steady())

    async def notice(self, writer: Writer, fails: Callable[[], bool], *, closing: bool = False) -> None:
        """Records that the clock was set, and regularly that Zimwatch runs. What cannot be committed is recorded later.

        ``fails``: whether the database does. Concurrent calls wait for one another, so that each change of the clock is
        recorded, and its followers called, once.
        """
        async with self._noticing:
            await self._notice(writer, fails, closing=closing)

    async def _notice(self, writer: Writer, fails: Callable[[], bool], *, closing: bool) -> None:
        if self._has_missed:
            self._has_missed = False
            await writer.do(lambda connection: self._join(leases.recorded(connection)[0]))
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

        def work(connection: sa.Connection) -> Publishing[None]:
            leases.record(connection, self._with_others(connection, mark), begun=unsaved)
            return Publishing(None, Commit(stretches=unsaved) if unsaved else None)

        await writer.do(work)
        self._recorded(mark, len(unsaved))

    async def _record_set(self, writer: Writer, now_us: int, set_by_us: int) -> None:
        """Records that the clock was set; from the commit on, the settled clock and lease time know it."""
        unsaved, mark = tuple(self._unsaved), self._mark_at(now_us)
        begun: Stretch | None = None
        joins: list[Stretch] = []

        def work(connection: sa.Connection) -> Publishing[None]:
            nonlocal begun, joins
            begun, joins = None, self._stretches_of_another(connection, now_us)
            if joins:
                leases.record(connection, self._with_others(connection, mark))
                return Publishing(None, None)
            new_us = self.settled_us() + set_by_us
            begun = Stretch(new_us, new_us - self.lease_time().now_us)
            leases.record(connection, self._with_others(connection, mark), begun=(*unsaved, begun))
            pruning_hold.jumped(connection, set_by_us, self.lease_time().now_us)
            shared = Commit(stretches=(*unsaved, begun)) if self._database.is_shared(connection) else None
            moved = [follow(connection, new_us, set_by_us) for follow in self.followers]
            return Publishing(None, Commit.of_all([*moved, shared]))

        def committed() -> None:
            if begun is None:
                self._join(joins)
            else:
                self._ahead_us += set_by_us
                self._lease_clock.begin(begun)

        await writer.do_alone(work, committed)
        self._recorded(mark, len(unsaved))

    def _follow(self, commit: Commit) -> None:
        """Takes over the stretches that another node has begun."""
        if commit.missed or (commit.stretches and not self._is_begun):
            self._has_missed = True
            return
        for stretch in commit.stretches:
            if abs(self._clock() - stretch.begins_us) > UNRECORDED_US:
                _log.error("the clocks of two nodes differ: synchronise them", by_us=self._clock() - stretch.begins_us)
            else:
                self._join((*self._lease_clock.stretches, stretch))

    def _join(self, stretches: Sequence[Stretch]) -> None:
        """Measures lease time as the node does that has begun the last of the stretches."""
        now_us, steady_us = self._clock(), self._steady()
        self._ahead_us = now_us - steady_us
        self._lease_clock = LeaseClock.joined(stretches, machine_us=now_us, steady_us=steady_us)

    def _stretches_of_another(self, connection: sa.Connection, now_us: int) -> list[Stretch]:
        """The stretches of a node that runs now, and whose clock agrees with this one's; none without such a node."""
        if not self._database.is_shared(connection):
            return []
        stretches, mark = leases.recorded(connection)
        is_another = mark.alive_us is not None and mark.alive_us != self._mark.alive_us
        return stretches if is_another and _agrees(mark, now_us) else []

    def _with_others(self, connection: sa.Connection, mark: Mark) -> Mark:
        """The mark, which holds for other nodes too: what a stop of all of them may lose."""
        if not self._database.is_shared(connection):
            return mark
        found = leases.recorded(connection)[1]
        return msgspec.structs.replace(
            mark,
            heartbeat_after_s=max(mark.heartbeat_after_s, found.heartbeat_after_s),
            heartbeat_clients=max(mark.heartbeat_clients, found.heartbeat_clients),
            holds_heartbeats=mark.holds_heartbeats or found.holds_heartbeats,
        )

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


def _agrees(mark: Mark, now_us: int) -> bool:
    return mark.alive_us is not None and abs(now_us - mark.alive_us) <= AGREES_US


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
        if database.is_shared(connection) and stretches and _agrees(mark, now_us):
            heartbeats.expect(0, mark.heartbeat_after_s)
            return LeaseClock.joined(stretches, machine_us=now_us, steady_us=steady_us), now_us
        settled_us = now_us if alive_us is None or now_us >= alive_us - SET_BY_US else alive_us
        lease_clock = LeaseClock(stretches, alive_us, machine_us=settled_us, steady_us=steady_us, lost_us=lost_us)
        heartbeats.expect(mark.heartbeat_clients, mark.heartbeat_after_s)
        begun = lease_clock.stretches[-1:]
        leases.record(connection, _mark(heartbeats, now_us), begun=begun)
        database.announce(connection, Commit(stretches=begun))
        if alive_us is not None:
            pruning_hold.jumped(connection, now_us - alive_us, lease_clock.at(steady_us).now_us)
        return lease_clock, settled_us
