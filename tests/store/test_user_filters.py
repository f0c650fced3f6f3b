"""The filters of the user list, and searches by a part of an id."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.store import (
    Store,
)
from sidecar.store.database import folded
from sidecar.store.sqlite import search
from sidecar.store.users import (
    user_list,
    user_orders,
    user_reads,
)
from sidecar.store.users.user_query import UserQuery
from tests.support.events import APP_ID, Phone


async def test_users_are_found_by_each_filter_newest_change_first(store: Store) -> None:
    alice, bob, carol = Phone("alice"), Phone("bob"), Phone("ca%rol", app_id=7)
    await store.append([alice.says("CONNECTED", "SUCCESS", at=0)])
    await store.append([bob.says("RECONNECTING", "LOGIN_INTERRUPTED", at=1)])
    await store.append([carol.says("DISCONNECTED", "KICKED_OUT", at=2)])

    async def names(**wanted: Any) -> list[str]:
        return [
            user.user_id for user in (await store.read(user_list.list_users, UserQuery(**wanted), store.now())).users
        ]

    assert await names() == ["ca%rol", "bob", "alice"]
    assert await names(status="offline") == ["bob"]
    assert await names(reason="KICKED_OUT") == ["ca%rol"]
    assert await names(apps=frozenset({APP_ID})) == ["bob", "alice"]
    assert await names(q="%") == ["ca%rol"]
    assert await names(platform="Android") == []
    assert await names(q="ALI") == ["alice"]
    assert await names(q="ob") == ["bob"]
    assert await names(q="o") == ["ca%rol", "bob"]
    assert await names(q="olx") == []
    page = await store.read(user_list.list_users, UserQuery(limit=2), store.now())
    assert [user.user_id for user in page.users] == ["ca%rol", "bob"]
    assert await names(cursor=page.next_cursor) == ["alice"]
    summary = await store.read(user_reads.summary)
    assert (summary.online, summary.offline, summary.not_logged_in) == (1, 1, 1)
    assert (await store.read(user_reads.summary, frozenset({7}))).not_logged_in == 1
    assert [user.user_id for user in await store.read(user_reads.users_changed_since, 1, 10, store.now())] == [
        "bob",
        "ca%rol",
    ]


@pytest.mark.parametrize(("at_first", "most"), [(0, 10_000), (2, 10_000), (2, 0), (0, 0)])
async def test_a_search_finds_the_same_by_the_newest_changes_and_by_the_index(
    store: Store, monkeypatch: pytest.MonkeyPatch, at_first: int, most: int
) -> None:
    monkeypatch.setattr(user_orders, "WALKED_FIRST", at_first)
    monkeypatch.setattr(user_orders, "WALKED_FIRST_IF_SHORT", at_first)
    monkeypatch.setattr(user_orders, "FOUND_MOST", most)
    ids = [
        "ab",
        "a",
        "Abba",
        "b-a",
        "断线",
        "线",
        "x" * 300 + "ab",
        "🙂ab",
        "a%b",
        "\x00ab",
        "user-17",
        "USER-170",
        "é",
    ]
    for at, user_id in enumerate(ids):
        await store.append([Phone(user_id).says("CONNECTED", "SUCCESS", at=at)])
    for q in ["a", "ab", "B", "线", "断", "bba", "user-17", "7", "-", "🙂a", "%", "\x00", "xab", "zz", "É", "17"]:
        expected = [one for one in reversed(ids) if folded(q) in folded(one)]
        assert [
            user.user_id for user in (await store.read(user_list.list_users, UserQuery(q=q), store.now())).users
        ] == expected, q
        first = await store.read(user_list.list_users, UserQuery(q=q, limit=1), store.now())
        assert [user.user_id for user in first.users] == expected[:1]
        if first.next_cursor is not None:
            rest = await store.read(user_list.list_users, UserQuery(q=q, cursor=first.next_cursor), store.now())
            assert [user.user_id for user in rest.users] == expected[1:]


@pytest.mark.of_sqlite
async def test_the_index_of_ids_has_few_false_matches(store: Store) -> None:
    ids = [f"user-{number:05}" for number in range(3_000)]
    await store.append([Phone(user_id).says("CONNECTED", "SUCCESS", at=0) for user_id in ids])
    for q in ("user-0123", "er-012", "01234", "2345", "user-02"):
        have = sum(q in user_id for user_id in ids)
        named = await store.read(lambda connection, q: len(search.candidates(connection, q, 10_000)), q)
        assert have <= named <= 1.1 * have + 2, q
