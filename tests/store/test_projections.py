"""Projections: any order of arrival gives the same users, and a rebuild equals them."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sidecar.domain.events import HEARTBEAT
from sidecar.domain.login_state import fold
from sidecar.domain.presence import presence
from sidecar.domain.units import SECOND_US
from sidecar.store import (
    Store,
    log_positions,
)
from sidecar.store.care import rebuild
from sidecar.store.log import span_outbox
from sidecar.store.users import (
    client_block,
    client_history,
    projections,
    recent_blocks,
    user_list,
    user_reads,
    working_set,
)
from sidecar.store.users.user_query import UserQuery
from tests.support.events import APP_ID, BEGIN_US, Phone, made_id
from tests.support.stores import STEPS, events_of, opened, projected

pytestmark = pytest.mark.both_engines("soak")


@pytest.fixture(params=["as it is", "forgetful", "crowding", "small blocks"])
def memory(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How users and clients are kept: as usual, or so that rare cases are frequent.

    "forgetful": a cache of one user and of no blocks, which are read an event at a time, and a user with two clients is
    crowded. "crowding": crowded with three clients, until one is live. "small blocks": two events a block.
    """
    if request.param in {"forgetful", "small blocks"}:
        monkeypatch.setattr(client_history, "BLOCK_EVENTS", 2)
    if request.param == "forgetful":
        monkeypatch.setattr(recent_blocks, "KEPT", 0)
        monkeypatch.setattr(client_block, "READ_FIRST", 1)
    if request.param in {"forgetful", "crowding"}:
        monkeypatch.setattr(projections, "USERS_CACHED", 1)
        for name in ("CLIENTS_KEPT", "CLIENTS_PACKED"):
            monkeypatch.setattr(working_set, name, 1 if request.param == "forgetful" else 2)
    return str(request.param)


@pytest.mark.usefixtures("memory")
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, chance=st.randoms(use_true_random=False))
def test_any_arrival_gives_the_status_of_the_ordered_sequence_and_a_rebuild_equals_it(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, Any]], chance: random.Random
) -> None:
    folder = tmp_path_factory.mktemp("any")
    events = events_of(steps)
    arrived = events + (chance.choices(events, k=4) if events else [])
    chance.shuffle(arrived)

    async def scenario() -> None:
        store = opened(folder)
        accepted = 0
        while arrived:
            batch = [arrived.pop() for _ in range(min(len(arrived), chance.randint(1, 5)))]
            accepted += (await store.append(batch)).accepted
        assert accepted == len(events)
        for user_id in ("alice", "bob"):
            own = [event for event in events if event.user_id == user_id]
            clients = [fold(e for e in own if e.client_id == one) for one in {e.client_id for e in own}]
            expected = presence(clients)
            found = await store.read(user_reads.user, APP_ID, user_id, store.now())
            assert (found is None) == (not own)
            if found is not None:
                user = found.user
                assert (user.status, user.since_us, user.reason) == (
                    expected.status,
                    expected.since_us,
                    expected.reason,
                )
        live = projected(folder)
        await store.rebuild()
        assert projected(folder) == live
        await store.close()

    asyncio.run(scenario())


async def test_a_heartbeat_renews_the_lease_and_is_not_stored(store: Store) -> None:
    alice = Phone("alice")
    await store.append([alice.says("CONNECTED", "SUCCESS", at=-3600), alice.event(HEARTBEAT, -100)])
    found = await store.read(user_reads.user, APP_ID, "alice", store.now())
    assert found is not None and found.user.unconfirmed and found.user.status == "online"  # noqa: PT018
    assert (await store.read(user_reads.summary)).unconfirmed == 1
    await store.append([alice.event(HEARTBEAT, 0)])
    found = await store.read(user_reads.user, APP_ID, "alice", store.now())
    assert found is not None
    assert not found.user.unconfirmed
    assert await store.read(log_positions.newest_position) == 1


async def test_a_rebuild_keeps_the_last_heartbeats(store: Store, tmp_path: Path) -> None:
    alice = Phone("alice")
    await store.append([alice.says("CONNECTED", "SUCCESS", at=-3600), alice.event(HEARTBEAT, 0)])
    live = projected(tmp_path)
    await store.rebuild()
    assert projected(tmp_path) == live


async def test_a_rebuild_keeps_the_last_heartbeat_of_a_device_whose_user_has_later_events_of_another(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuild, "_SLICE", 1)
    phone, desk = Phone("alice", "phone"), Phone("alice", "desk")
    await store.append([phone.says("CONNECTED", "SUCCESS", at=-3600)])
    await store.append([desk.says("CONNECTED", "SUCCESS", at=-60), phone.event(HEARTBEAT, 0)])
    live = projected(tmp_path)
    await store.rebuild()
    assert projected(tmp_path) == live


async def test_events_before_any_login_belong_to_a_client_and_to_no_user(store: Store, tmp_path: Path) -> None:
    nobody = Phone(None, "fresh page")
    await store.append([nobody.says("DISCONNECTED", "SUCCESS", at=0)])
    assert (await store.read(user_list.list_users, UserQuery(), store.now())).users == []
    span = (await store.read(span_outbox.claim, 0, 1))[0]
    assert (span.trace_id, span.user_status, span.user_id) == (made_id(nobody.name), None, None)
    assert projected(tmp_path)["users"] == []


@pytest.mark.usefixtures("memory")
async def test_another_device_decides_once_a_late_event_outdates_the_deciding_one(tmp_path: Path) -> None:
    store = opened(tmp_path)
    for number in range(6):
        phone = Phone("bob", f"phone {number}")
        before = phone.says("CONNECTED", "SUCCESS", at=number)
        late = phone.says("DISCONNECTED", "SUCCESS", at=number + 1)
        await store.append([before, phone.says("DISCONNECTED", "KICKED_OUT", at=100 + number)])
    await store.append([late])
    detail = await store.read(user_reads.user, APP_ID, "bob", store.now())
    assert detail is not None
    assert (detail.user.since_us, detail.user.reason) == (BEGIN_US + 104 * SECOND_US, "KICKED_OUT")
    await store.rebuild()
    assert await store.read(user_reads.user, APP_ID, "bob", store.now()) == detail
    await store.close()
