"""The past: minutes that are kept, a user as of a moment, and a story that is handed over."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sidecar.store import Store
from sidecar.store.hand_off import HandOff
from sidecar.store.lookup import Search
from sidecar.store.rollups import MINUTE_US
from tests.support.events import APP_ID, BEGIN_US, SECOND_US, Phone

HOUR_US = 60 * MINUTE_US


class Clock:
    def __init__(self) -> None:
        self.now_us = BEGIN_US

    def __call__(self) -> int:
        return self.now_us


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(tmp_path: Path, clock: Clock) -> AsyncIterator[Store]:
    store = Store.open(f"sqlite:///{tmp_path / 'zimwatch.db'}", clock=clock)
    yield store
    await store.close()


async def test_a_minute_keeps_its_last_counts_and_the_sum_of_what_happened(store: Store) -> None:
    carol, bob = Phone("carol"), Phone("bob", app_id=7)
    await store.append([carol.login(0), carol.says("CONNECTED", "SUCCESS", 1), bob.says("CONNECTED", "SUCCESS", 2)])
    await store.append([carol.says("DISCONNECTED", "KICKED_OUT", 30)])
    await store.append([bob.says("DISCONNECTED", "TOKEN_EXPIRED", 300)])
    day = await store.day(None, begin_us=BEGIN_US, end_us=BEGIN_US + 6 * MINUTE_US, step_minutes=1)
    told = [(b.online, b.offline, b.not_logged_in, b.kicked_out, b.token_expired, b.logins) for b in day]
    # A minute without a commit has the counts of the one before.
    assert told == [(1, 0, 1, 1, 0, 1), *[(1, 0, 1, 0, 0, 0)] * 4, (0, 0, 2, 0, 1, 0), (0, 0, 2, 0, 0, 0)]
    own = await store.day(7, begin_us=BEGIN_US, end_us=BEGIN_US + MINUTE_US, step_minutes=1)
    assert [(b.online, b.kicked_out) for b in own] == [(1, 0), (1, 0)]


async def test_wider_buckets_hold_the_last_counts_and_what_was_before_them(store: Store) -> None:
    alice = Phone("alice")
    await store.append([alice.says("CONNECTED", "SUCCESS", 0)])
    await store.append([alice.says("RECONNECTING", "LOGIN_INTERRUPTED", 3_600)])
    day = await store.day(None, begin_us=BEGIN_US + 1_800 * SECOND_US, end_us=BEGIN_US + HOUR_US, step_minutes=10)
    assert [(b.online, b.offline) for b in day] == [(1, 0), (1, 0), (1, 0), (0, 1)]
    assert await store.day(8, begin_us=BEGIN_US, end_us=BEGIN_US + HOUR_US, step_minutes=10) == []


async def test_an_event_that_comes_twice_is_counted_once(store: Store) -> None:
    login = Phone("alice").login(0)
    await store.append([login])
    await store.append([login])
    (minute,) = await store.day(None, begin_us=BEGIN_US, end_us=BEGIN_US, step_minutes=1)
    assert minute.logins == 1


async def test_a_user_is_shown_as_it_stood_at_a_moment(store: Store) -> None:
    phone, desk = Phone("bob", "phone"), Phone("bob", "desk")
    await store.append([phone.login(0), phone.says("CONNECTED", "SUCCESS", 10)])
    await store.append([desk.login(20), desk.says("CONNECTED", "SUCCESS", 21)])
    await store.append([phone.says("DISCONNECTED", "KICKED_OUT", 22)])
    await store.append([desk.says("DISCONNECTED", "SUCCESS", 100)])
    then = [await store.user_as_of(APP_ID, "bob", BEGIN_US + at * SECOND_US, limit=50) for at in (-1, 5, 15, 50, 200)]
    assert then[0].detail is None
    statuses = [one.detail.user.status for one in then[1:] if one.detail]
    assert statuses == ["not_logged_in", "online", "online", "not_logged_in"]
    assert [len(one.events) for one in then] == [0, 1, 2, 5, 6]
    assert then[3].detail is not None
    assert [(row.status, row.reason) for row in then[3].detail.sessions] == [
        ("online", "SUCCESS"),
        ("not_logged_in", "KICKED_OUT"),
    ]


async def test_what_came_later_is_not_in_the_past_even_where_it_happened_before(store: Store) -> None:
    phone = Phone("alice")
    await store.append([phone.says("CONNECTED", "SUCCESS", 0)])
    late = phone.event(
        "connection_state_changed",
        5,
        connection_state="RECONNECTING",
        connection_event="LOGIN_INTERRUPTED",
        received_at_us=BEGIN_US + 60 * SECOND_US,
    )
    await store.append([late])
    for at, status in ((30, "online"), (61, "offline")):
        then = await store.user_as_of(APP_ID, "alice", BEGIN_US + at * SECOND_US, limit=50)
        assert then.detail is not None
        assert then.detail.user.status == status


async def test_a_link_shows_its_user_until_it_ends_and_no_longer(store: Store, clock: Clock) -> None:
    await store.append([Phone("carol").says("CONNECTED", "SUCCESS", 0)])
    given = HandOff(APP_ID, "carol", BEGIN_US + 5 * SECOND_US, BEGIN_US + HOUR_US)
    link = await store.sign_hand_off(given)
    assert link is not None
    assert "carol" not in link
    assert await store.hand_off(link) == given
    clock.now_us = BEGIN_US + HOUR_US
    assert await store.hand_off(link) is None


async def test_a_link_that_was_changed_or_made_up_shows_nothing(store: Store) -> None:
    await store.append([Phone("carol").says("CONNECTED", "SUCCESS", 0), Phone("dave").says("CONNECTED", "SUCCESS", 1)])
    link = await store.sign_hand_off(HandOff(APP_ID, "carol", BEGIN_US, BEGIN_US + HOUR_US))
    assert link is not None
    changed = [link[:place] + ("A" if link[place] != "A" else "B") + link[place + 1 :] for place in range(len(link))]
    # The last character's low bits are padding: they say nothing.
    read = [await store.hand_off(text) for text in (*changed[:-1], "", "A", "A" * 54, "ü" * 54, link + "AAAA")]
    assert not any(read)
    assert await store.sign_hand_off(HandOff(APP_ID, "nobody", BEGIN_US, BEGIN_US + HOUR_US)) is None


async def test_storage_tells_its_growth(store: Store, clock: Clock) -> None:
    assert (await store.storage()).grows_bytes_a_day is None
    await store.append([Phone(f"user {number}").says("CONNECTED", "SUCCESS", number) for number in range(100)])
    clock.now_us = BEGIN_US + 200 * SECOND_US
    told = await store.storage()
    assert (told.events, told.events_last_day) == (100, 100)
    assert told.grows_bytes_a_day is not None
    assert told.full_in_days is not None
    assert 0 < told.file_bytes < told.free_bytes


async def seen(store: Store, as_of_s: float, **wanted: Any) -> list[tuple[str, str, str | None]]:
    page = await store.users_as_of(Search(**wanted), BEGIN_US + int(as_of_s * SECOND_US))
    return [(one.user.user_id, one.user.status, one.user.reason) for one in page.users]


async def test_everybody_is_shown_as_they_stood_at_a_moment(store: Store) -> None:
    alice, bob, carol = Phone("alice"), Phone("bob"), Phone("carol", app_id=7)
    await store.append([alice.says("CONNECTED", "SUCCESS", 0), bob.says("CONNECTED", "SUCCESS", 1)])
    await store.append([alice.event("api_error", 5, details={"method": "m", "code": 1})])
    await store.append([alice.says("DISCONNECTED", "KICKED_OUT", 10)])
    await store.append([bob.says("RECONNECTING", "LOGIN_INTERRUPTED", 20), carol.says("CONNECTED", "SUCCESS", 20)])
    assert await seen(store, -1) == []
    assert await seen(store, 6) == [("alice", "online", "SUCCESS"), ("bob", "online", "SUCCESS")]
    assert await seen(store, 15, status="not_logged_in") == [("alice", "not_logged_in", "KICKED_OUT")]
    assert await seen(store, 99) == [
        ("carol", "online", "SUCCESS"),
        ("alice", "not_logged_in", "KICKED_OUT"),
        ("bob", "offline", "LOGIN_INTERRUPTED"),
    ]
    assert await seen(store, 99, q="bo", match="prefix") == [("bob", "offline", "LOGIN_INTERRUPTED")]
    page = await store.users_as_of(Search(limit=1), BEGIN_US + 99 * SECOND_US)
    second = await store.users_as_of(Search(limit=1, cursor=page.next_cursor), BEGIN_US + 99 * SECOND_US)
    assert [one.user.user_id for one in (*page.users, *second.users)] == ["carol", "alice"]


async def test_the_past_of_one_user_and_of_everybody_agree(store: Store) -> None:
    rng = random.Random(7)  # noqa: S311 - the same every time
    phones = [Phone(f"user {number}", device) for number in range(5) for device in ("phone", "desk")]
    steps = ("CONNECTED", "SUCCESS"), ("RECONNECTING", "LOGIN_INTERRUPTED"), ("DISCONNECTED", "KICKED_OUT")
    for at in range(200):
        await store.append([rng.choice(phones).says(*rng.choice(steps), at)])
    for at in range(0, 200, 17):
        page = await store.users_as_of(Search(), BEGIN_US + at * SECOND_US)
        for one in page.users:
            own = await store.user_as_of(APP_ID, one.user.user_id, BEGIN_US + at * SECOND_US, limit=1)
            assert own.detail is not None
            assert one.user.status == own.detail.user.status
