"""Appends events: their rows, their projections and what the followers write, in one transaction of the caller.

Events of one client that arrive together are sorted by ``seq`` first, so that only an event of a later commit is late.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from itertools import chain
from typing import Final

import msgspec
import sqlalchemy as sa

from sidecar.domain.events import HEARTBEAT, Event
from sidecar.domain.lease import Leases, LeaseTime
from sidecar.store.database import Key, of
from sidecar.store.log import rejected_events
from sidecar.store.log.followers import Followers
from sidecar.store.users import happenings, old_reporters, server_views
from sidecar.store.users.client_limit import CLIENTS_MOST
from sidecar.store.users.projections import Projections
from sidecar.store.users.working_set import owner_of
from sidecar.store.values import (
    Appended,
    Applied,
    Commit,
    Rejected,
)

# How many events the writer's transaction may apply for late ones: some tenths of a second.
WORK_MOST: Final = 50_000
TOO_MANY_CLIENTS: Final = (
    f"client_id {{}} is new, and its user has had {CLIENTS_MOST:,} clients within 24 hours, which is the limit"
)


Reasons = Mapping[int, str]
"""Why events are refused, by their ``id()``: another event may have the id of one that is refused."""
_NONE: Final[Reasons] = {}


class Batch(msgspec.Struct, frozen=True):
    """What one caller wants committed. ``size_bytes`` counts towards the limit of what may wait.

    ``held_s``: of heartbeats that waited in memory, the interval with which they were answered before; 0 of others.
    """

    events: Sequence[Event]
    rejected: Sequence[Rejected] = ()
    size_bytes: int = 0
    held_s: int = 0


def append(
    connection: sa.Connection,
    batches: Sequence[Batch],
    projections: Projections,
    *,
    time: LeaseTime,
    now_us: int | None = None,
    followers: Followers | None = None,
    work_most: int | None = None,
    heartbeat_after_s: int = 0,
) -> tuple[list[Appended], Commit | None, list[Event]]:
    """Appends every batch; the answers, what to publish after the commit, and the events that are left.

    ``now_us`` is the time for ``followers``, by default when the newest event arrived. ``heartbeat_after_s`` is the
    interval between heartbeats that the answers give to the clients, 0 for none. It is stored with the clients of new
    events and of heartbeats; an answer about any other gives the least interval.
    Late events are left once those before them took more than ``work_most``. They are to be appended in another
    transaction, and count as accepted in the answers.
    """
    database = of(connection)
    parts, fresh, heartbeats, refused = _new_events(connection, batches)
    rejected_events.keep(connection, [rejected for batch in batches for rejected in batch.rejected])
    least_s = projections.leases.heartbeat_after_s
    if not fresh and not heartbeats:
        return [part.answer(min(least_s, heartbeat_after_s), refused=refused) for part in parts], None, []
    fresh = in_order_of_clients(fresh)
    touching = [*fresh, *heartbeats] if heartbeats else fresh
    database.lock_users(connection, touching)
    projections.load(connection, touching, time, heartbeat_after_s)
    if of_new_clients := _of_refused_clients(projections, fresh):
        refused = {**refused, **of_new_clients}
        fresh = [event for event in fresh if id(event) not in of_new_clients]
    if fresh:
        projections.next_position = database.new_positions(connection, len(fresh))
    applied, left = _applied(projections, fresh, work_most)
    dropped = _dropped(parts, refused, left) if refused or left else ()
    if left:
        fresh = [one.event for one in applied]
    answers = [
        part.answer(part.given_s(heartbeat_after_s, least_s), part.renew(projections, time), refused) for part in parts
    ]
    if applied or dropped:
        database.insert_events(connection, applied, dropped)
    projections.sending_apps.note(connection, chain(fresh, heartbeats))
    statuses = projections.write(time)
    server_views.follow(connection, fresh, statuses)
    happenings.follow(connection, fresh)
    old_reporters.follow(connection, applied)
    # A heartbeat that was held begins no lease, and so changes nothing that is shown but when the user was last seen.
    shown = tuple(statuses)
    if any(part.held_s for part in parts):
        loud = {owner_of(event) for part in parts if not part.held_s for event in part.events}
        shown = tuple(user_id for user_id in shown if user_id in loud)
    changes = [Commit(projections.next_position - 1, shown) if shown else None]
    if applied and followers is not None:
        newest_us = max(event.received_at_us for event in fresh)
        changes.append(followers.follow(connection, applied, newest_us if now_us is None else now_us))
    return answers, Commit.of_all(changes), left


def _applied(
    projections: Projections, events: Sequence[Event], work_most: int | None
) -> tuple[list[Applied], list[Event]]:
    """The events with their effects, and the late ones that are left for another transaction."""
    applied: list[Applied] = []
    left: list[Event] = []
    for event in events:
        if work_most is not None and projections.late_work > work_most and projections.is_late(event):
            left.append(event)
        else:
            applied.append(projections.apply(event))
    return applied, left


class _SortedBatch(msgspec.Struct, frozen=True):
    """One batch: its events, those new to the log, and its heartbeats."""

    events: Sequence[Event]
    fresh: list[Event]
    heartbeats: list[Event]
    held_s: int = 0

    def renew(self, projections: Projections, time: LeaseTime) -> tuple[Event, ...]:
        """Applies the heartbeats; those of known clients."""
        if not self.heartbeats:
            return ()
        since = time if self.held_s else None
        renew = projections.renew_lease
        return tuple([event for event in self.heartbeats if renew(event, since=since, given_s=self.held_s)])

    def given_s(self, heartbeat_after_s: int, least_s: int) -> int:
        """The interval to give, which may be longer than the least only to clients with which it is stored."""
        if heartbeat_after_s <= least_s:
            return heartbeat_after_s
        stored = {event.client_id for event in chain(self.fresh, self.heartbeats)}
        return heartbeat_after_s if stored and all(one.client_id in stored for one in self.events) else least_s

    def answer(
        self,
        heartbeat_after_s: int,
        renewed: tuple[Event, ...] = (),
        refused: Reasons = _NONE,
    ) -> Appended:
        if not refused:
            accepted = len(self.fresh) + len(self.heartbeats)
            return Appended(accepted, len(self.events) - accepted, (), heartbeat_after_s, renewed)
        errors = tuple((at, refused[id(event)]) for at, event in enumerate(self.events) if id(event) in refused)
        accepted = sum(id(event) not in refused for event in self.fresh) + len(self.heartbeats)
        return Appended(accepted, len(self.events) - accepted - len(errors), errors, heartbeat_after_s, renewed)


def _dropped(parts: Sequence[_SortedBatch], refused: Reasons, left: Collection[Event]) -> list[Key]:
    """The keys of events that are new to the log and not appended by this transaction."""
    fresh = (event for part in parts for event in part.fresh)
    return [*((one.app_id, one.id) for one in fresh if id(one) in refused), *((one.app_id, one.id) for one in left)]


def _new_events(
    connection: sa.Connection, batches: Sequence[Batch], *, claim: bool = True
) -> tuple[list[_SortedBatch], list[Event], list[Event], Reasons]:
    """The batches; of all together the events new to the log, the heartbeats, and what the engine refuses.

    An id counts as sent only with an event that can be stored.
    """
    database = of(connection)
    refused = _NONE
    if (refuses := database.refuses) is not None:
        reasons = ((event, refuses(event)) for batch in batches for event in batch.events if event.type != HEARTBEAT)
        refused = {id(event): why for event, why in reasons if why is not None}
    keys = {
        (one.app_id, one.id)
        for batch in batches
        for one in batch.events
        if one.type != HEARTBEAT and id(one) not in refused
    }
    new = database.new_ids(connection, keys, claim=claim)
    parts = [_SortedBatch(batch.events, *_split(batch.events, new, refused), batch.held_s) for batch in batches]
    return (
        parts,
        [one for part in parts for one in part.fresh],
        [one for part in parts for one in part.heartbeats],
        refused,
    )


def would_append(
    connection: sa.Connection, events: Sequence[Event], leases: Leases, heartbeat_after_s: int = 0
) -> Appended:
    """What :func:`append` would answer for these events, without writing any."""
    (part,), fresh, _, refused = _new_events(connection, [Batch(events)], claim=False)
    projections = Projections(connection, leases)
    fresh = in_order_of_clients(fresh)
    # What would be refused does not depend on the time.
    projections.load(connection, fresh, LeaseTime.without_skips(0))
    refused = {**refused, **_of_refused_clients(projections, fresh)}
    return part.answer(heartbeat_after_s, refused=refused)


def _of_refused_clients(projections: Projections, fresh: Sequence[Event]) -> Reasons:
    """The events of clients that their users may not have."""
    clients = projections.refused(fresh)
    return {
        id(event): TOO_MANY_CLIENTS.format(uuid.UUID(bytes=event.client_id))
        for event in (fresh if clients else ())
        if (event.app_id, event.user_id, event.client_id) in clients
    }


def _split(events: Sequence[Event], new: set[Key], refused: Reasons) -> tuple[list[Event], list[Event]]:
    """The events whose keys are in ``new``, which are removed from there, and the heartbeats, which never repeat."""
    fresh: list[Event] = []
    heartbeats: list[Event] = []
    for event in events:
        if event.type == HEARTBEAT:
            heartbeats.append(event)
        elif (key := (event.app_id, event.id)) in new and id(event) not in refused:
            new.discard(key)
            fresh.append(event)
    return fresh, heartbeats


def in_order_of_clients(events: list[Event]) -> list[Event]:
    """The events, those of each client sorted within the places that they have among the others."""
    newest: dict[bytes, Event] = {}
    for event in events:
        before = newest.get(event.client_id)
        if before is not None and event.order < before.order:
            break
        newest[event.client_id] = event
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
