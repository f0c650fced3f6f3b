"""What happened to users: rows that any order of arrival gives, and the lists and totals read from them."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sidecar.domain.app_ids import AppIds
from sidecar.domain.events import API_ERROR, LOGIN_RESULT, Event
from sidecar.domain.happenings import KINDS, happening
from sidecar.domain.units import DAY_US, HOUR_US, SECOND_US
from sidecar.store import Store
from sidecar.store.care.retention import Retention
from sidecar.store.users import happenings, user_list
from sidecar.store.users.happenings import Happened
from sidecar.store.users.user_query import UserQuery
from sidecar.store.values import Total
from tests.support.clocks import Machine
from tests.support.databases import url_of
from tests.support.events import APP_ID, BEGIN_US, Phone
from tests.support.stores import opened, projected
from tests.support.work import of_reads

pytestmark = pytest.mark.both_engines("soak")

VERSIONS: Final = ("2.28.0", "2.29.0", None)


def us(at: float) -> int:
    return BEGIN_US + int(at * SECOND_US)


def kicked(user: str, at: float, *, device: str = "phone", app_id: int = APP_ID, **fields: Any) -> Event:
    phone = Phone(user, f"{device} {at} {fields}", app_id=app_id)
    return phone.says("DISCONNECTED", "KICKED_OUT", at=at, **fields)


async def page(store: Store, cursor: str | None = None, limit: int = 50, **wanted: Any) -> tuple[list[str], str | None]:
    named = {name: wanted.pop(name) for name in ("apps", "status", "q", "match", "ids", "reason") if name in wanted}
    happened = Happened(**({"kind": "kicked_out"} | wanted))
    query = UserQuery(happened=happened, cursor=cursor, limit=limit, **named)
    found = await store.read(user_list.list_users, query, store.now())
    return [user.user_id for user in found.users], found.next_cursor


async def names(store: Store, **wanted: Any) -> list[str]:
    """All pages, of two users each."""
    found, cursor = await page(store, limit=2, **wanted)
    while cursor is not None:
        more, cursor = await page(store, cursor, limit=2, **wanted)
        found += more
    return found


async def total(store: Store, apps: AppIds = None, **wanted: Any) -> Total | None:
    query = UserQuery(happened=Happened(**({"kind": "kicked_out"} | wanted)), apps=apps)
    return await store.read(user_list.count_users, query)


@pytest.mark.of_sqlite
def test_each_kind_has_its_events() -> None:
    alice = Phone("alice")
    found = [
        happening(alice.says("DISCONNECTED", name, at=0))
        for name in (
            "KICKED_OUT",
            "TOKEN_EXPIRED",
            "LOGIN_TIMEOUT",
            "UNREGISTERED",
            "SUCCESS",
            "LOGIN_INTERRUPTED",
            "9",
        )
    ]
    assert found == [*KINDS[:4], None, None, None]
    refused = alice.event(LOGIN_RESULT, 0, details={"code": 6000103, "message": "bad token"})
    assert happening(refused) == "login_failed"
    assert happening(alice.event(LOGIN_RESULT, 0, details={"code": 0, "message": ""})) is None
    assert happening(alice.event(API_ERROR, 0, details={"method": "m", "code": 6000121})) == "calls_failed"
    assert happening(alice.login(0)) == "logged_in"
    assert happening(alice.event("logout", 0)) is None


async def test_users_are_listed_by_what_happened_within_a_time_the_last_first(store: Store) -> None:
    await store.append(
        [
            kicked("alice", -3600),
            kicked("bob", -600),
            kicked("carol", -60),
            kicked("bob", -30),
            Phone("dave").login(-10),
        ]
    )
    assert await names(store) == ["bob", "carol", "alice"]
    assert await names(store, begin_us=us(-900)) == ["bob", "carol"]
    assert await names(store, begin_us=us(-900), end_us=us(-45)) == ["carol", "bob"]
    assert await names(store, begin_us=us(-29)) == []
    assert await names(store, end_us=us(-3600)) == []
    assert await names(store, end_us=us(-3599)) == ["alice"]
    assert await names(store, kind="logged_in") == ["dave"]
    assert await total(store) == Total(3, 4)
    assert await total(store, end_us=us(-60)) == Total(2, 2)


@pytest.mark.parametrize("arrived", [(3, 13), (13, 3)])
async def test_a_bound_within_a_minute_is_exact_where_it_happened_before_and_after_it(
    store: Store, arrived: tuple[int, int]
) -> None:
    for at in arrived:
        await store.append([kicked("alice", at)])
    assert await names(store, end_us=us(10)) == ["alice"]
    assert await names(store, end_us=us(3)) == []
    assert await names(store, begin_us=us(10)) == ["alice"]
    assert await names(store, begin_us=us(14)) == []


async def test_a_list_has_the_device_that_it_happened_on_and_the_status_of_now(store: Store) -> None:
    old: dict[str, Any] = {"sdk_version": "2.28.0", "app_version": "1"}
    new: dict[str, Any] = {"sdk_version": "2.29.0", "platform": "Android"}
    bob = Phone("bob")
    await store.append([kicked("alice", 1, **old), kicked("alice", 100, **new), kicked("carol", 50, app_id=7, **old)])
    await store.append([kicked("bob", 2, **old), bob.login(5), bob.says("CONNECTED", "SUCCESS", at=6)])
    assert await names(store) == ["alice", "carol", "bob"]
    assert await names(store, sdk_version="2.28.0") == ["carol", "bob", "alice"]
    assert await names(store, sdk_version="2.28.0", begin_us=us(2)) == ["carol", "bob"]
    assert await names(store, platform="Android", app_version="") == ["alice"]
    assert await names(store, apps=frozenset({7})) == ["carol"]
    assert await names(store, apps=frozenset({7, APP_ID})) == ["alice", "carol", "bob"]
    assert await names(store, apps=frozenset()) == []
    assert await names(store, status="online") == ["bob"]
    assert await names(store, q="ar") == ["carol"]
    assert await names(store, q="ca", match="prefix") == ["carol"]
    assert await names(store, q="bob", match="exact") == ["bob"]
    assert await names(store, ids=("bob", "dave", "alice"), begin_us=us(2)) == ["bob", "alice"]
    assert await total(store, sdk_version="2.28.0") == Total(3, 3)
    assert await total(store, frozenset({7})) == Total(1, 1)
    assert await total(store, frozenset({7, APP_ID})) == await total(store)
    found = await store.read(
        user_list.list_users, UserQuery(happened=Happened(kind="kicked_out"), status="not_logged_in"), store.now()
    )
    assert [(one.user_id, one.happened and one.happened.times) for one in found.users] == [("alice", 2), ("carol", 1)]


@pytest.mark.parametrize("seed", range(4))
async def test_pages_have_each_user_once_and_as_many_as_the_total_says(store: Store, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - the same every time
    events = [
        kicked(
            f"user-{chance.randrange(9)}",
            chance.randrange(600),
            device=f"{number}",
            app_id=chance.choice([1, 2]),
            sdk_version=chance.choice(VERSIONS),
        )
        for number in range(60)
    ]
    await store.append(events)
    for version in VERSIONS:
        begin, end = sorted(chance.sample(range(600), 2))
        begin_us, end_us = us(begin // 60 * 60), us(-(-end // 60) * 60)
        wanted: dict[str, Any] = {"begin_us": begin_us, "end_us": end_us, "sdk_version": version}
        within = [one for one in events if begin_us <= one.moment_us < end_us and version in {None, one.sdk_version}]
        last = {(one.app_id, one.user_id): one.moment_us for one in sorted(within, key=lambda one: one.moment_us)}
        found = await names(store, **wanted)
        assert len(found) == len(last)
        assert sorted(found) == sorted(f"{user}" for _, user in last)
        moments = {user: [at_us for (_, one), at_us in last.items() if one == user] for user in found}
        least = [min(moments[user]) for user in found]
        assert all(max(moments[user]) >= after for user, after in zip(found, least[1:], strict=False))
        assert await total(store, **wanted) == Total(len(last), len(within))


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    made=st.lists(
        st.tuples(
            st.sampled_from(["alice", "bob", None]),
            st.integers(0, 200),
            st.sampled_from(["login", "KICKED_OUT", "SUCCESS", "TOKEN_EXPIRED"]),
            st.sampled_from(VERSIONS),
        ),
        max_size=30,
    ),
    chance=st.randoms(use_true_random=False),
)
def test_any_order_of_arrival_and_a_rebuild_give_the_same_rows(
    tmp_path_factory: pytest.TempPathFactory, made: list[tuple[Any, ...]], chance: random.Random
) -> None:
    phones = {name: Phone(name) for name in ("alice", "bob", None)}
    events = [
        phones[user].event("login", at, sdk_version=version)
        if what == "login"
        else phones[user].says("DISCONNECTED", what, at=at, sdk_version=version)
        for user, at, what, version in made
    ]

    async def stored(order: list[Event]) -> list[tuple[Any, ...]]:
        folder = tmp_path_factory.mktemp("any")
        store = opened(folder)
        waiting = list(order)
        while waiting:
            await store.append([waiting.pop() for _ in range(min(len(waiting), chance.randint(1, 4)))])
        live = projected(folder)["happenings"]
        await store.rebuild()
        assert projected(folder)["happenings"] == live
        await store.close()
        return live

    shuffled = events + events[:3]
    chance.shuffle(shuffled)
    once = asyncio.run(stored(events))
    assert asyncio.run(stored(shuffled)) == once
    counted = [one for one in events if one.user_id is not None and happening(one) is not None]
    assert sum(row[-1] for row in once) == len(counted)


@pytest.mark.of_sqlite
async def test_an_upgrade_fills_in_what_happened_before(tmp_path: Path) -> None:
    store = opened(tmp_path)
    alice, nobody = Phone("alice"), Phone(None)
    refused = [alice.event(LOGIN_RESULT, at, details={"code": at, "message": ""}) for at in (0, 6000103)]
    failed = alice.event(API_ERROR, 3, details={"method": "m", "code": 1}, sdk_version="2.28.0")
    ends = [alice.says("DISCONNECTED", name, at=70) for name in ("KICKED_OUT", "TOKEN_EXPIRED", "UNREGISTERED")]
    await store.append([alice.login(0), *refused, failed, *ends, kicked("alice", 71), nobody.login(1)])
    await store.close()
    before = projected(tmp_path)["happenings"]
    assert {row[2] for row in before} == {*KINDS} - {"login_timeout"}
    upgrade = import_module("sidecar.store.migrations.versions.0029_happenings")
    with closing(sqlite3.connect(tmp_path / "zimwatch.db")) as connection, connection:
        connection.execute("DROP TABLE happenings")
        for statement in upgrade.STATEMENTS:
            connection.execute(statement)
    assert projected(tmp_path)["happenings"] == before


async def test_what_happened_goes_with_the_retention_of_events(tmp_path: Path) -> None:
    machine = Machine()
    store = Store.open(
        url_of(tmp_path),
        clock=machine.clock,
        steady=machine.steady,
        retention=Retention(events_us=DAY_US),
    )
    late = msgspec.structs.replace(kicked("carol", 0), moment_us=machine.now_us - 2 * DAY_US)
    recent = msgspec.structs.replace(kicked("dave", 0), moment_us=machine.now_us - 2 * HOUR_US)
    await store.append([kicked("alice", 0), late, recent])
    await store.prune()
    assert await names(store) == ["alice", "dave"]
    machine.passes(DAY_US // SECOND_US - 60)
    await store.append([kicked("bob", DAY_US // SECOND_US - 60)])
    await store.prune()
    assert await names(store) == ["bob", "alice"]
    machine.passes(180)
    await store.prune()
    assert await names(store) == ["bob"]
    await store.close()


async def test_a_total_reads_a_bounded_number_of_rows(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(happenings, "COUNTED_MOST", 3)
    await store.append([kicked(f"user-{number}", number) for number in range(5)])
    assert await total(store) == Total(3, 3, is_least=True)
    assert await total(store, begin_us=us(3)) == Total(2, 2)
    monkeypatch.setattr(happenings, "LOOKED_AT_MOST", 4)
    await store.append([kicked("alice", -1, sdk_version="2.28.0")])
    assert await total(store, sdk_version="2.28.0") == Total(1, 1, is_least=True)
    assert await total(store, sdk_version="2.28.0", end_us=us(0)) == Total(1, 1)


@pytest.mark.of_sqlite
async def test_a_page_reads_as_much_however_many_users_and_events_there_are(store: Store) -> None:
    work = []
    for numbers in (range(200), range(200, 2_000)):
        await store.append([kicked(f"user-{number}", number / 10, device=f"{number}") for number in numbers])
        with of_reads(store) as done:
            found, _ = await page(store)
        assert len(found) == 50
        work.append((done.statements, done.steps))
    (statements, steps), more = work
    assert more[0] == statements
    assert more[1] < steps * 1.1


async def test_the_users_to_whom_it_happened_most_often_come_first(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    kicks = [("alice", 0), ("bob", 10), ("bob", 90), ("carol", 20), ("carol", 21), ("carol", 22), ("bob", -9_000)]
    await store.append([*(kicked(*one) for one in kicks), kicked("carol", 1, app_id=7)])

    async def most(limit: int, apps: AppIds = None) -> list[tuple[Any, int]]:
        lately = Happened(kind="kicked_out", begin_us=us(-60))
        return await store.read(happenings.most_often, lately, apps, limit)

    assert await most(2) == [((APP_ID, "carol"), 3), ((APP_ID, "bob"), 2)]
    assert await most(9, frozenset({7})) == [((7, "carol"), 1)]
    monkeypatch.setattr(happenings, "COUNTED_MOST", 1)
    assert await most(9) == [((APP_ID, "bob"), 2)]


async def test_users_are_counted_by_their_groups(store: Store) -> None:
    await store.append([kicked("alice", 0), kicked("bob", 0, app_id=7, platform="Win")])
    await store.append([Phone("carol").says("CONNECTED", "odd", at=0, platform="Fridge")])

    async def count(**wanted: Any) -> Total | None:
        return await store.read(user_list.count_users, UserQuery(**wanted))

    assert await count() == Total(3)
    assert await count(status="not_logged_in") == Total(2)
    assert await count(apps=frozenset({7}), platform="Win", reason="KICKED_OUT") == Total(1)
    assert await count(platform="Linux") == Total(0)
    assert await count(platform="Fridge") is None
    assert await count(q="a") is None
