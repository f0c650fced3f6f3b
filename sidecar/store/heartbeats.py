"""Heartbeats that wait in memory for the next slice, and the interval that clients are given.

A heartbeat in time changes nothing but when its client was last seen. So it is answered at once, and written with the
others of some seconds in one commit, a *slice*. It waits only if nothing may go wrong while it does:

- Its client's lease is stored, with the interval that is given now, and ends later than the slice is written: the
  client was last stored less than :func:`~sidecar.domain.heartbeat_pace.allowed_us` ago. So whatever reads the tables
  is right, and what a crash loses is that much at most (:class:`~sidecar.store.care.clock_watch.ClockWatch`).
- Slices are written in time, and fewer than :data:`HELD_MOST` heartbeats wait.

Every other heartbeat is appended as an event is: the first of a client, one after an outage, and each client's next one
once the interval changed. A slice is a batch like any other, behind what was accepted before it. All of this runs in
the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import structlog

from sidecar.clock import Clock
from sidecar.domain.events import Event
from sidecar.domain.heartbeat_pace import allowed_us, interval_s
from sidecar.domain.lease import BEATS_IN_A_LEASE, LONGEST_INTERVAL_S, Leases
from sidecar.domain.units import SECOND_US
from sidecar.errors import StoreUnavailableError
from sidecar.store.log.event_log import Batch
from sidecar.store.users.live_clients import LiveClients
from sidecar.store.values import Appended

# About 1 KB each; as many events as one transaction may have.
HELD_MOST: Final = 5_000
# A slice is written after so long, or once it has so many heartbeats: some tens of milliseconds of the writer's.
SLICE_US: Final = 2 * SECOND_US
SLICE_HEARTBEATS: Final = 1_000
# A part of the interval within which a slice is written, and after which one in the queue is late.
_PART: Final = 4

_log = structlog.get_logger(__name__)


class Heartbeats:
    """Takes batches of heartbeats alone. ``append`` commits a batch with the writer."""

    def __init__(self, append: Callable[[Batch], Awaitable[Appended]], leases: Leases, steady: Clock) -> None:
        self._append = append
        self._leases = leases
        self._steady = steady
        self.after_s = self._own_s = leases.heartbeat_after_s
        self._least_s = 0
        # The interval that is stored as the most that is lost with the memory; 0: nothing may be held.
        self.insured_s = 0
        self._clients = LiveClients(steady(), self.after_s)
        # By client: its newest heartbeat, and when that arrived by the steady clock; and when the first of them did.
        self._held: dict[int, tuple[Event, int]] = {}
        self._held_since_us = 0
        # The interval with which those in memory were answered.
        self._held_s = 0
        # The slices in the writer's queue: since when each waits, and how many heartbeats all of them have.
        self._writing: dict[asyncio.Task[None], int] = {}
        self._in_writing = 0
        self._has_failed = False
        self._is_stopped = False
        self._timer: asyncio.TimerHandle | None = None
        self._listeners: list[Callable[[Sequence[Event]], None]] = []

    def listen(self, listener: Callable[[Sequence[Event]], None]) -> None:
        """Calls ``listener`` with the heartbeats of known clients, once they are accepted."""
        self._listeners.append(listener)

    @property
    def clients(self) -> int:
        """How many clients send heartbeats."""
        return self._clients.count

    def to_insure_s(self) -> int:
        """The interval to be stored as ``insured_s``, which is to be set after the commit."""
        wanted_s = self.after_s if self._clients.known and self._may_wait and not self._is_stopped else 0
        if wanted_s >= self.insured_s:
            return wanted_s
        if self._held or self._writing:
            return self.insured_s
        self.insured_s = 0  # nothing is held until then
        return wanted_s

    def expect(self, clients: int, after_s: int) -> None:
        """So many clients sent heartbeats before a restart, at this interval."""
        self.after_s = self._own_s = interval_s(clients, after_s, self._leases)
        self._clients.expect(clients, self.after_s)

    def give_at_least(self, after_s: int) -> None:
        """No client is to be given a shorter interval from now on."""
        self._least_s = min(after_s, LONGEST_INTERVAL_S)
        self._pace()

    def learn(self, answer: Appended, arrived_us: int) -> None:
        """Notes the heartbeats of a committed batch that arrived then, by the steady clock."""
        for heartbeat in answer.renewed:
            self._clients.put(_key(heartbeat), arrived_us, answer.heartbeat_after_s)
        if answer.renewed:
            self._pace()
            self._tell(answer.renewed)

    async def append(self, heartbeats: Sequence[Event], size_bytes: int) -> Appended:
        """Takes heartbeats, which are accepted in memory or after their commit; see above."""
        now_us = self._steady()
        if self._clients.is_due(now_us):
            self._clients.turn(now_us, self.after_s)
            self._pace()
        after_s = self.after_s
        late: list[Event] = []
        held: list[Event] = []
        for one in heartbeats:
            (held if self._hold(one, now_us) else late).append(one)
        self._tell(held)
        if self._held and self._timer is None:
            self._schedule()
        if not late:
            return Appended(len(heartbeats), 0, (), after_s)
        answer = await self._append(Batch(late, size_bytes=size_bytes))
        self.learn(answer, now_us)
        # The clients whose heartbeats are held keep the interval that they have.
        given_s = min(after_s, answer.heartbeat_after_s) if held else answer.heartbeat_after_s
        return Appended(len(heartbeats), 0, (), given_s)

    async def write(self, *, at_once: bool = False) -> None:
        """Writes what was held for long enough, or ``at_once`` all, and waits for it. What fails stays in memory."""
        if at_once or self._steady() - self._held_since_us >= self._slice_us:
            self._begin_slice()
        while self._writing:
            await asyncio.wait(self._writing)

    async def stop(self) -> None:
        """Writes all that is held, and holds nothing more."""
        self._is_stopped = True
        await self.write(at_once=True)
        if self._timer is not None:
            self._timer.cancel()

    @property
    def _may_wait(self) -> bool:
        """Whether a lease lasts for three intervals; one that is set to less than three seconds does not."""
        lasts_us = self._leases.lasts_us(sends_heartbeats=True, heartbeat_after_s=self.after_s)
        return lasts_us >= BEATS_IN_A_LEASE * SECOND_US * self.after_s

    @property
    def _slice_us(self) -> int:
        return min(SLICE_US, self.after_s * SECOND_US // _PART)

    def _hold(self, heartbeat: Event, now_us: int) -> bool:
        """Holds the heartbeat, if it may wait in memory."""
        after_s = self.after_s
        if after_s != self.insured_s or self._is_stopped or self._has_failed or self._is_late(now_us):
            return False
        if len(self._held) + self._in_writing >= HELD_MOST:
            return False
        key = _key(heartbeat)
        if not self._clients.was_stored_since(key, now_us - allowed_us(after_s), after_s):
            return False
        if self._held and self._held_s != after_s:
            self._begin_slice()
        if not self._held:
            self._held_since_us, self._held_s = now_us, after_s
        self._held[key] = (heartbeat, now_us)
        if len(self._held) == SLICE_HEARTBEATS:
            self._begin_slice()
        return True

    def _is_late(self, now_us: int) -> bool:
        """Whether the writer does not keep up: then no heartbeat is accepted before its commit."""
        oldest = next(iter(self._writing.values()), None)
        return oldest is not None and now_us - oldest > SECOND_US * self.after_s // _PART

    def _pace(self) -> None:
        self._own_s = interval_s(self._clients.count, self._own_s, self._leases)
        self.after_s = max(self._own_s, self._least_s)

    def _tell(self, heartbeats: Sequence[Event]) -> None:
        for listener in self._listeners:
            listener(heartbeats)

    def _schedule(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._slice_us / SECOND_US, self._begin_slice)

    def _begin_slice(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        held, self._held = self._held, {}
        if held:
            task = asyncio.get_running_loop().create_task(self._write(held, self._held_s), name="heartbeats")
            self._writing[task] = self._steady()
            self._in_writing += len(held)

            def end(task: asyncio.Task[None]) -> None:
                del self._writing[task]
                self._in_writing -= len(held)

            task.add_done_callback(end)

    async def _write(self, held: dict[int, tuple[Event, int]], given_s: int) -> None:
        heartbeats = [heartbeat for heartbeat, _ in held.values()]
        try:
            answer = await self._append(Batch(heartbeats, held_s=given_s))
        except StoreUnavailableError as error:
            # They are answered already. Leases stand still as long as nothing can be committed.
            if not self._has_failed:
                _log.warning("heartbeats in memory could not be written yet", problem=str(error), heartbeats=len(held))
            self._has_failed = True
            # No lease may be shorter than any of their answers allows.
            self._held_s = max(given_s, self._held_s) if self._held else given_s
            self._held = held | self._held
            return
        except Exception:  # noqa: BLE001 - the task of a slice has nobody else to tell
            _log.exception("heartbeats in memory were lost", heartbeats=len(held))
            self._clients.forget(held)
            return
        self._has_failed = False
        renewed = {_key(heartbeat) for heartbeat in answer.renewed}
        for key in renewed:
            self._clients.renew(key, held[key][1])
        self._clients.forget(held.keys() - renewed)  # logged out meanwhile


def _key(heartbeat: Event) -> int:
    """Stands for a client of a user. Two with the same hash of 64 bits would only delay each other's slices."""
    return hash((heartbeat.client_id, heartbeat.app_id, heartbeat.user_id))
