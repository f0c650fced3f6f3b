"""Appends events: their rows, the projections that follow from them and the spans they owe, in one transaction.

The caller owns the transaction and is the only writer. Events of one client that arrive together are put in the
order of ``seq`` first, so that only what comes in a later commit counts as late.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from sidecar.domain.events import CONNECTION_STATE_CHANGED, HEARTBEAT, Event
from sidecar.domain.lease import Leases
from sidecar.store import rollups, rows, server_views, tables
from sidecar.store.alert_records import Applied, Reaction
from sidecar.store.projections import Projections
from sidecar.store.records import Appended, Commit, Rejected

# Well under SQLite's limit on the parameters of one statement, whatever the width of a row.
CHUNK = 400
REJECTED_KEPT = 10_000


class Batch(msgspec.Struct, frozen=True):
    """What one caller hands over to be committed together."""

    events: Sequence[Event]
    rejected: Sequence[Rejected] = ()


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
    *,
    leases: Leases,
    export_spans: bool,
    reaction: Reaction | None = None,
) -> tuple[list[Appended], Commit | None]:
    """Appends every batch; an answer for each, and what to publish once the transaction is committed."""
    seen = known_ids(connection, {event.id for batch in batches for event in batch.events})
    fresh: list[Event] = []
    heartbeats: list[Event] = []
    answers = []
    for batch in batches:
        new, beats = _sorted_out(batch.events, seen)
        fresh += new
        heartbeats += beats
        answers.append(_answer(batch.events, new, beats))
    commit, applied = _append_events(
        connection, _in_order_of_clients(fresh), heartbeats, leases, export_spans=export_spans
    )
    if reaction is not None and applied:
        reaction.react(connection, applied, max(one.event.received_at_us for one in applied))
    _keep_rejected(connection, [rejected for batch in batches for rejected in batch.rejected])
    return answers, commit


def would_append(connection: sa.Connection, events: Sequence[Event]) -> Appended:
    """What :func:`append` would answer for these events; nothing is written."""
    seen = known_ids(connection, {event.id for event in events})
    return _answer(events, *_sorted_out(events, seen))


def next_position(connection: sa.Connection) -> int:
    """The position that the next event gets."""
    row = connection.exec_driver_sql("SELECT COALESCE(MAX(position), 0) + 1 FROM events").one()
    return int(row[0])


def _sorted_out(events: Sequence[Event], seen: set[bytes]) -> tuple[list[Event], list[Event]]:
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


def _in_order_of_clients(events: list[Event]) -> list[Event]:
    """Each client's events in order, in the places that its events had among the others'."""
    places: dict[bytes, list[int]] = defaultdict(list)
    for place, event in enumerate(events):
        places[event.client_id].append(place)
    ordered = list(events)
    for own in places.values():
        for place, event in zip(own, sorted((events[place] for place in own), key=lambda e: e.order), strict=True):
            ordered[place] = event
    return ordered


def _append_events(
    connection: sa.Connection, fresh: list[Event], heartbeats: list[Event], leases: Leases, *, export_spans: bool
) -> tuple[Commit | None, list[Applied]]:
    applied: list[Applied] = []
    if not fresh and not heartbeats:
        return None, applied
    projections = Projections(connection, leases)
    projections.load([*fresh, *heartbeats])
    first = next_position(connection)
    event_rows, span_rows = [], []
    for position, event in enumerate(fresh, start=first):
        effect = projections.apply(position, event)
        event_rows.append(rows.event_row(position, event, effect.previous, effect.user_status))
        applied.append(Applied(position, event, effect.user_status))
        if export_spans and event.type == CONNECTION_STATE_CHANGED:
            before = effect.transition
            span_rows.append(
                (
                    position,
                    effect.trace_id,
                    effect.is_root,
                    before.previous_state,
                    before.duration_us,
                    effect.user_status,
                    0,
                    event.received_at_us,
                )
            )
    for event in heartbeats:
        projections.renew_lease(event)
    if event_rows:
        connection.exec_driver_sql(rows.insert(tables.events), event_rows)
    if span_rows:
        connection.exec_driver_sql(rows.insert(tables.span_outbox), span_rows)
    users = projections.write()
    server_views.follow(connection, fresh, projections.statuses)
    rollups.record(connection, fresh)
    return Commit(first + len(fresh) - 1, tuple(users)) if users else None, applied


def _keep_rejected(connection: sa.Connection, rejected: list[Rejected]) -> None:
    if not rejected:
        return
    insert = "INSERT INTO rejected_events (received_at_us, batch_index, event_id, error, body) VALUES (?, ?, ?, ?, ?)"
    connection.exec_driver_sql(insert, [(r.received_at_us, r.index, r.event_id, r.error, r.body) for r in rejected])
    prune = "DELETE FROM rejected_events WHERE rejection <= (SELECT MAX(rejection) FROM rejected_events) - ?"
    connection.exec_driver_sql(prune, (REJECTED_KEPT,))
