"""A user with very many clients: the same answers as for few, and a limit that an error names."""

from __future__ import annotations

import random
import uuid
from pathlib import Path
from typing import Any

import pytest

from sidecar.domain.events import HEARTBEAT, Event
from sidecar.domain.login_state import fold
from sidecar.domain.presence import presence
from sidecar.domain.units import SECOND_US
from sidecar.store import Store
from sidecar.store.log import rejected_events
from sidecar.store.users import client_limit, user_list, user_reads
from sidecar.store.users.user_query import UserQuery
from tests.support.databases import url_of
from tests.support.events import APP_ID, BEGIN_US, Phone
from tests.support.running import zimwatch
from tests.support.wire import fresh_event
from tests.support.work import of_append

pytestmark = pytest.mark.both_engines("soak")


def chance_of(number: int) -> random.Random:
    return random.Random(number)  # noqa: S311 - the same every time


async def test_the_status_over_a_hundred_clients_is_that_of_all_of_them_after_each_commit(tmp_path: Path) -> None:
    store = Store.open(url_of(tmp_path), clock=lambda: BEGIN_US)
    chance = chance_of(7)
    phones = [Phone("alice", f"phone {number}") for number in range(100)]
    events_of: dict[bytes, list[Event]] = {phone.client_id: [] for phone in phones}
    for at in range(60):
        # Many clients log in and out, so that the user becomes crowded and ceases to be.
        state = chance.choice(["CONNECTED", "CONNECTED", "RECONNECTING", "DISCONNECTED"])
        batch = [
            phone.says(state if chance.random() < 0.9 else "CONNECTED", "SUCCESS", at=chance.randrange(1_000))
            for phone in chance.sample(phones, chance.choice([1, 2, 40, 100]))
        ]
        await store.append(batch)
        for event in batch:
            events_of[event.client_id].append(event)
        expected = presence([fold(events) for events in events_of.values() if events])
        detail = await store.read(user_reads.user, APP_ID, "alice", store.now())
        assert detail is not None
        found = detail.user
        assert (found.status, found.since_us, found.reason) == (expected.status, expected.since_us, expected.reason), at
        live = sum(fold(events).status != "not_logged_in" for events in events_of.values())
        (shown,) = (await store.read(user_list.list_users_with_clients, UserQuery(), store.now())).users
        assert shown.live_clients == live
        assert sum(session.status != "not_logged_in" for session in detail.sessions) == live
    before = await store.read(user_reads.user, APP_ID, "alice", store.now())
    await store.rebuild()
    assert await store.read(user_reads.user, APP_ID, "alice", store.now()) == before
    await store.close()


async def test_the_lease_of_a_crowded_user_is_that_of_the_client_seen_last(tmp_path: Path) -> None:
    now_us = BEGIN_US
    store = Store.open(url_of(tmp_path), clock=lambda: now_us)
    phones = [Phone("alice", f"phone {number}") for number in range(40)]
    await store.append([phone.says("CONNECTED", "SUCCESS", at=0) for phone in phones])
    await store.append([phone.event(HEARTBEAT, 1) for phone in phones])
    await store.append([phones[17].event(HEARTBEAT, 100)])

    async def is_unconfirmed(at: float) -> bool:
        nonlocal now_us
        now_us = BEGIN_US + int(at * SECOND_US)
        await store.tend()
        (shown,) = (await store.read(user_list.list_users_with_clients, UserQuery(), store.now())).users
        return shown.user.unconfirmed

    assert not await is_unconfirmed(144)
    assert await is_unconfirmed(146)
    await store.append([phones[3].event(HEARTBEAT, 147)])
    assert not await is_unconfirmed(148)
    await store.close()


@pytest.mark.both_engines
async def test_clients_without_a_callback_decide_nothing_of_a_crowded_user(tmp_path: Path) -> None:
    store = Store.open(url_of(tmp_path), clock=lambda: BEGIN_US)
    phones = [Phone("alice", f"phone {number}") for number in range(40)]
    await store.append([phone.says("CONNECTED", "SUCCESS", at=0) for phone in phones])
    await store.append([phones[0].says("DISCONNECTED", "KICKED_OUT", at=200)])
    await store.append([Phone("alice", f"tablet {number}").event("login", 250) for number in range(5)])
    await store.append([phone.says("DISCONNECTED", "TOKEN_EXPIRED", at=100) for phone in phones[1:]])
    detail = await store.read(user_reads.user, APP_ID, "alice", store.now())
    assert detail is not None
    found = detail.user
    assert (found.status, found.reason) == ("not_logged_in", "KICKED_OUT")
    assert found.since_us == BEGIN_US + 200 * SECOND_US
    await store.close()


async def test_a_client_above_the_limit_is_refused_by_name_and_all_else_is_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_limit, "CLIENTS_MOST", 30)
    async with zimwatch(tmp_path) as running:
        clients = [str(uuid.uuid4()) for _ in range(60)]

        def of_clients(first: int, end: int, **fields: Any) -> list[dict[str, Any]]:
            return [fresh_event(client_id=client, **fields) for client in clients[first:end]]

        assert (await running.send(of_clients(0, 20)))[1]["accepted"] == 20
        mixed = [*of_clients(0, 3, seq=2), *of_clients(20, 35), *of_clients(35, 60, user_id="bob"), {"type": "?"}]
        async with running.http.post("/v1/events?dry_run=1", json=mixed) as response:
            dry = await response.json()
        _, answer = await running.send(mixed)
        assert answer == dry
        assert (answer["accepted"], answer["duplicates"]) == (3 + 10 + 25, 0)
        refused = [one for one in answer["rejected"] if "client_id" in one["error"]]
        assert [one["index"] for one in refused] == [13, 14, 15, 16, 17]
        assert refused[0]["error"].startswith(f"client_id {clients[30]} is new, and its user has had")
        assert [one["id"] for one in refused] == [mixed[index]["id"] for index in range(13, 18)]
        assert {one.error for one in await running.store.read(rejected_events.newest, 10)} >= {
            one["error"] for one in refused
        }
        # A refused event is not in the log: it is accepted once the limit allows, and others are meanwhile.
        assert (await running.send(of_clients(0, 30, seq=3)))[1]["accepted"] == 30
        assert (await running.send(of_clients(30, 31, user_id="carol")))[1]["accepted"] == 1
        assert (await running.send(of_clients(30, 31)))[1]["accepted"] == 0


async def test_clients_silent_for_a_day_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_limit, "CLIENTS_MOST", 30)
    store = Store.open(url_of(tmp_path), clock=lambda: BEGIN_US)
    phones = [Phone("alice", f"phone {number}") for number in range(100)]
    taken = await store.append([phone.says("CONNECTED", "SUCCESS", at=0) for phone in phones[:31]])
    assert (taken.accepted, [place for place, _ in taken.refused]) == (30, [30])
    day = 86_400
    taken = await store.append([phone.says("CONNECTED", "SUCCESS", at=day + 1) for phone in phones[:10]])
    assert taken.accepted == 10
    taken = await store.append([phone.says("CONNECTED", "SUCCESS", at=day + 2) for phone in phones[50:90]])
    assert taken.accepted == 20
    await store.close()


@pytest.mark.of_sqlite
async def test_an_event_that_is_refused_counts_no_clients_again_for_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_limit, "CLIENTS_MOST", 300)
    store = Store.open(url_of(tmp_path), clock=lambda: BEGIN_US)
    phones = [Phone("alice", f"phone {number}") for number in range(400)]
    await store.append([phone.says("CONNECTED", "SUCCESS", at=0) for phone in phones[:300]])
    within, later = [
        (await of_append(store, [phones[number].says("CONNECTED", "SUCCESS", at=at)])).steps
        for number, at in ((301, 59), (302, 62))
    ]
    assert within < 500 < later
    await store.close()
