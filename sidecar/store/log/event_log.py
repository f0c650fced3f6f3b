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
from sidecar.store.users.working_set import ClientOfUser, owner_of
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


_NONE: Final[Mapping[ClientOfUser, str]] = {}


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
    parts, fresh, heartbeats = _new_events(connection, batches)
    rejected_events.keep(connection, [rejected for batch in batches for rejected in batch.rejected])
    least_s = projections.leases.heartbeat_after_s
    if not fresh and not heartbeats:
        return [part.answer(min(least_s, heartbeat_after_s)) for part in parts], None, []
    fresh = in_order_of_clients(fresh)
    touching = [*fresh, *heartbeats] if heartbeats else fresh
    database.lock_users(connection, touching)
    projections.load(connection, touching, time, heartbeat_after_s)
    if refused := _refused(connection, projections, fresh):
        fresh = [event for event in fresh if (event.app_id, event.user_id, event.client_id) not in refused]
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
        refused: Mapping[ClientOfUser, str] = _NONE,
    ) -> Appended:
        accepted = len(self.fresh) + len(self.heartbeats)
        duplicates = len(self.events) - accepted
        if not refused:
            return Appended(accepted, duplicates, (), heartbeat_after_s, renewed)
        new = {id(event) for event in self.fresh}
        errors = tuple(
            (place, refused[event.app_id, event.user_id, event.client_id].format(uuid.UUID(bytes=event.client_id)))
            for place, event in enumerate(self.events)
            if id(event) in new and (event.app_id, event.user_id, event.client_id) in refused
        )
        return Appended(accepted - len(errors), duplicates, errors, heartbeat_after_s, renewed)


def _dropped(parts: Sequence[_SortedBatch], refused: Collection[ClientOfUser], left: Collection[Event]) -> list[Key]:
    """The keys of events that are new to the log and not appended by this transaction."""
    fresh = (event for part in parts for event in part.fresh)
    refused_keys = [(one.app_id, one.id) for one in fresh if (one.app_id, one.user_id, one.client_id) in refused]
    return [*refused_keys, *((one.app_id, one.id) for one in left)]


def _new_events(
    connection: sa.Connection, batches: Sequence[Batch], *, claim: bool = True
) -> tuple[list[_SortedBatch], list[Event], list[Event]]:
    """The batches, and of all of them together the events new to the log, and the heartbeats."""
    keys = {(one.app_id, one.id) for batch in batches for one in batch.events if one.type != HEARTBEAT}
    new = of(connection).new_ids(connection, keys, claim=claim)
    parts = [_SortedBatch(batch.events, *_split(batch.events, new), batch.held_s) for batch in batches]
    return (
        parts,
        [one for part in parts for one in part.fresh],
        [one for part in parts for one in part.heartbeats],
    )


def would_append(
    connection: sa.Connection, events: Sequence[Event], leases: Leases, heartbeat_after_s: int = 0
) -> Appended:
    """What :func:`append` would answer for these events, without writing any."""
    (part,), fresh, _ = _new_events(connection, [Batch(events)], claim=False)
    projections = Projections(connection, leases)
    fresh = in_order_of_clients(fresh)
    # What would be refused does not depend on the time.
    projections.load(connection, fresh, LeaseTime.without_skips(0))
    return part.answer(heartbeat_after_s, refused=_refused(connection, projections, fresh))


def _refused(connection: sa.Connection, projections: Projections, fresh: Sequence[Event]) -> Mapping[ClientOfUser, str]:
    """Why the events of these clients are refused."""
    refused = dict.fromkeys(projections.refused(fresh), TOO_MANY_CLIENTS)
    if (refuses := of(connection).refuses) is not None:
        reasons = (((one.app_id, one.user_id, one.client_id), refuses(one)) for one in fresh)
        refused.update((client, why) for client, why in reasons if why is not None)
    return refused


def _split(events: Sequence[Event], new: set[Key]) -> tuple[list[Event], list[Event]]:
    """The events whose keys are in ``new``, which are removed from there, and the heartbeats, which never repeat."""
    fresh: list[Event] = []
    heartbeats: list[Event] = []
    for event in events:
        if event.type == HEARTBEAT:
            heartbeats.append(event)
        elif (key := (event.app_id, event.id)) in new:
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
