"""Drops partitions of the event log that are past their retention as a whole: no event of them is deleted by itself.

A partition is first detached, so that its events are gone for all readers at once, and dropped when everything that
follows from them is deleted, in slices. Until then a client may still have its row, and a trace its root, as if their
events had just been deleted. An event is kept for up to :data:`LATE_US` longer than said, until its partition can be
dropped; those of a partition of a longer time are deleted, as those of the newest partition are.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from sidecar.domain.units import DAY_US
from sidecar.store import database
from sidecar.store.care.pruned_events import GONE, forget_blocks, forget_clients, forget_traces
from sidecar.store.log import forwarding, span_outbox

LATE_US: Final = 2 * DAY_US


def detach(connection: sa.Connection, before_us: int, now_us: int) -> int | None:
    """Detaches the oldest partition if it is due; how many were, None where events are to be deleted one by one."""
    partitions = database.of(connection).log_partitions
    oldest = partitions.oldest(connection)
    if oldest is None or oldest.last_received_us - oldest.first_received_us > LATE_US:
        return None
    if oldest.last_received_us >= before_us:
        return 0
    # These read the events. A lock that is not there soon is tried for again: then the spans are given up already.
    span_outbox.give_up(connection, oldest.last, now_us, GONE)
    if not partitions.lock(connection):
        return 0
    forwarding.note_dropped(connection, oldest.last)
    partitions.detach(connection, oldest)
    return 1


def forget(connection: sa.Connection, limit: int) -> int:
    """Deletes what follows from ``limit`` events of a detached partition, and drops it after the last one."""
    partitions = database.of(connection).log_partitions
    partition = partitions.detached(connection)
    if partition is None:
        return 0
    events = partitions.events(connection, partition, limit)
    if not events:
        partitions.drop(connection, partition)
        return 1
    last = events[-1].position
    forget_traces(connection, [row for row in events if row.starts_trace])
    forget_clients(connection, {row.client_id for row in events}, last)
    forget_blocks(connection, events[0].position, last)
    partitions.forget(connection, partition, last)
    return len(events)
