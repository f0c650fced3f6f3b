"""The apps whose events are accepted: those of settings and tokens, and the first hundred others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sidecar.ingest.apps import LEARNED_MOST
from sidecar.settings import ZegoSettings
from sidecar.store.log import rejected_events
from sidecar.store.users import (
    as_of,
    user_list,
    user_query,
    users_by_id,
)
from sidecar.store.users.user_query import UserQuery
from tests.support.events import BEGIN_US, Phone
from tests.support.running import Zimwatch, zimwatch
from tests.support.tokens import new_token
from tests.support.wire import wire_event


def of_apps(*app_ids: int, user_id: str = "alice") -> list[dict[str, Any]]:
    return [wire_event(seq=app_id, app_id=app_id, user_id=user_id) for app_id in app_ids]


async def sent(running: Zimwatch, events: list[dict[str, Any]], token: str | None = None, query: str = "") -> Any:
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    async with running.http.post(f"/v1/events{query}", json=events, headers=headers) as response:
        assert response.status == 200
        return await response.json()


@pytest.mark.parametrize("by_token", [False, True])
async def test_the_first_hundred_apps_are_learned_and_events_of_more_are_rejected_by_name(
    tmp_path: Path, *, by_token: bool
) -> None:
    async with zimwatch(tmp_path) as running:
        token = (await new_token(running.store, "ingest"))[1] if by_token else None
        answer = await sent(running, of_apps(*range(1, LEARNED_MOST + 41)), token)
        assert answer["accepted"] == LEARNED_MOST
        assert [one["index"] for one in answer["rejected"]] == list(range(LEARNED_MOST, LEARNED_MOST + 40))
        assert "app_id 101 is new" in answer["rejected"][0]["error"]
        assert "ingest.apps" in answer["rejected"][0]["error"]
        # Neighbours of known apps are not held up, and what was rejected is kept for inspection.
        answer = await sent(running, of_apps(7, 9_000, user_id="bob"), token)
        assert (answer["accepted"], [one["index"] for one in answer["rejected"]]) == (1, [1])
        assert '"app_id":9000' in (await running.store.read(rejected_events.newest, 1))[0].body.replace(" ", "")
        assert await running.store.read(user_list.app_ids) == list(range(1, LEARNED_MOST + 1))
    # Across a restart, too.
    async with zimwatch(tmp_path) as running:
        answer = await sent(running, of_apps(3, 9_000, user_id="carol"), token)
        assert answer["accepted"] == 1


async def test_with_a_list_of_apps_only_those_and_the_apps_of_tokens_and_secrets_are_accepted(tmp_path: Path) -> None:
    zego = ZegoSettings(callback_secrets=("5:secret",))
    async with zimwatch(tmp_path, zego=zego, apps=(1, 2)) as running:
        assert (await sent(running, of_apps(1, 2, 3, 4, 5)))["accepted"] == 3
        _, bound = await new_token(running.store, "ingest", 4)
        _, free = await new_token(running.store, "ingest")
        answer = await sent(running, of_apps(1, 3, 4, user_id="bob"), free)
        assert answer["accepted"] == 2
        assert answer["rejected"][0]["error"] == "app_id 3 is not one of the apps of this server; add it to ingest.apps"
        assert (await sent(running, of_apps(4, user_id="carol"), bound))["accepted"] == 1


async def test_apps_of_tokens_and_settings_do_not_count_as_learned(tmp_path: Path) -> None:
    async with zimwatch(tmp_path) as running:
        tokens = [await new_token(running.store, "ingest", app_id) for app_id in range(1, 31)]
        _, free = await new_token(running.store, "ingest")
        for app_id, (_, bound) in enumerate(tokens, 1):
            await sent(running, of_apps(app_id), bound)
        answer = await sent(running, of_apps(*range(1, LEARNED_MOST + 50), user_id="bob"), free)
        assert answer["accepted"] == LEARNED_MOST + 30


async def test_a_dry_run_answers_the_same_and_learns_nothing(tmp_path: Path) -> None:
    async with zimwatch(tmp_path) as running:
        many = of_apps(*range(1, LEARNED_MOST + 3))
        dry = await sent(running, many, query="?dry_run=1")
        assert dry["accepted"] == LEARNED_MOST
        assert (await sent(running, of_apps(5_000)))["accepted"] == 1
        assert (await sent(running, many))["accepted"] == LEARNED_MOST - 1


async def test_an_id_that_many_apps_have_fills_one_page_and_goes_on_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(users_by_id, "LOOKED_UP_MOST", 250)
    async with zimwatch(tmp_path) as running:
        store = running.store
        await store.append([Phone("alice", app_id=app).says("CONNECTED", "SUCCESS", at=0) for app in range(1, 101)])
        await store.append([Phone("bob", app_id=50).says("CONNECTED", "SUCCESS", at=0)])
        page = await store.read(user_list.list_users_with_clients, UserQuery(q="alice", match="exact"), store.now())
        assert len(page.users) == 50
        seen: list[tuple[str, int]] = []
        unseen: list[str] = []
        cursor = None
        for _ in range(200):
            page = await store.read(
                user_list.list_users_with_clients,
                UserQuery(ids=("zoe", "bob", "alice", "bob", "nobody"), cursor=cursor, limit=30),
                store.now(),
            )
            assert len(page.users) <= 30
            seen += [(one.user.user_id, one.user.app_id) for one in page.users]
            unseen += page.unknown_ids
            if (cursor := page.next_cursor) is None:
                break
        assert seen == [("bob", 50), *(("alice", app) for app in range(1, 101))]
        assert unseen == ["zoe", "nobody"]
        then, cursor = [], None
        monkeypatch.setattr("sidecar.store.users.as_of.LOOKED_AT_MOST", 40)
        for _ in range(200):
            page = await store.read(
                as_of.users_as_of, UserQuery(ids=("zoe", "alice"), cursor=cursor, limit=30), BEGIN_US, store.now()
            )
            then += [one.user.app_id for one in page.users]
            if (cursor := page.next_cursor) is None:
                break
        assert then == list(range(1, 101))


@pytest.mark.parametrize("order", user_query.ORDERS)
async def test_pages_over_many_groups_give_everybody_once(tmp_path: Path, order: user_query.Order) -> None:
    async with zimwatch(tmp_path) as running:
        store = running.store
        await store.append(
            [
                Phone(f"user-{app % 7}-{name}", app_id=app).says("CONNECTED", "SUCCESS", at=0, platform=name)
                for app in range(1, 31)
                for name in ("Web", "Android", "iPod")
            ]
        )
        for wanted, expected in (
            ({}, 90),
            ({"platform": "Web"}, 30),
            ({"platform": "iPod"}, 30),
            ({"apps": frozenset({4})}, 3),
            ({"apps": frozenset({4, 9, 77})}, 6),
        ):
            found, cursor = [], None
            for _ in range(200):
                page = await store.read(
                    user_list.list_users_with_clients,
                    UserQuery(order=order, cursor=cursor, limit=7, **wanted),
                    store.now(),
                )
                found += [one.user for one in page.users]
                if (cursor := page.next_cursor) is None:
                    break
            assert len({(one.app_id, one.user_id) for one in found}) == len(found) == expected
            positions = [one.position for one in found]
            if order in {"newest", "oldest"}:
                assert positions == sorted(positions, reverse=order == "newest")
            if order == "user_id":
                assert found == sorted(found, key=lambda one: (one.user_id, one.app_id))
        assert len((await store.read(user_list.list_users, UserQuery(limit=1), store.now())).users) == 1
