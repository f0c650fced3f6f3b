"""The projections of the event log: clients, traces, user status and user counts.

The tables are the truth. What a transaction touches is loaded, changed in memory, and written in the same transaction;
recent users stay in memory in between. After a failed transaction all of it is discarded and read again. Appending and
rebuilding go through the same three steps, so that they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import sqlalchemy as sa

from sidecar.domain.events import CONNECTION_STATE_CHANGED, Event
from sidecar.domain.lease import Leases, LeaseTime
from sidecar.domain.status import Status
from sidecar.store import database
from sidecar.store.log_positions import newest_position
from sidecar.store.users import apply_events, load_users, sweep, write_users
from sidecar.store.users.app_hours import SendingApps
from sidecar.store.users.client_limit import ClientLimit
from sidecar.store.users.load_users import UserLoader
from sidecar.store.users.recent_blocks import RecentBlocks
from sidecar.store.users.user_counts import UserCounts
from sidecar.store.users.working_set import ClientOfUser, WorkingSet, trace_of
from sidecar.store.values import Applied, Owner, UserId

# About 0.6 KB each, packed; as objects a user and its clients take 1.5 KB. Up to twice as many are kept.
USERS_CACHED: Final = 20_000

_NONE: Final[Mapping[UserId, int]] = {}

Heartbeats = tuple[int, int]
"""When a client that sends heartbeats was last seen, and the interval that it was given last."""


class Projections:
    """Loads, changes and writes projections. Used by one thread, inside its transactions."""

    def __init__(self, connection: sa.Connection, leases: Leases) -> None:
        self.leases = leases
        self._counts: UserCounts | None = None
        self._loader = UserLoader(connection, USERS_CACHED)
        self._limit = ClientLimit(USERS_CACHED)
        self._recent_blocks = RecentBlocks()
        self.sending_apps = SendingApps()
        self._working = WorkingSet(connection, self._recent_blocks)
        self.next_position = newest_position(connection) + 1

    def forget(self, connection: sa.Connection, owners: Collection[Owner]) -> None:
        """Drops what is in memory of these, whom another process changed, and of all that their change may concern."""
        if not owners:
            return
        self._loader.forget(connection, owners)
        self._limit = ClientLimit(USERS_CACHED)
        self._recent_blocks = RecentBlocks()
        self._working = WorkingSet(connection, self._recent_blocks)
        self._counts = None if self._counts is None else UserCounts(connection)
        self.next_position = newest_position(connection) + 1

    @property
    def counts(self) -> UserCounts:
        """The counts of users, read when they are first needed."""
        if self._counts is None:
            self._counts = UserCounts(self._working.connection)
        return self._counts

    @property
    def late_work(self) -> int:
        """How many events were applied for late ones, in this transaction."""
        return self._working.late_work

    def load(
        self, connection: sa.Connection, events: Collection[Event], time: LeaseTime, heartbeat_after_s: int = 0
    ) -> None:
        """Begins a transaction that will apply ``events`` at ``time``.

        What was applied and not written before is discarded. ``heartbeat_after_s`` is the interval that their clients
        are given, 0 for none.
        """
        self._working = WorkingSet(connection, self._recent_blocks, heartbeat_after_s, time)
        self._loader.load(self._working, events)

    def load_traces(self, events: Collection[Event]) -> None:
        """After :meth:`load`: also loads the traces of ``events`` for :meth:`begin_trace`."""
        load_users.load_traces(self._working, events)

    def refused(self, events: Sequence[Event]) -> set[ClientOfUser]:
        """After :meth:`load`: the clients of ``events`` that are new and exceed the limit of their user."""
        return self._limit.refused(self._working, events)

    def is_late(self, event: Event) -> bool:
        """Whether newer events of its client were applied before."""
        return apply_events.is_late(self._working, event)

    def apply(self, event: Event) -> Applied:
        """Applies an event that is new to the log: it gets the next position."""
        position = self.next_position
        self.next_position = position + 1
        return Applied(event, position, apply_events.apply(self._working, event, position))

    def begin_trace(self, event: Event) -> None:
        """Makes the event at ``next_position`` the root of its trace, where that has none; nothing else."""
        if event.type == CONNECTION_STATE_CHANGED:
            apply_events.begin_trace(self._working, trace_of(event), self.next_position)

    def renew_lease(self, heartbeat: Event, *, since: LeaseTime | None = None, given_s: int = 0) -> bool:
        """See :func:`apply_events.renew_lease`."""
        return apply_events.renew_lease(self._working, heartbeat, since=since, given_s=given_s)

    def restore_heartbeats(
        self, kept: Mapping[tuple[bytes, UserId | None], Heartbeats], last_seen_us: Mapping[UserId, int]
    ) -> None:
        """Gives what is touched back what is known of heartbeats, which are not in the log.

        ``kept`` is about clients. ``last_seen_us`` is about users: their other clients may not be touched. Both are of
        the last sign of life as it arrived, which is not the greatest moment where the clock was set back.
        """
        users = {user.user_key: user for user in self._working.touched.values()}
        for client in (touched.client for touched in self._working.clients.values()):
            user = users.get(client.user_key)
            found = kept.get((client.client_id, (user.app_id, user.user_id) if user else None))
            if found is not None:
                seen_us, client.heartbeat_after_s = found
                client.sends_heartbeats = True
                client.last_seen_at_us = seen_us
        for user_id, user in self._working.touched.items():
            user.last_seen_at_us = last_seen_us.get(user_id, user.last_seen_at_us)

    def sweep(self, connection: sa.Connection, time: LeaseTime, limit: int) -> list[UserId]:
        """Finds up to ``limit`` users whose lease may have ended, and writes them: see ``sweep.py``."""
        self._working = WorkingSet(connection, self._recent_blocks)
        checked = sweep.sweep(connection, self.counts, time, limit)
        database.of(connection).changed(connection, [one.user_id for one in checked])
        for one in checked:
            self._loader.note_check(one)
        return [one.user_id for one in checked]

    def write(self, time: LeaseTime, lapses: Mapping[UserId, int] = _NONE) -> dict[UserId, Status]:
        """Writes what was touched, as of ``time``; the touched users and their status.

        ``lapses`` are users whose lease has ended although it may not have by that time, and when it did.
        """
        statuses = write_users.write(self._working, self.leases, self.counts, time, lapses)
        database.of(self._working.connection).changed(self._working.connection, self._working.loaded)
        self._loader.cache(self._working)
        self._working = WorkingSet(self._working.connection, self._recent_blocks)
        return statuses
