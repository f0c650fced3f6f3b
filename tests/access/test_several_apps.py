"""Who is limited to several apps sees these together, and nothing of others."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from sidecar.access.policy import Role
from sidecar.access.principal import Principal
from sidecar.store.users import user_list
from sidecar.store.users.user_query import UserQuery
from sidecar.web import changes
from tests.support.events import Phone
from tests.support.running import Zimwatch
from tests.support.streams import streaming
from tests.support.tokens import new_token
from tests.support.wire import fresh_event

APPS = {7: "alice", 8: "bob", 9: "mallory"}
OWN = frozenset({7, 8})


@pytest.fixture
async def running(running: Zimwatch) -> Zimwatch:
    await running.send([fresh_event(app_id=app, user_id=user, state=0, event=4) for app, user in APPS.items()])
    return running


async def token(running: Zimwatch, scope: str = "write", apps: frozenset[int] = OWN) -> dict[str, str]:
    _, secret = await new_token(running.store, scope, apps=apps)
    return {"Authorization": f"Bearer {secret}"}


async def test_lists_counts_and_pages_are_of_these_apps_together(running: Zimwatch) -> None:
    headers = await token(running)
    _, users = await running.get("/v1/users", **headers)
    assert {one["user_id"] for one in users["users"]} == {"alice", "bob"}
    assert users["total"]["users"] == 2
    _, one = await running.get("/v1/users?app_id=8", **headers)
    assert [user["user_id"] for user in one["users"]] == ["bob"]
    _, happened = await running.get("/v1/users?happened=kicked_out&within=1h", **headers)
    assert happened["total"]["users"] == 2
    assert (await running.get("/v1/summary", **headers))[1]["alerts"] == {"kicked_out": 2}
    assert len((await running.get("/v1/alerts", **headers))[1]["alerts"]) == 2
    status, refused = await running.get("/v1/users?app_id=9", **headers)
    assert (status, refused["detail"]) == (403, "your access is limited to these apps: 7, 8")
    for path in ("/", "/users", "/alerts", "/users.json"):
        async with running.http.get(path, headers=headers) as response:
            text = await response.text()
        assert [name for name in APPS.values() if name in text] == ["alice", "bob"], path


async def test_a_silence_hides_only_what_is_of_ones_own_apps(running: Zimwatch) -> None:
    headers = await token(running)
    wanted = {"matchers": {"kind": "kicked_out"}, "duration": "1h", "reason": "planned"}
    async with running.http.post("/v1/silences", json=wanted, headers=headers) as response:
        made = await response.json()
    assert made["matchers"]["app_id"] == ["7", "8"]
    assert {alert["user_id"] for alert in made["hides"]} == {"alice", "bob"}
    of_less, of_more = await token(running, apps=frozenset({7})), await token(running, apps=OWN | {9})
    assert (await running.get("/v1/silences", **of_less))[1]["silences"] == []
    async with running.http.delete(f"/v1/silences/{made['id']}", headers=of_less) as response:
        assert response.status == 404
    async with running.http.delete(f"/v1/silences/{made['id']}", headers=of_more) as response:
        assert response.status == 204


async def test_a_token_sends_events_of_each_of_its_apps_and_of_no_other(running: Zimwatch) -> None:
    ingest = await token(running, "ingest")
    status, body = await running.send([fresh_event(app_id=app) for app in OWN], **ingest)
    assert (status, body["accepted"]) == (200, 2)
    status, body = await running.send([fresh_event(app_id=7), fresh_event(app_id=9)], **ingest)
    assert status == 403
    _, body = await running.send([fresh_event(app_id=8, type="none"), fresh_event(app_id=9, type="none")], **ingest)
    assert len(body["rejected"]) == 2
    _, seen = await running.get("/v1/rejected", **await token(running, "read", frozenset({8})))
    assert len(seen["rejected"]) == 1
    assert (await running.get("/v1/rejected", **await token(running, "read", frozenset({9}))))[1]["rejected"] == []


async def test_a_stream_has_what_changes_in_each_of_the_apps(running: Zimwatch) -> None:
    headers = await token(running, "read")
    ingest = await token(running, "ingest", frozenset(APPS))
    async with streaming(running.http, "/v1/stream", headers) as opened:
        await opened.next()
        await running.send([fresh_event(app_id=app, user_id=f"new {app}") for app in (9, 8, 7)], **ingest)
        first, second = await opened.next(), await opened.next()
        assert {msgspec.json.decode(one.data)["user_id"] for one in (first, second)} == {"new 7", "new 8"}
        assert "online" in msgspec.json.decode((await opened.next()).data)


async def test_a_page_of_few_apps_reads_no_rows_of_the_many_others(running: Zimwatch) -> None:
    """Users of the apps are the oldest among thousands."""
    store = running.store
    await store.append(
        [Phone(f"user-{number}", app_id=9).says("CONNECTED", "SUCCESS", at=0) for number in range(3_000)]
    )

    def read(connection: sa.Connection) -> tuple[list[str], int]:
        steps = 0

        def count() -> int:
            nonlocal steps
            steps += 1
            return 0

        driver = connection.connection.driver_connection
        assert driver is not None
        driver.set_progress_handler(count, 100)
        page = user_list.list_users(connection, UserQuery(apps=OWN), store.now())
        driver.set_progress_handler(None, 0)
        return sorted(user.user_id for user in page.users), steps * 100

    users, steps = await store.read(read)
    assert users == ["alice", "bob"]
    assert steps < 3_000


@pytest.mark.parametrize("path", ["/v1/stream", "/live/users"])
async def test_a_stream_ends_when_its_reader_has_other_apps_or_another_role(
    running: Zimwatch, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(changes, "KEEP_ALIVE_S", 0.05)
    of_token = Principal.of_token
    changes_of: list[dict[str, Any]] = [{"apps": frozenset({7})}, {"role": Role.OPERATOR}]
    for changed in changes_of:
        monkeypatch.setattr(Principal, "of_token", of_token)
        async with streaming(running.http, path, await token(running)) as opened:
            await opened.next()

            def other(*args: Any, **options: Any) -> Principal:
                return msgspec.structs.replace(of_token(*args, **options), **changed)  # noqa: B023 - of this turn

            monkeypatch.setattr(Principal, "of_token", other)
            assert "hat you may see and do was changed" in (await opened.next_with("reason")).data
