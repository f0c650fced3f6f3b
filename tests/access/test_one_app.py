"""A token of one app shows the figures of that app, and nothing of others or of Zimwatch itself."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest

from sidecar.alerting.receivers.webhook import WebhookSettings
from sidecar.alerting.tables import message_rows
from sidecar.settings import AlertSettings
from sidecar.store.log import log_reads
from sidecar.store.log.log_reads import NEWEST_OF_ALL
from tests.conformance.watching import eventually
from tests.support.process import free_port
from tests.support.running import Zimwatch
from tests.support.streams import streaming
from tests.support.tokens import new_token
from tests.support.wire import fresh_event

OWN, OTHER = 7, 1234567890
PAGES = ("/", "/wall", "/users", "/alerts", "/alerts?state=firing", "/rejected", "/silences", "/settings")
READS = (
    *PAGES,
    *(f"/live{page}" for page in PAGES if page not in {"/rejected", "/settings"}),
    "/users.csv",
    "/users.json",
    "/metrics",
    "/v1/users",
    "/v1/summary",
    "/v1/alerts",
    "/v1/silences",
    "/v1/watches",
    "/v1/rejected",
)
RECEIVER = "the-others-hook"
# What only another app, or the set-up, could have brought there.
FOREIGN = (
    "mallory",
    str(OTHER),
    "their rehearsal",
    "<b>Spans<",
    "<b>Receivers<",
    ">Storage<",
    "zimwatch.db",
    "not-theirs",
)


@pytest.fixture
def options() -> dict[str, Any]:
    """Alerts of both apps go to a receiver that is away."""
    alerts = AlertSettings(
        offline_too_long="0s",
        receivers=(WebhookSettings(name=RECEIVER, url=f"http://127.0.0.1:{free_port()}/hook"),),
    )
    return {"alerts": alerts}


@pytest.fixture
async def running(running: Zimwatch) -> Zimwatch:
    kick = {"state": 0, "event": 4}
    events = [
        fresh_event(app_id=OWN, user_id="alice", **kick),
        *(fresh_event(app_id=OTHER, user_id=f"mallory-{number}", **kick) for number in range(3)),
        fresh_event(app_id=OTHER, user_id="mallory", id="not-theirs"),
    ]
    assert (await running.send(events))[1]["accepted"] == 4
    silence = {"matchers": {"app_id": OTHER}, "duration": "1h", "reason": "their rehearsal"}
    async with running.http.post("/v1/silences", json=silence) as response:
        assert response.status == 201
    watch = {"app_id": OTHER, "user_id": "mallory", "duration": "1h"}
    async with running.http.post("/v1/watches", json=watch) as response:
        assert response.status == 201

    async def fails() -> bool:
        return bool(await running.store.read(message_rows.failing_receivers))

    await eventually(fails)
    return running


async def bound(running: Zimwatch, app_id: int | None = OWN) -> dict[str, str]:
    _, secret = await new_token(running.store, "write", app_id)
    return {"Authorization": f"Bearer {secret}"}


async def shown(running: Zimwatch, path: str, headers: dict[str, str]) -> str:
    if path.startswith("/live/"):
        async with streaming(running.http, path, headers) as stream:
            return unescape((await stream.next()).data)
    async with running.http.get(path, headers=headers) as response:
        assert response.status == 200, path
        return unescape(await response.text())


async def test_no_page_or_call_reveals_another_app_or_the_set_up(running: Zimwatch) -> None:
    own, everybodys = await bound(running), await bound(running, None)
    for path in READS:
        text = await shown(running, path, own)
        assert [word for word in (*FOREIGN, RECEIVER) if word in text] == [], path
        if path not in {"/metrics", "/v1/summary"}:
            text = await shown(running, path, everybodys)
            assert any(word in text for word in FOREIGN), path


async def test_figures_are_of_the_one_app(running: Zimwatch) -> None:
    headers = await bound(running)
    _, summary = await running.get("/v1/summary", **headers)
    assert (summary["not_logged_in"], summary["alerts"]) == (1, {"kicked_out": 1})
    async with running.http.get("/metrics", headers=headers) as response:
        lines = (await response.text()).splitlines()
    assert {line.split("{")[0] for line in lines if not line.startswith("#")} == {"zimwatch_users", "zimwatch_alerts"}
    assert 'zimwatch_users{status="not_logged_in"} 1.0' in lines
    assert 'zimwatch_alerts{kind="kicked_out"} 1.0' in lines
    async with running.http.get("/metrics", headers=await bound(running, None)) as response:
        body = await response.text()
    assert re.search(r'zimwatch_users\{.*status="not_logged_in"\} 4.0', body)
    assert "zimwatch_alert_backlog" in body


async def test_an_alert_of_the_app_shows_its_notifications_and_no_state_of_channels(running: Zimwatch) -> None:
    headers = await bound(running)
    _, listed = await running.get("/v1/alerts", **headers)
    (alert,) = listed["alerts"]
    _, body = await running.get(f"/v1/alerts/{alert['id']}", **headers)
    (notification,) = body["notifications"]
    message = notification["message"]
    assert notification["receiver"] == RECEIVER
    assert (message["summary"], message["alerts"], message["error"], message["proof"]) == ("", 1, None, None)
    _, all_told = await running.get(f"/v1/alerts/{alert['id']}", **await bound(running, None))
    assert all_told["notifications"][0]["message"]["error"]
    for path in (f"/alerts/{alert['id']}", f"/users/{OWN}/alice"):
        async with running.http.get(path, headers=headers) as response:
            text = unescape(await response.text())
        assert [word for word in FOREIGN if word in text] == []
        assert "no connection" not in text


async def test_the_newest_event_is_the_apps_own_and_is_looked_for_among_so_many(running: Zimwatch) -> None:
    newest = await running.store.read(log_reads.newest_event, frozenset({OWN}))
    assert newest is not None
    assert newest.event.user_id == "alice"
    headers = await bound(running)
    async with running.http.get("/", headers=headers) as response:
        assert "newest" in await response.text()
    _, ingest = await new_token(running.store, "ingest", OTHER)
    events = [fresh_event(app_id=OTHER, user_id="mallory") for _ in range(NEWEST_OF_ALL)]
    assert (await running.send(events, Authorization=f"Bearer {ingest}"))[0] == 200
    assert await running.store.read(log_reads.newest_event, frozenset({OWN})) is None
    async with running.http.get("/", headers=headers) as response:
        assert "None lately." in await response.text()


async def test_calls_about_all_apps_or_another_are_refused(running: Zimwatch) -> None:
    headers = await bound(running)
    for path in ("/alerts/undelivered", "/live/alerts/undelivered", f"/users/{OTHER}/mallory-1"):
        async with running.http.get(path, headers=headers) as response:
            assert response.status == 403, path
