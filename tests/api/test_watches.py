"""Watches of users: the API, the pages and the chat."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from sidecar.alerting.receivers.webhook import WebhookSettings
from sidecar.alerting.tables import user_watch_rows
from sidecar.settings import AlertSettings
from tests.support.called import SECRET
from tests.support.events import APP_ID, incompressible
from tests.support.running import Zimwatch, zimwatch
from tests.support.tokens import new_token
from tests.support.wire import fresh_event

TOO_LARGE = "invalid request body: Expected `int` <= 9223372036854775807 - at `$.app_id`"
ALICE = {"app_id": APP_ID, "user_id": "alice"}
PAGE = f"/users/{APP_ID}/alice"


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Zimwatch]:
    ops = WebhookSettings(name="ops", url="http://127.0.0.1:9/hook", secret=SECRET)
    async with zimwatch(tmp_path, alerts=AlertSettings(receivers=(ops,))) as made:
        await made.send([fresh_event(user_id="alice")])
        yield made


async def post(running: Zimwatch, path: str, body: dict[str, Any], **headers: str) -> tuple[int, Any]:
    async with running.http.post(path, json=body, headers=headers) as answer:
        return answer.status, await answer.json()


async def form(running: Zimwatch, path: str, fields: dict[str, str]) -> tuple[int, str]:
    page = await text(running, PAGE)
    token = page.split('name="form_token" value="')[1].split('"')[0]
    given = fields | {"form_token": token}
    async with running.http.post(path, data=given, headers={"Origin": running.url}) as answer:
        return answer.status, unescape(await answer.text())


async def text(running: Zimwatch, path: str) -> str:
    async with running.http.get(path) as answer:
        return " ".join(unescape(await answer.text()).split())


async def test_a_watch_is_made_listed_and_ended(running: Zimwatch) -> None:
    status, made = await post(running, "/v1/watches", ALICE | {"duration": "24h", "receiver": "ops", "author": "dana"})
    assert status == 201
    assert {name: made[name] for name in ("id", "app_id", "user_id", "author", "receiver")} == {
        "id": 1, "app_id": APP_ID, "user_id": "alice", "author": "dana", "receiver": "ops"
    }  # fmt: skip
    ends, begun = (datetime.fromisoformat(made[name]) for name in ("ends_at", "created_at"))
    assert ends - begun == timedelta(hours=24)
    assert (await running.get("/v1/watches"))[1] == {"watches": [made]}
    again = (await post(running, "/v1/watches", ALICE | {"duration": "1h", "author": "dana"}))[1]
    assert (await running.get("/v1/watches"))[1] == {"watches": [again]}, "one of a user and a person"
    for status in (204, 404):
        async with running.http.delete(f"/v1/watches/{again['id']}") as answer:
            assert answer.status == status
    assert (await running.get("/v1/watches"))[1] == {"watches": []}


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (ALICE, "ends_at or duration is missing: a watch has an end"),
        (ALICE | {"duration": "soon"}, "duration: 'soon' is not a duration such as 45s, 15m, 24h or 90d"),
        (ALICE | {"duration": "31d"}, "a watch ends within 30 days"),
        (ALICE | {"ends_at": "2020-01-01T00:00:00Z"}, "the watch would have ended already"),
        (ALICE | {"ends_at": "2036-01-01T00:00:00"}, "ends_at needs an offset from UTC, such as 2026-11-24T12:00:00Z"),
        (ALICE | {"user_id": "", "duration": "1h"}, "user_id is empty: a watch is of one user"),
        (ALICE | {"duration": "1h", "receiver": "nobody"}, "receiver 'nobody' is unknown; it is one of: ops"),
        (
            ALICE | {"duration": "1h", "app_id": 2**63},
            TOO_LARGE,
        ),
        (ALICE | {"duration": "1h", "until": "1h"}, "invalid request body: Object contains unknown field `until`"),
        ({"user_id": "alice", "duration": "1h"}, "invalid request body: Object missing required field `app_id`"),
    ],
)
async def test_what_is_wrong_with_a_watch_is_named(running: Zimwatch, body: dict[str, Any], detail: str) -> None:
    status, problem = await post(running, "/v1/watches", body)
    assert (status, problem["detail"]) == (400, detail)


@pytest.mark.both_engines
async def test_a_watch_of_a_user_whose_id_is_too_long_for_an_index_is_refused(running: Zimwatch) -> None:
    wanted = {"app_id": APP_ID, "duration": "1h", "author": "dana"}
    assert (await post(running, "/v1/watches", wanted | {"user_id": incompressible(2_048)}))[0] == 201
    for user_id in (incompressible(2_560), "\0" * 1_300, "é" * 1_300, incompressible(10_000)):
        status, problem = await post(running, "/v1/watches", wanted | {"user_id": user_id})
        assert (status, "user_id" in problem["detail"]) == (400, True)
    assert len((await running.get("/v1/watches"))[1]["watches"]) == 1


async def test_an_end_may_be_a_moment(running: Zimwatch) -> None:
    ends = (datetime.now(UTC) + timedelta(days=2)).isoformat(timespec="milliseconds")
    status, made = await post(running, "/v1/watches", ALICE | {"ends_at": ends})
    assert (status, datetime.fromisoformat(made["ends_at"])) == (201, datetime.fromisoformat(ends))


async def test_too_many_are_refused(running: Zimwatch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_watch_rows, "MOST_OF_AN_APP", 1)
    assert (await post(running, "/v1/watches", ALICE | {"duration": "1h"}))[0] == 201
    status, problem = await post(running, "/v1/watches", ALICE | {"duration": "1h", "user_id": "bob"})
    assert (status, problem["detail"][:59]) == (400, "too many users are watched: 1 of an app, 500 together. End ")
    status, page = await form(running, "/watches", {"app_id": str(APP_ID), "user_id": "bob", "duration": "1h"})
    assert (status, "too many users are watched" in page) == (400, True)


async def test_a_token_of_one_app_watches_users_of_that_and_no_receiver(running: Zimwatch) -> None:
    _, other = await new_token(running.store, "write", APP_ID + 1)
    _, own = await new_token(running.store, "write", APP_ID)
    _, read = await new_token(running.store, "read", APP_ID)
    bearer = {name: {"Authorization": f"Bearer {secret}"} for name, secret in
              (("own", own), ("other", other), ("read", read))}  # fmt: skip
    wanted = ALICE | {"duration": "1h"}
    assert (await post(running, "/v1/watches", wanted, **bearer["read"]))[0] == 403
    status, problem = await post(running, "/v1/watches", wanted, **bearer["other"])
    assert (status, problem["detail"]) == (400, f"app_id {APP_ID} is not one of your apps: {APP_ID + 1}")
    status, problem = await post(running, "/v1/watches", wanted | {"receiver": "ops"}, **bearer["own"])
    assert (status, problem["detail"].split(":")[0], "ops" in problem["detail"]) == (400, "receiver", False)
    status, made = await post(running, "/v1/watches", wanted, **bearer["own"])
    assert status == 201
    for name, status in (("other", 404), ("read", 403), ("own", 204)):
        async with running.http.delete(f"/v1/watches/{made['id']}", headers=bearer[name]) as answer:
            assert answer.status == status


async def test_the_page_of_a_user_begins_shows_and_ends_a_watch(running: Zimwatch) -> None:
    page = await text(running, PAGE)
    assert re.search(r'<option value="">As alerts are routed</option> <option>ops</option>', page)
    fields = {"app_id": str(APP_ID), "user_id": "alice", "duration": "7d", "receiver": "ops"}
    status, page = await form(running, "/watches", fields)
    assert (status, page.count("Watched by")) == (200, 2), "above, and beside the button that ends it"
    alerts = await text(running, "/alerts")
    assert re.search(rf'<h2 id="watches-title">Watched users</h2>.*<a href="{PAGE}#watch"><bdi>alice</bdi></a>', alerts)
    (watch,) = (await running.get("/v1/watches"))[1]["watches"]
    assert (watch["author"], watch["receiver"]) == ("local", "ops")
    status, page = await form(running, f"/watches/{watch['id']}/end", {})
    assert (status, "Watched by" in page) == (200, False)
    assert "Watched users" not in await text(running, "/alerts")


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"app_id": "x", "user_id": "alice", "duration": "1h"}, 404),
        ({"app_id": str(APP_ID), "user_id": "alice", "duration": "never"}, 400),
        ({"app_id": str(APP_ID), "user_id": "", "duration": "1h"}, 400),
    ],
)
async def test_a_form_that_was_tampered_with_is_refused(running: Zimwatch, fields: dict[str, str], status: int) -> None:
    assert (await form(running, "/watches", fields))[0] == status
    assert (await running.get("/v1/watches"))[1] == {"watches": []}


async def test_the_past_has_no_form_to_watch(running: Zimwatch) -> None:
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    assert 'id="watch"' not in await text(running, f"{PAGE}?as_of={now}")


async def test_a_chat_watches_and_ends_it(running: Zimwatch) -> None:
    _, said = await post(running, "/v1/chatops", {"text": "watch alice 24H", "user": "dana"})
    assert said["text"].startswith("alice is watched until ")
    (watch,) = (await running.get("/v1/watches"))[1]["watches"]
    assert (watch["user_id"], watch["author"], watch["receiver"]) == ("alice", "dana", None)
    _, said = await post(running, "/v1/chatops", {"text": "unwatch alice"})
    assert said["text"] == "alice is not watched any more."
    assert (await running.get("/v1/watches"))[1] == {"watches": []}
