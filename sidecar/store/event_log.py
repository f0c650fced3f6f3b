"""Appends events: their rows, what follows from them and the spans they owe, in one transaction.

The caller owns the transaction and is the only writer. Events of one client that arrive together are put in the
order of ``seq`` first, so that only what comes in a later commit counts as late.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from sidecar.domain.events import CONNECTION_STATE_CHANGED, HEARTBEAT, Event
from sidecar.domain.lease_time import LeaseTime
from sidecar.store import outbox, rollups, rows, server_views, tables
from sidecar.store.projections import CHUNK, Projections
from sidecar.store.reactions import Applied, Reaction
from sidecar.store.records import Appended, Commit, Rejected

REJECTED_KEPT: Final = 10_000
_INSERT: Final = rows.insert(tables.events)


class Batch(msgspec.Struct, frozen=True):
    """What one caller hands over to be committed together. ``size_bytes`` is what it takes of the memory that waits."""

    events: Sequence[Event]
    rejected: Sequence[Rejected] = ()
    size_bytes: int = 0


def chunks(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """``values`` in runs that fit one statement."""
    return (values[start : start + CHUNK] for start in range(0, len(values), CHUNK))


def known_ids(connection: sa.Connection, ids: Iterable[bytes]) -> set[bytes]:
    """Those of ``ids`` that are in the log already."""
    found: set[bytes] = set()
    for some in chunks(list(ids)):
        marks = ", ".join("?" * len(some))
        sql = f"SELECT id FROM events WHERE id IN ({marks})"
        found.update(row[0] for row in connection.exec_driver_sql(sql, tuple(some)))
    return found


def append(
    connection: sa.Connection,
    batches: Sequence[Batch],
    projections: Projections,
    *,
    time: LeaseTime,
    reactions: Sequence[Reaction] = (),
    export_spans: bool = False,
) -> tuple[list[Appended], Commit | None]:
    """Appends every batch; an answer for each, and what to publish once the transaction is committed."""
    answers, fresh, heartbeats = _sorted_out(connection, batches)
    _keep_rejected(connection, [rejected for batch in batches for rejected in batch.rejected])
    if not fresh and not heartbeats:
        return answers, None
    fresh = in_order_of_clients(fresh)
    projections.load(connection, [*fresh, *heartbeats] if heartbeats else fresh)
    applied = [Applied(event, *projections.apply(event)) for event in fresh]
    for event in heartbeats:
        projections.renew_lease(event)
    if applied:
        connection.exec_driver_sql(_INSERT, [rows.event_row(one.position, one.event, one.effect) for one in applied])
        if export_spans:
            outbox.owe(connection, sum(1 for event in fresh if event.type == CONNECTION_STATE_CHANGED))
    statuses = projections.write(time)
    server_views.follow(connection, fresh, statuses)
    rollups.record(connection, fresh, projections.groups.users)
    if applied:
        now_us = max(event.received_at_us for event in fresh)
        for reaction in reactions:
            reaction.react(connection, applied, now_us)
    return answers, Commit(projections.next_position - 1, tuple(statuses)) if statuses else None


def _sorted_out(connection: sa.Connection, batches: Sequence[Batch]) -> tuple[list[Appended], list[Event], list[Event]]:
    """An answer for each batch; the events that are new to the log; the heartbeats."""
    seen = known_ids(connection, [event.id for batch in batches for event in batch.events if event.type != HEARTBEAT])
    fresh: list[Event] = []
    heartbeats: list[Event] = []
    answers = []
    for batch in batches:
        new, beats = _new_ones(batch.events, seen)
        fresh += new
        heartbeats += beats
        answers.append(_answer(batch.events, new, beats))
    return answers, fresh, heartbeats


def would_append(connection: sa.Connection, events: Sequence[Event]) -> Appended:
    """What :func:`append` would answer for these events; nothing is written."""
    seen = known_ids(connection, {event.id for event in events})
    return _answer(events, *_new_ones(events, seen))


def next_position(connection: sa.Connection) -> int:
    """The position that the next event gets."""
    row = connection.exec_driver_sql("SELECT COALESCE(MAX(position), 0) + 1 FROM events").one()
    return int(row[0])


def _new_ones(events: Sequence[Event], seen: set[bytes]) -> tuple[list[Event], list[Event]]:
    """The events whose ids are not in ``seen``, to which they are added, and the heartbeats, which never repeat."""
    fresh: list[Event] = []
    heartbeats: list[Event] = []
    for event in events:
        if event.type == HEARTBEAT:
            heartbeats.append(event)
        elif event.id not in seen:
            seen.add(event.id)
            fresh.append(event)
    return fresh, heartbeats


def _answer(events: Sequence[Event], fresh: list[Event], heartbeats: list[Event]) -> Appended:
    accepted = len(fresh) + len(heartbeats)
    return Appended(accepted, len(events) - accepted)


def in_order_of_clients(events: list[Event]) -> list[Event]:
    """Each client's events in order, in the places that its events had among the others'."""
    newest: dict[bytes, tuple[int, bytes]] = {}
    for event in events:
        before = newest.get(event.client_id)
        if before is not None and event.order < before:
            break
        newest[event.client_id] = (event.seq, event.id)
    else:
        return events
    places: dict[bytes, list[int]] = {}
    for place, event in enumerate(events):
        places.setdefault(event.client_id, []).append(place)
    ordered = list(events)
    for own in places.values():
        for place, event in zip(own, sorted((events[place] for place in own), key=lambda e: e.order), strict=True):
            ordered[place] = event
    return ordered


def _keep_rejected(connection: sa.Connection, rejected: list[Rejected]) -> None:
    if not rejected:
        return
    insert = "INSERT INTO rejected_events (received_at_us, batch_index, event_id, error, body) VALUES (?, ?, ?, ?, ?)"
    connection.exec_driver_sql(insert, [(r.received_at_us, r.index, r.event_id, r.error, r.body) for r in rejected])
    prune = "DELETE FROM rejected_events WHERE rejection <= (SELECT MAX(rejection) FROM rejected_events) - ?"
    connection.exec_driver_sql(prune, (REJECTED_KEPT,))
