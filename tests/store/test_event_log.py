"""The event log: what is appended, stored once and read back."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from sidecar.store import (
    Store,
)
from sidecar.store.log import event_log, log_reads, rejected_events
from sidecar.store.users import (
    user_list,
    user_reads,
)
from sidecar.store.users.user_query import UserQuery
from sidecar.store.values import Rejected
from tests.support.events import APP_ID, BEGIN_US, Phone, incompressible

pytestmark = pytest.mark.both_engines


async def test_an_event_sent_twice_is_stored_once(store: Store) -> None:
    event = Phone("alice").says("CONNECTED", "SUCCESS", at=0)
    answers = [await store.append([event, event]), await store.append([event])]
    assert [(a.accepted, a.duplicates) for a in answers] == [(1, 1), (0, 1)]
    assert len(await store.read(user_reads.timeline, APP_ID, "alice", before=None, limit=10)) == 1


async def test_two_apps_may_have_events_with_one_id_and_each_is_stored_once(store: Store) -> None:
    first = Phone("alice").says("CONNECTED", "SUCCESS", at=0)
    second = msgspec.structs.replace(first, app_id=7, connection_state="RECONNECTING")
    steps = [
        (await store.read(event_log.would_append, [first, second], store.now().leases), 2, 0),
        (await store.append([first]), 1, 0),
        (await store.append([first, second, second]), 1, 2),
        (await store.read(event_log.would_append, [first, second], store.now().leases), 0, 2),
    ]
    assert all((answer.accepted, answer.duplicates) == (new, known) for answer, new, known in steps)
    found = [await store.read(log_reads.event_by_id, app_id, first.id) for app_id in (APP_ID, 7, 8)]
    assert [one and one.event for one in found] == [first, second, None]
    assert [user.app_id for user in (await store.read(user_list.list_users, UserQuery(), store.now())).users] == [
        7,
        APP_ID,
    ]


async def test_a_timeline_is_newest_first_continues_at_its_cursor_and_has_one_user_alone(store: Store) -> None:
    alice, bob = Phone("alice"), Phone("bob")
    for at in range(6):
        who = alice if at % 2 == 0 else bob
        await store.append([who.says("CONNECTED", "SUCCESS", at=at)])
    first = await store.read(user_reads.timeline, APP_ID, "alice", before=None, limit=2)
    rest = await store.read(user_reads.timeline, APP_ID, "alice", before=first[-1].position, limit=10)
    assert [one.position for one in [*first, *rest]] == [5, 3, 1]
    assert {one.event.user_id for one in [*first, *rest]} == {"alice"}
    assert await store.read(user_reads.timeline, APP_ID, "alice", before=6, limit=10) == []


async def test_an_event_is_read_as_it_was_stored(store: Store) -> None:
    event = Phone("alice").event("api_error", 1, details={"method": "sendMessage", "code": 6000121, "message": "no"})
    await store.append([event])
    assert (await store.read(user_reads.timeline, APP_ID, "alice", before=None, limit=1))[0].event == event


async def test_the_error_of_a_rejected_event_may_be_of_any_length(store: Store) -> None:
    long = Rejected(BEGIN_US, 0, None, incompressible(5_000), "{}")
    await store.append([Phone("alice").says("CONNECTED", "SUCCESS", at=0)], [long])
    (kept,) = await store.read(rejected_events.newest, 10)
    assert long.error.startswith(kept.error)
    assert len(kept.error) == rejected_events.ERROR_CHARACTERS


async def test_rejected_events_are_kept_for_inspection(store: Store) -> None:
    refused = Rejected(BEGIN_US, 3, "not-a-uuid", "id is not a UUID", '{"id": "not-a-uuid"}')
    await store.append([], [refused])
    assert await store.read(rejected_events.newest, 10) == [refused]


async def test_a_commit_names_the_users_it_touched(store: Store) -> None:
    published: asyncio.Queue[Any] = asyncio.Queue()
    unsubscribe = store.subscribe(published.put_nowait)
    await store.append([Phone("alice").says("CONNECTED", "SUCCESS", at=0), Phone(None, "new").event("logout", 0)])
    commit = await asyncio.wait_for(published.get(), 30)
    assert (commit.position, commit.users) == (2, ((APP_ID, "alice"),))
    unsubscribe()
