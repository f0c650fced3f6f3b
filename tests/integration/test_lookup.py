"""Finding users: every filter, every order, page after page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sidecar.store import Store, lookup
from sidecar.store.lookup import Search
from tests.support.events import APP_ID, BEGIN_US, SECOND_US, Phone

NOW_US = BEGIN_US + 3_600 * SECOND_US


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = Store.open(f"sqlite:///{tmp_path / 'zimwatch.db'}", clock=lambda: NOW_US)
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
    return [one.user.user_id for one in (await store.search(Search(**wanted))).users]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, ["100%_off", "Carola", "carol", "bob", "alice"]),
        ({"order": "oldest"}, ["alice", "bob", "carol", "Carola", "100%_off"]),
        ({"order": "id"}, ["Carola", "100%_off", "alice", "bob", "carol"]),
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
        ({"app_id": 7}, ["Carola"]),
        ({"app_id": 7, "q": "carol", "match": "exact"}, []),
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
async def test_a_filter_finds_who_fits_in_order(store: Store, wanted: dict[str, Any], expected: list[str]) -> None:
    assert await found(store, **wanted) == expected


@pytest.mark.parametrize("order", lookup.ORDERS)
async def test_page_after_page_gives_everybody_once(store: Store, order: lookup.Order) -> None:
    everybody = await found(store, order=order)
    seen, cursor = [], None
    while True:
        page = await store.search(Search(order=order, cursor=cursor, limit=2))
        seen += [one.user.user_id for one in page.users]
        assert not page.ended_early
        if (cursor := page.next_cursor) is None:
            break
    assert seen == everybody


async def test_a_page_that_has_looked_at_enough_ends_early_and_says_where_to_go_on(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookup, "LOOKED_AT_MOST", 2)
    for order in lookup.ORDERS:
        seen, cursor, early = [], None, 0
        for _ in range(10):
            page = await store.search(Search(order=order, sdk_version="2.28.0", cursor=cursor))
            seen += [one.user.user_id for one in page.users]
            early += page.ended_early
            if (cursor := page.next_cursor) is None:
                break
        assert seen == ["Carola"], order
        assert early


async def test_a_cursor_that_is_none_of_ours_is_passed_over(store: Store) -> None:
    assert len(await found(store, cursor="'; DROP TABLE users")) == 5


async def test_a_user_comes_with_what_is_known_of_the_device(store: Store) -> None:
    (carola,) = (await store.search(Search(app_id=7))).users
    assert (carola.sdk_version, carola.app_version, carola.live_clients) == ("2.28.0", "4.2", 1)
    assert await store.app_ids() == [7, APP_ID]
