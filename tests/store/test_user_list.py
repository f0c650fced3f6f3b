"""The user list: every filter, every order, page after page."""

from __future__ import annotations

import random
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from sidecar.domain.events import HEARTBEAT
from sidecar.domain.lease import Leases, LeaseTime, Now
from sidecar.domain.units import SECOND_US
from sidecar.store import Store
from sidecar.store.users import user_list, user_query, user_reads
from sidecar.store.users.user_query import ListedUser, UserQuery
from tests.support.databases import url_of
from tests.support.events import APP_ID, BEGIN_US, Phone

pytestmark = pytest.mark.both_engines("soak")

NOW_US = BEGIN_US + 3_600 * SECOND_US


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = Store.open(url_of(tmp_path), clock=lambda: NOW_US)
    await store.append(
        [
            *alice(),
            Phone("bob").says("RECONNECTING", "LOGIN_INTERRUPTED", 20),
            Phone("carol").says("DISCONNECTED", "KICKED_OUT", 30),
            Phone("Carola", app_id=7).event(
                "connection_state_changed",
                3_500,
                connection_state="CONNECTED",
                connection_event="SUCCESS",
                platform="Android",
                sdk_version="2.28.0",
                app_version="4.2",
            ),
            Phone("100%_off").says("CONNECTED", "SUCCESS", 50),
        ]
    )
    yield store
    await store.close()


def alice() -> list[Any]:
    phone = Phone("alice")
    return [phone.login(9, token_expires_at_us=NOW_US + 60 * SECOND_US), phone.says("CONNECTED", "SUCCESS", 10)]


async def found(store: Store, **wanted: Any) -> list[str]:
    return [
        one.user.user_id
        for one in (await store.read(user_list.list_users_with_clients, UserQuery(**wanted), store.now())).users
    ]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, ["100%_off", "Carola", "carol", "bob", "alice"]),
        ({"order": "oldest"}, ["alice", "bob", "carol", "Carola", "100%_off"]),
        ({"order": "id"}, ["Carola", "100%_off", "alice", "bob", "carol"]),
        ({"order": "user_id"}, ["100%_off", "Carola", "alice", "bob", "carol"]),
        ({"order": "user_id", "q": "c", "match": "prefix"}, ["carol"]),
        ({"order": "token"}, ["alice", "Carola", "100%_off", "bob", "carol"]),
        ({"q": "caro"}, ["Carola", "carol"]),
        ({"q": "%"}, ["100%_off"]),
        ({"q": "0%_"}, ["100%_off"]),
        ({"q": "caro", "match": "prefix"}, ["carol"]),
        ({"q": "carol", "match": "exact"}, ["carol"]),
        ({"q": "caro", "match": "exact"}, []),
        ({"ids": ("carol", "nobody", "alice", "carol")}, ["carol", "alice"]),
        ({"ids": ("carol", "alice"), "status": "online"}, ["alice"]),
        ({"status": "offline"}, ["bob"]),
        ({"reason": "KICKED_OUT"}, ["carol"]),
        ({"apps": frozenset({7})}, ["Carola"]),
        ({"apps": frozenset({7, 8, APP_ID}), "status": "online"}, ["100%_off", "Carola", "alice"]),
        ({"apps": frozenset()}, []),
        ({"apps": frozenset({7}), "q": "carol", "match": "exact"}, []),
        ({"platform": "Android"}, ["Carola"]),
        ({"sdk_version": "2.28.0"}, ["Carola"]),
        ({"app_version": "4.2"}, ["Carola"]),
        ({"changed_after_us": NOW_US - 300 * SECOND_US}, ["Carola"]),
        ({"token_ends_before_us": NOW_US + 300 * SECOND_US}, ["alice"]),
        ({"token_ends_before_us": NOW_US + 30 * SECOND_US}, []),
        ({"unconfirmed": True}, []),
        ({"disagreement": True}, []),
        ({"disagreement": False, "q": "bob"}, ["bob"]),
        ({"unconfirmed": False, "status": "online"}, ["100%_off", "Carola", "alice"]),
    ],
)
async def test_a_filter_finds_its_users_in_order(store: Store, wanted: dict[str, Any], expected: list[str]) -> None:
    assert await found(store, **wanted) == expected


@pytest.mark.parametrize("order", user_query.ORDERS)
async def test_all_pages_together_have_every_user_once(store: Store, order: user_query.Order) -> None:
    everybody = await found(store, order=order)
    seen, cursor = [], None
    while True:
        page = await store.read(
            user_list.list_users_with_clients, UserQuery(order=order, cursor=cursor, limit=2), store.now()
        )
        seen += [one.user.user_id for one in page.users]
        assert not page.ended_early
        if (cursor := page.next_cursor) is None:
            break
    assert seen == everybody


async def test_a_page_that_reaches_its_bound_ends_early_with_a_cursor(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_list, "LOOKED_AT_MOST", 2)
    for order in user_query.ORDERS:
        seen, cursor, early = [], None, 0
        for _ in range(10):
            page = await store.read(
                user_list.list_users_with_clients,
                UserQuery(order=order, sdk_version="2.28.0", cursor=cursor),
                store.now(),
            )
            seen += [one.user.user_id for one in page.users]
            early += page.ended_early
            if (cursor := page.next_cursor) is None:
                break
        assert seen == ["Carola"], order
        assert early


async def test_by_token_the_next_to_end_comes_first_and_a_token_that_ends_meanwhile_keeps_its_place(
    tmp_path: Path,
) -> None:
    now_us = NOW_US
    store = Store.open(url_of(tmp_path), clock=lambda: now_us)
    ends = {"dave": -60, "erin": -5, "carol": 90, "bob": 30, "alice": 90, "frank": None}
    phones = {user_id: Phone(user_id) for user_id in ends}
    for number, (user_id, seconds) in enumerate(ends.items()):
        until_us = None if seconds is None else NOW_US + seconds * SECOND_US
        await store.append([phones[user_id].login(number, token_expires_at_us=until_us)])
    expected = ["bob", "carol", "alice", "erin", "dave", "frank"]
    assert await found(store, order="token") == expected
    seen, cursor = [], None
    for _ in range(4):
        page = await store.read(
            user_list.list_users_with_clients, UserQuery(order="token", cursor=cursor, limit=2), store.now()
        )
        seen += [one.user.user_id for one in page.users]
        cursor = page.next_cursor
        if cursor is None:
            break
        now_us += 31 * SECOND_US  # bob's token has ended at the second page
    assert seen == expected
    # A renewed token moves its user, also one that a restart has to read from the table first.
    await store.close()
    store = Store.open(url_of(tmp_path), clock=lambda: now_us)
    await store.append([phones["bob"].login(100, token_expires_at_us=NOW_US + 600 * SECOND_US)])
    assert await found(store, order="token") == ["carol", "alice", "bob", "erin", "dave", "frank"]
    await store.close()


async def test_by_id_one_user_of_two_apps_is_two_rows_side_by_side(store: Store) -> None:
    await store.append([Phone("bob", "desk", app_id=7).says("CONNECTED", "SUCCESS", 60)])
    seen, cursor = [], None
    while True:
        page = await store.read(
            user_list.list_users_with_clients, UserQuery(order="user_id", cursor=cursor, limit=1), store.now()
        )
        seen += [(one.user.user_id, one.user.app_id) for one in page.users]
        if (cursor := page.next_cursor) is None:
            break
    apps = [("100%_off", APP_ID), ("Carola", 7), ("alice", APP_ID), ("bob", 7), ("bob", APP_ID), ("carol", APP_ID)]
    assert seen == apps


@pytest.mark.parametrize("order", user_query.ORDERS)
@pytest.mark.of_sqlite
async def test_an_order_is_that_of_an_index_and_sorts_nothing(store: Store, order: user_query.Order) -> None:
    def plans(connection: sa.Connection) -> list[str]:
        driver: Any = connection.connection.driver_connection
        executed: list[str] = []
        driver.set_trace_callback(executed.append)
        user_list.list_users_with_clients(
            connection, UserQuery(order=order), Now(LeaseTime.without_skips(NOW_US), Leases())
        )
        driver.set_trace_callback(None)
        lists = [sql for sql in executed if "FROM user_status" in sql and "ORDER BY" in sql]
        return [row[3] for sql in lists for row in driver.execute(f"EXPLAIN QUERY PLAN {sql}")]

    found_plans = await store.read(plans)
    assert found_plans
    by_index = re.compile(r"SEARCH user_status USING (COVERING )?INDEX")
    assert [plan for plan in found_plans if not by_index.match(plan)] == []


@pytest.mark.parametrize("cursor", ["'; DROP TABLE users", "[1, 2]", '["a", 1, 2]', f"[0, {10**30}, 0]", "[[]]"])
@pytest.mark.parametrize("order", user_query.ORDERS)
async def test_an_invalid_cursor_is_ignored(store: Store, order: user_query.Order, cursor: str) -> None:
    assert len(await found(store, order=order, cursor=cursor)) == 5


async def test_a_user_comes_with_what_is_known_of_the_device(store: Store) -> None:
    (carola,) = (await store.read(user_list.list_users_with_clients, UserQuery(apps=frozenset({7})), store.now())).users
    assert (carola.sdk_version, carola.app_version, carola.live_clients) == ("2.28.0", "4.2", 1)
    assert await store.read(user_list.app_ids) == [7, APP_ID]


@pytest.fixture
async def crowd(tmp_path: Path) -> AsyncIterator[Store]:
    """Three hundred users of three apps in every status, some of them silent for long, in random order."""
    chance = random.Random(5)  # noqa: S311 - the same every time
    store = Store.open(url_of(tmp_path, "crowd.db"), clock=lambda: NOW_US)
    events = []
    for number in range(300):
        phone = Phone(f"{chance.choice(('user', 'User', 'guest'))}-{number:03}", app_id=chance.choice((APP_ID, 7, 8)))
        if chance.random() < 0.3:
            events.append(phone.login(number, token_expires_at_us=NOW_US + chance.randrange(900) * SECOND_US))
        state, reason = chance.choice(
            (("CONNECTED", "SUCCESS"), ("RECONNECTING", "LOGIN_INTERRUPTED"), ("DISCONNECTED", "KICKED_OUT"))
        )
        events.append(
            phone.event(
                "connection_state_changed",
                chance.randrange(3_600),
                connection_state=state,
                connection_event=reason,
                platform=chance.choice(("Web", "Android", "Toaster")),
                sdk_version=chance.choice(("2.28.0", "2.28", "2.9")),
                app_version=chance.choice(("2.28", "4.2", None)),
            )
        )
        if chance.random() < 0.3:
            events.append(phone.event(HEARTBEAT, 30, connection_state=state))
    chance.shuffle(events)
    await store.append(events)
    await store.tend()
    yield store
    await store.close()


def fits(wanted: dict[str, Any], one: ListedUser, clients: set[tuple[str | None, str | None]]) -> bool:
    """Whether a user matches a query, by comparing every field."""
    user = one.user
    begins = wanted.get("match") == "prefix"
    q = wanted.get("q", "") if begins else wanted.get("q", "").lower()
    return (
        (user.user_id.startswith(q) if begins else q in user.user_id.lower())
        and user.app_id in wanted.get("apps", {user.app_id})
        and all(
            wanted.get(name) in {None, getattr(user, name)} for name in ("status", "reason", "platform", "unconfirmed")
        )
        and (user.since_us or 0) >= wanted.get("changed_after_us", 0)
        and (
            "token_ends_before_us" not in wanted
            or NOW_US <= (user.token_expires_at_us or 0) <= wanted["token_ends_before_us"]
        )
        and any(wanted.get("sdk_version") in {None, sdk} for sdk, _ in clients)
        and any(wanted.get("app_version") in {None, app} for _, app in clients)
    )


@pytest.mark.parametrize(("first", "most"), [(0, 10_000), (30, 10_000), (30, 0)])
async def test_every_access_path_finds_what_a_scan_finds(
    crowd: Store, monkeypatch: pytest.MonkeyPatch, first: int, most: int
) -> None:
    for name, value in (
        ("user_orders.WALKED_FIRST", first),
        ("user_orders.WALKED_FIRST_IF_SHORT", first),
        ("user_orders.FOUND_MOST", most),
        ("user_list.LOOKED_AT_MOST", 70),
    ):
        monkeypatch.setattr(f"sidecar.store.users.{name}", value)
    everybody: dict[str, list[ListedUser]] = {}
    for order in user_query.ORDERS:
        everybody[order] = await all_pages(crowd, order=order, limit=500)
    assert {len(all_of_them) for all_of_them in everybody.values()} == {300}
    clients = {
        (one.user.app_id, one.user.user_id): {(row.sdk_version, row.app_version) for row in detail.sessions}
        for one in everybody["id"]
        if (detail := await crowd.read(user_reads.user, one.user.app_id, one.user.user_id, crowd.now()))
    }
    chance = random.Random(6)  # noqa: S311 - same
    for _ in range(60):
        wanted = {
            name: chance.choice(values)
            for name, values in {
                "q": ("user", "1", "12", "ser-0", "GUEST-2", "zz"),
                "match": ("contains", "prefix"),
                "status": ("online", "offline"),
                "apps": (frozenset({7}), frozenset({7, 8}), frozenset({7, APP_ID, 9}), frozenset({9}), frozenset()),
                "reason": ("KICKED_OUT", "SUCCESS"),
                "platform": ("Web", "Toaster"),
                "unconfirmed": (True, False),
                "sdk_version": ("2.28", "2.28.0"),
                "app_version": ("2.28", "4.2"),
                "changed_after_us": (NOW_US - 1_800 * SECOND_US,),
                "token_ends_before_us": (NOW_US + 300 * SECOND_US,),
            }.items()
            if chance.random() < 0.3
        }
        order = chance.choice(user_query.ORDERS)
        by_id = wanted.get("match") == "prefix" and "q" in wanted and order in {"newest", "oldest"}
        expected = [
            one
            for one in everybody["id" if by_id else order]
            if fits(wanted, one, clients[one.user.app_id, one.user.user_id])
        ]
        assert await all_pages(crowd, **wanted, order=order, limit=chance.choice((1, 7, 50))) == expected, wanted


async def all_pages(store: Store, **wanted: Any) -> list[ListedUser]:
    users, cursor = [], None
    while True:
        page = await store.read(user_list.list_users_with_clients, UserQuery(**wanted, cursor=cursor), store.now())
        users += page.users
        if (cursor := page.next_cursor) is None:
            return users
