"""Deletes data past its retention: events by age and by the size of the database; rejected events and minutes by age.

It works in slices, each a work of the writer's of some milliseconds, so that commits are not delayed. Projections of
deleted events stay: a user keeps its status, and a timeline ends at the first deleted event.

- A late event of a client whose older events are deleted is stored but changes nothing, as its place among these is
  unknown.
- A rebuild keeps users whose older events are deleted as they are, and rebuilds the others (see ``rebuild.py``).
- Events of an app with a retention of its own are deleted from the middle of the log (``app_retention.py``).
- A span that is still pending when its event is deleted is lost; that is counted and recorded.
- An event that an edge has not forwarded yet when it is deleted is lost to the centre; that is counted.
- Whole partitions of the log are dropped, where an engine has them (``dropped_events.py``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import msgspec
import sqlalchemy as sa

from sidecar.clock import Clock
from sidecar.domain.events import CONNECTION_STATE_CHANGED
from sidecar.domain.units import DAY_US
from sidecar.settings import Settings, duration_us
from sidecar.store import database
from sidecar.store.care import app_retention, dropped_events
from sidecar.store.care.pruned_events import GONE, forget_blocks, forget_clients, forget_traces
from sidecar.store.log import forwarding, span_outbox
from sidecar.store.users import app_hours, happenings, per_minute

# The intended duration of a slice; it must not block the writer for more than 50 ms.
SLICE_US: Final = 15_000
SLICE_EVENTS: Final = (50, 5_000)
# The size of a slice on a disk that is nearly full.
TIGHT_EVENTS: Final = 10
_TOO_OLD: Final = "it was pending for longer than export.max_age"


class Retention(msgspec.Struct, kw_only=True):
    """How long and how much is kept, as of now. ``pending_us`` is how long a span may wait for the collector.

    ``apps_us``: of apps whose events are kept for a shorter time.
    """

    events_us: int = 30 * DAY_US
    max_bytes: int = 10 * 1_073_741_824
    rejected_us: int = 30 * DAY_US
    pending_us: int = 7 * DAY_US
    apps_us: Mapping[int, int] = {}

    @classmethod
    def of(cls, settings: Settings) -> Retention:
        """From the settings."""
        kept = settings.retention
        return cls(
            events_us=duration_us(kept.events),
            max_bytes=kept.max_bytes,
            rejected_us=duration_us(kept.rejected),
            pending_us=duration_us(settings.export.max_age),
            apps_us={int(app_id): duration_us(kept_for) for app_id, kept_for in kept.apps.items()},
        )

    def follow(self, settings: Settings) -> None:
        """The same for settings that have changed; from the next slice on."""
        new = self.of(settings)
        self.events_us, self.max_bytes = new.events_us, new.max_bytes
        self.rejected_us, self.pending_us, self.apps_us = new.rejected_us, new.pending_us, new.apps_us


class Expiring(Protocol):
    """Data of another package that is deleted with that of the store, in the same slices."""

    @property
    def has_more(self) -> bool:
        """Whether the next slice should follow at once, although this one deleted nothing."""

    def expire(self, connection: sa.Connection, now_us: int, limit: int, keep_since_us: int | None, /) -> int:
        """Deletes up to about ``limit`` rows that are due; how many.

        ``keep_since_us``: the database is too large, and what is older than that may be deleted before its time.
        """


class Pruner:
    """Deletes one slice at a time; its size follows from the duration of the last one."""

    def __init__(self, retention: Retention, steady: Clock, expiring: Sequence[Expiring] = ()) -> None:
        self._retention = retention
        self._steady = steady
        self._events = 200
        self._expiring = expiring

    def slice(self, connection: sa.Connection, now_us: int, *, by_age: bool = True) -> int | None:
        """Deletes some of what is due; the number of rows, None once nothing is due.

        Without ``by_age`` only while the database is too large. On a nearly full disk a slice is small.
        """
        begun_us = self._steady()
        care = database.of(connection).care
        if care.is_tight:
            self._events = TIGHT_EVENTS
        removed = self._prune(connection, now_us) if by_age else self._prune_to_size(connection, now_us)
        removed += care.give_back(connection)
        took_us = max(1, self._steady() - begun_us)
        least, most = SLICE_EVENTS
        if removed:
            self._events = min(most, max(least, self._events * SLICE_US // took_us))
        return removed if removed or (by_age and any(one.has_more for one in self._expiring)) else None

    def _prune(self, connection: sa.Connection, now_us: int) -> int:
        kept = self._retention
        keep_since_us = None
        database.of(connection).log_partitions.make_ahead(connection)
        removed = dropped_events.forget(connection, self._events)
        removed += _expire(connection, now_us, now_us - kept.pending_us, self._events)
        oldest = connection.exec_driver_sql(
            "SELECT position, received_at_us FROM events ORDER BY position LIMIT 1"
        ).first()
        if oldest is not None:
            before_us = now_us - kept.events_us
            if oldest[1] < before_us:
                dropped = dropped_events.detach(connection, before_us, now_us)
                if dropped is None:
                    removed += _prune_events(connection, oldest[0], self._events, before_us, now_us)
                else:
                    removed += dropped
            elif database.of(connection).care.used_bytes(connection) > kept.max_bytes:
                # What is older than every event is deleted as well, or it would leave no room for events.
                keep_since_us = oldest[1]
                removed += _prune_events(connection, oldest[0], self._events, None, now_us)
        removed += app_retention.prune(connection, kept.apps_us, now_us, self._events)
        # What happened is of events, but by its moment: a late event is kept for longer.
        happened_since_us = now_us - kept.events_us if keep_since_us is None else keep_since_us
        removed += happenings.delete_old(connection, happened_since_us, self._events)
        for app_id, own_us in kept.apps_us.items():
            removed += happenings.delete_old(connection, now_us - own_us, self._events, app_id)
        removed += sum(one.expire(connection, now_us, self._events, keep_since_us) for one in self._expiring)
        for table, key, column in (
            ("rejected_events", "rejection", "received_at_us"),
            ("span_losses", "loss", "lost_at_us"),
        ):
            # Keys are in the order of time, so that only the first rows need to be read.
            first = f"SELECT {key}, {column} AS at_us FROM {table} ORDER BY {key} LIMIT {SLICE_EVENTS[0]}"
            sql = f"DELETE FROM {table} WHERE {key} IN (SELECT {key} FROM ({first}) AS oldest WHERE at_us < ?)"
            removed += connection.exec_driver_sql(sql, (now_us - kept.rejected_us,)).rowcount
        removed += per_minute.delete_old(connection, now_us) + app_hours.delete_old(connection, now_us)
        return removed

    def _prune_to_size(self, connection: sa.Connection, now_us: int) -> int:
        first = connection.exec_driver_sql("SELECT MIN(position) FROM events").scalar()
        if first is None or database.of(connection).care.used_bytes(connection) <= self._retention.max_bytes:
            return 0
        return _prune_events(connection, first, self._events, None, now_us)


def _prune_events(connection: sa.Connection, first: int, limit: int, before_us: int | None, now_us: int) -> int:
    """Deletes the oldest events, ``limit`` at most; with ``before_us`` only those received before that.

    The newest one stays, whatever its age: the next position follows it.
    """
    sql = (
        "SELECT position, received_at_us, starts_trace, app_id, user_id, client_id, session_id, type FROM events"
        " WHERE position >= ? AND position < (SELECT MAX(position) FROM events) ORDER BY position LIMIT ?"
    )
    oldest = []
    for row in connection.exec_driver_sql(sql, (first, limit)):
        if before_us is not None and row.received_at_us >= before_us:
            break
        oldest.append(row)
    if not oldest:
        return 0
    last = oldest[-1].position
    span_outbox.give_up(connection, last, now_us, GONE)
    forwarding.note_removal(connection, [(row.position, row.type) for row in oldest])
    forget_traces(connection, [row for row in oldest if row.starts_trace])
    forget_clients(connection, {row.client_id for row in oldest}, last)
    forget_blocks(connection, first, last)
    connection.exec_driver_sql("DELETE FROM events WHERE position <= ?", (last,))
    return len(oldest)


def _expire(connection: sa.Connection, now_us: int, before_us: int, limit: int) -> int:
    """Gives up spans of events that were received before ``before_us``."""
    first = connection.exec_driver_sql("SELECT MIN(first_position) FROM span_outbox WHERE spans > 0").scalar()
    if first is None:
        return 0
    sql = (
        f"SELECT position, received_at_us FROM events WHERE position >= ? AND type = '{CONNECTION_STATE_CHANGED}'"
        " ORDER BY position LIMIT ?"
    )
    last = 0
    for position, received_at_us in connection.exec_driver_sql(sql, (first, limit)):
        if received_at_us >= before_us:
            break
        last = position
    return span_outbox.give_up(connection, last, now_us, _TOO_OLD) if last else 0
