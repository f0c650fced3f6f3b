"""The past: counts per minute, users as of a moment, and links that share one."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from sidecar.domain.units import HOUR_US, MINUTE_US, SECOND_US
from sidecar.store import Store
from sidecar.store.access import share_links
from sidecar.store.access.share_links import ShareLink
from sidecar.store.database import size
from sidecar.store.users import as_of, per_minute
from sidecar.store.users.user_query import UserQuery
from tests.support.clocks import Clock
from tests.support.databases import url_of
from tests.support.events import APP_ID, BEGIN_US, Phone

pytestmark = pytest.mark.both_engines("soak")


@pytest.fixture
async def store(tmp_path: Path, clock: Clock) -> AsyncIterator[Store]:
    store = Store.open(url_of(tmp_path), clock=clock)
    yield store
    await store.close()


async def test_a_minute_has_its_last_users_and_the_sum_of_its_events(store: Store) -> None:
    carol, bob = Phone("carol"), Phone("bob", app_id=7)
    await store.append([carol.login(0), carol.says("CONNECTED", "SUCCESS", 1), bob.says("CONNECTED", "SUCCESS", 2)])
    await store.append([carol.says("DISCONNECTED", "KICKED_OUT", 30)])
    await store.append([bob.says("DISCONNECTED", "TOKEN_EXPIRED", 300)])
    day = await store.read(per_minute.buckets, None, begin_us=BEGIN_US, end_us=BEGIN_US + 6 * MINUTE_US, step_minutes=1)
    counts = [(b.online, b.offline, b.not_logged_in, b.kicked_out, b.token_expired, b.logins) for b in day]
    # A minute without a commit has the users of the one before.
    assert counts == [(1, 0, 1, 1, 0, 1), *[(1, 0, 1, 0, 0, 0)] * 4, (0, 0, 2, 0, 1, 0), (0, 0, 2, 0, 0, 0)]
    span = {"begin_us": BEGIN_US, "end_us": BEGIN_US + 6 * MINUTE_US, "step_minutes": 1}
    own = await store.read(per_minute.buckets, frozenset({7}), **span)
    assert [(b.online, b.kicked_out) for b in own] == [(1, 0)] * 5 + [(0, 0)] * 2
    assert await store.read(per_minute.buckets, frozenset({7, 8, APP_ID}), **span) == day


async def test_wider_buckets_have_the_last_users_also_those_from_before(store: Store) -> None:
    alice = Phone("alice")
    await store.append([alice.says("CONNECTED", "SUCCESS", 0)])
    await store.append([alice.says("RECONNECTING", "LOGIN_INTERRUPTED", 3_600)])
    day = await store.read(
        per_minute.buckets, None, begin_us=BEGIN_US + 1_800 * SECOND_US, end_us=BEGIN_US + HOUR_US, step_minutes=10
    )
    assert [(b.online, b.offline) for b in day] == [(1, 0), (1, 0), (1, 0), (0, 1)]
    assert (
        await store.read(
            per_minute.buckets, frozenset({8}), begin_us=BEGIN_US, end_us=BEGIN_US + HOUR_US, step_minutes=10
        )
        == []
    )


async def test_an_event_sent_twice_is_counted_once(store: Store) -> None:
    login = Phone("alice").login(0)
    await store.append([login])
    await store.append([login])
    (minute,) = await store.read(per_minute.buckets, None, begin_us=BEGIN_US, end_us=BEGIN_US, step_minutes=1)
    assert minute.logins == 1


async def test_a_user_is_shown_as_of_a_moment(store: Store) -> None:
    phone, desk = Phone("bob", "phone"), Phone("bob", "desk")
    await store.append([phone.login(0), phone.says("CONNECTED", "SUCCESS", 10)])
    await store.append([desk.login(20), desk.says("CONNECTED", "SUCCESS", 21)])
    await store.append([phone.says("DISCONNECTED", "KICKED_OUT", 22)])
    await store.append([desk.says("DISCONNECTED", "SUCCESS", 100)])
    then = [
        await store.read(as_of.user_as_of, APP_ID, "bob", BEGIN_US + at * SECOND_US, store.now(), limit=50)
        for at in (-1, 5, 15, 50, 200)
    ]
    assert then[0].detail is None
    statuses = [one.detail.user.status for one in then[1:] if one.detail]
    assert statuses == ["not_logged_in", "online", "online", "not_logged_in"]
    assert [len(one.events) for one in then] == [0, 1, 2, 5, 6]
    assert then[3].detail is not None
    assert [(row.status, row.reason) for row in then[3].detail.sessions] == [
        ("online", "SUCCESS"),
        ("not_logged_in", "KICKED_OUT"),
    ]


async def test_an_event_received_later_is_not_in_the_past_even_if_it_happened_before(store: Store) -> None:
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
        then = await store.read(as_of.user_as_of, APP_ID, "alice", BEGIN_US + at * SECOND_US, store.now(), limit=50)
        assert then.detail is not None
        assert then.detail.user.status == status


async def test_a_link_shows_its_user_until_it_ends_and_no_longer(store: Store, clock: Clock) -> None:
    await store.append([Phone("carol").says("CONNECTED", "SUCCESS", 0)])
    clock.now_us = BEGIN_US + 6 * SECOND_US
    given = ShareLink(APP_ID, "carol", BEGIN_US + 5 * SECOND_US, BEGIN_US + HOUR_US)
    link = await store.read(share_links.sign, given, clock())
    assert link is not None
    assert "carol" not in link
    assert await store.read(share_links.read, link, clock()) == msgspec.structs.replace(given, position=1)
    clock.now_us = BEGIN_US + HOUR_US
    assert await store.read(share_links.read, link, clock()) is None


async def test_a_changed_or_forged_link_shows_nothing(store: Store, clock: Clock) -> None:
    await store.append([Phone("carol").says("CONNECTED", "SUCCESS", 0), Phone("dave").says("CONNECTED", "SUCCESS", 1)])
    carol, nobody = (ShareLink(APP_ID, name, BEGIN_US, BEGIN_US + HOUR_US) for name in ("carol", "nobody"))
    link = await store.read(share_links.sign, carol, clock())
    assert link is not None
    changed = [link[:place] + ("A" if link[place] != "A" else "B") + link[place + 1 :] for place in range(len(link))]
    # The last character's low bits are padding.
    claims = link.rpartition(".")[0]
    texts = (*changed[:-1], "", "A", claims, *(f"{claims}.{sign * 43}" for sign in ("", "A", "ü")), link + "AAAA")
    assert not any([await store.read(share_links.read, text, clock()) for text in texts])
    assert await store.read(share_links.sign, nobody, clock()) is None


async def test_a_link_never_shows_another_user_that_has_the_row_now(store: Store, clock: Clock) -> None:
    await store.append([Phone("carol").says("CONNECTED", "SUCCESS", 0)])
    link = await store.read(share_links.sign, ShareLink(APP_ID, "carol", BEGIN_US, BEGIN_US + HOUR_US), clock())
    assert link is not None
    await store.write(_rename_carol)
    assert await store.read(share_links.read, link, clock()) is None


def _rename_carol(connection: sa.Connection) -> None:
    connection.exec_driver_sql("UPDATE user_status SET user_id = 'dave' WHERE user_id = 'carol'")


@pytest.mark.of_sqlite
async def test_storage_has_its_growth(store: Store, clock: Clock) -> None:
    assert (await store.read(size, clock())).grows_bytes_a_day is None
    await store.append([Phone(f"user {number}").says("CONNECTED", "SUCCESS", number) for number in range(100)])
    clock.now_us = BEGIN_US + 200 * SECOND_US
    storage = await store.read(size, clock())
    assert (storage.events, storage.events_last_day) == (100, 100)
    assert storage.grows_bytes_a_day is not None
    assert storage.full_in_days is not None
    assert storage.free_bytes is not None
    assert 0 < storage.file_bytes < storage.free_bytes


async def seen(store: Store, as_of_s: float, **wanted: Any) -> list[tuple[str, str, str | None]]:
    page = await store.read(as_of.users_as_of, UserQuery(**wanted), BEGIN_US + int(as_of_s * SECOND_US), store.now())
    return [(one.user.user_id, one.user.status, one.user.reason) for one in page.users]


async def test_all_users_are_shown_as_of_a_moment(store: Store) -> None:
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
    page = await store.read(as_of.users_as_of, UserQuery(limit=1), BEGIN_US + 99 * SECOND_US, store.now())
    second = await store.read(
        as_of.users_as_of, UserQuery(limit=1, cursor=page.next_cursor), BEGIN_US + 99 * SECOND_US, store.now()
    )
    assert [one.user.user_id for one in (*page.users, *second.users)] == ["carol", "alice"]


async def test_one_user_and_all_users_agree_as_of_a_moment(store: Store) -> None:
    rng = random.Random(7)  # noqa: S311 - the same every time
    phones = [Phone(f"user {number}", device) for number in range(5) for device in ("phone", "desk")]
    steps = ("CONNECTED", "SUCCESS"), ("RECONNECTING", "LOGIN_INTERRUPTED"), ("DISCONNECTED", "KICKED_OUT")
    for at in range(200):
        await store.append([rng.choice(phones).says(*rng.choice(steps), at)])
    for at in range(0, 200, 17):
        page = await store.read(as_of.users_as_of, UserQuery(), BEGIN_US + at * SECOND_US, store.now())
        for one in page.users:
            own = await store.read(
                as_of.user_as_of, APP_ID, one.user.user_id, BEGIN_US + at * SECOND_US, store.now(), limit=1
            )
            assert own.detail is not None
            assert one.user.status == own.detail.user.status
