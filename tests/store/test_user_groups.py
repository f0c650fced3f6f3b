"""Groups of users: there are so many at most, and lists are the same however many there may be."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from sidecar.store import Store
from sidecar.store.users import user_counts, user_list, user_query, user_reads
from sidecar.store.users.user_query import UserQuery
from tests.support.events import Phone
from tests.support.stores import opened

pytestmark = pytest.mark.both_engines("soak")

PLATFORMS = ("Web", "Android", "IPhoneOS", "unheard of")
REASONS = ("SUCCESS", "LOGIN_INTERRUPTED", "KICKED_OUT", "77")
STATES = ("CONNECTED", "RECONNECTING", "DISCONNECTED")


async def filled(folder: Path) -> Store:
    """A hundred users, each of which had several platforms and reasons, so that groups became empty."""
    chance = random.Random(3)  # noqa: S311 - the same every time
    store = opened(folder)
    for at in range(4):
        phones = [Phone(f"user-{number:02}", f"phone {at}", app_id=1 + number % 3) for number in range(100)]
        await store.append(
            [
                phone.says(chance.choice(STATES), chance.choice(REASONS), at, platform=chance.choice(PLATFORMS))
                for phone in phones
            ]
        )
    return store


async def found(store: Store, **wanted: Any) -> list[tuple[int, str]]:
    users: list[tuple[int, str]] = []
    cursor = None
    while True:
        query = UserQuery(limit=9, cursor=cursor, **wanted)
        page = await store.read(user_list.list_users, query, store.now())
        users += [(one.app_id, one.user_id) for one in page.users]
        if (cursor := page.next_cursor) is None:
            return users


async def groups(store: Store) -> list[Any]:
    def read(connection: sa.Connection) -> list[Any]:
        return list(connection.exec_driver_sql("SELECT app_id, status, platform, reason, users FROM user_groups").all())

    return await store.read(read)


@pytest.mark.parametrize("most", [0, 5])
async def test_users_in_shared_groups_are_found_by_every_filter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    (tmp_path / "usual").mkdir()
    usual = await filled(tmp_path / "usual")
    monkeypatch.setattr(user_counts, "GROUPS_MOST", most)
    shared = await filled(tmp_path)
    assert sum(one.platform == user_counts.SHARED for one in await groups(usual)) == 0
    assert sum(one.platform == user_counts.SHARED for one in await groups(shared)) > 0
    queries: list[dict[str, Any]] = [{"order": order} for order in user_query.ORDERS]
    for platform in (*PLATFORMS, "*", "iPod"):
        for reason in (None, *REASONS):
            queries += [
                {"platform": platform, "reason": reason, "status": status, "apps": apps, "order": order}
                for status, apps, order in (
                    (None, None, "newest"),
                    ("online", frozenset({2}), "oldest"),
                    (None, frozenset({1, 3}), "id"),
                )
            ]
        queries += [{"platform": platform, "q": part} for part in ("user-1", "5")]
    for query in queries:
        assert await found(shared, **query) == await found(usual, **query), query
    for apps in (None, frozenset({1}), frozenset({1, 2})):
        assert await shared.read(user_reads.summary, apps) == await usual.read(user_reads.summary, apps)
    await usual.close()
    await shared.close()


async def test_there_are_so_many_groups_and_empty_ones_make_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_counts, "GROUPS_MOST", 10)
    store = opened(tmp_path)
    mallory, keys = Phone("mallory"), set[tuple[str, str]]()
    for at in range(60):
        reason = ("SUCCESS", "LOGIN_TIMEOUT", "KICKED_OUT", "TOKEN_EXPIRED")[at % 4]
        platform = ("Web", "Android", "IPhoneOS", "IPadOS", "MacOS")[at % 5]
        await store.append([mallory.says("CONNECTED", "SUCCESS", at, platform=platform)])
        await store.append([mallory.says("DISCONNECTED", reason, at, platform=platform)])
        keys.update((one.platform, one.reason) for one in await groups(store))
        found = await groups(store)
        assert len(found) <= 10
        assert [one.users for one in found if one.users] == [1]
        assert user_counts.SHARED not in {one.platform for one in found}
    assert len(keys) >= 20
    await store.append([Phone(f"user-{n}").says("CONNECTED", "SUCCESS", 0, platform=p) for n, p in enumerate("abc")])
    # Across a restart too.
    await store.close()
    store = opened(tmp_path)
    await store.append([mallory.says("CONNECTED", "SUCCESS", 99)])
    assert sum(one.users for one in await groups(store)) == 4
    await store.close()
