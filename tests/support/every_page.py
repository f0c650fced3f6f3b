"""Requests every page and API call, with every filter, and every action of people and programs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp

from sidecar.alerting.receivers.webhook import WebhookSettings
from sidecar.alerting.tables import alert_log
from sidecar.settings import AlertSettings, ZegoSettings
from sidecar.store import Store
from sidecar.store.access import tokens
from sidecar.store.users import user_reads
from tests.support.called import SECRET, Called, listening
from tests.support.clocks import Machine
from tests.support.events import APP_ID
from tests.support.running import Zimwatch, zimwatch
from tests.support.tokens import new_token, revoke
from tests.support.wire import wire_event
from tests.support.zego import SECRET as ZEGO_SECRET
from tests.support.zego import user_action

ALICE = f"/users/{APP_ID}/alice"
CAROL = "0d1c3c5e-2b58-4d39-9d51-0d4e1f6b7a10"
PAGES = (
    "/",
    "/wall",
    "/users",
    "/users?q=al",
    "/users?q=alice",
    "/users?q=al&match=prefix",
    "/users?q=alice&match=exact",
    "/users?order=id",
    "/users?order=user_id",
    "/users?order=user_id&q=a",
    "/users?order=oldest",
    "/users?order=token",
    "/users?order=token&q=al&match=prefix",
    "/users?reason=NO_SUCH&platform=NO_SUCH&status=online&unconfirmed=false",
    "/users?sdk_version=2.28.0&app_version=1&order=id",
    "/users?changed=1h&token=1h",
    "/users?order=token&token=1h",
    "/users?disagreement=true",
    f"/users?app_id={APP_ID}&order=user_id&as_of=2026-11-23T14:03:30Z",
    "/users?happened=kicked_out&within=1h&platform=Web&sdk=1&version=1",
    f"/users?happened=kicked_out&from=2026-11-23T14:03:30Z&until=2026-11-24T14:03:30Z&app_id={APP_ID}",
    "/users?happened=kicked_out&ids=alice",
    "/users.csv",
    ALICE,
    f"{ALICE}?hand_off=1h",
    f"{ALICE}?as_of=2026-11-23T14:03:30Z",
    f"/users/{APP_ID}/nobody",
    "/alerts",
    "/alerts?state=firing",
    "/alerts?state=pending",
    f"/alerts?state=pending&cursor=1&app_id={APP_ID}&user_id=alice",
    "/alerts?state=acknowledged&kind=kicked_out",
    "/alerts/1",
    "/alerts/undelivered",
    "/alerts/several?kind=kicked_out",
    "/silences",
    "/rejected",
    "/findings",
    "/settings",
    "/token",
    "/v1/users?limit=1",
    f"/v1{ALICE}",
    f"/v1{ALICE}/events",
    "/v1/summary",
    "/v1/rejected",
    "/v1/alerts",
    f"/v1/alerts?state=pending&app_id={APP_ID}",
    "/v1/alerts/1",
    "/v1/alerts/undelivered",
    "/v1/silences",
    "/v1/watches",
    "/readyz",
    "/metrics",
)


async def every_page(folder: Path) -> None:
    """On a server of its own, with its database in this folder."""
    machine = Machine()
    async with listening(Called()) as hook:
        hook.refusing(410, 1)
        alerts = AlertSettings(receivers=(WebhookSettings(name="ops", url=f"{hook.url}/hook", secret=SECRET),))
        zego = ZegoSettings(callback_secrets=(f"{APP_ID}:{ZEGO_SECRET}",))
        async with zimwatch(folder, alerts=alerts, zego=zego, machine=machine) as running:
            await running.send([wire_event(), wire_event(user_id="bob", seq=2, state=7)])
            again = user_action(1, at=9)
            await _called(running, user_action(0), again, again)
            machine.passes(260)
            await running.send([wire_event(user_id="carol", client_id=CAROL, state=0, event=4)])
            await _dead_letter(running, machine)
            await _looked_at(running)
            machine.passes(200)
            await _looked_at(running)
            await _done_to_alerts(running)
            await _asked_by_a_stream(running.store)
            await running.store.rebuild()
            machine.is_set_by(3_600)
            await running.store.notice_clock()
            await _signed_in(running, machine)


async def _called(running: Zimwatch, *callbacks: dict[str, Any]) -> None:
    for one in callbacks:
        async with running.http.post("/v1/callbacks/zego", json=one) as answer:
            assert answer.status == 200


async def _dead_letter(running: Zimwatch, machine: Machine) -> None:
    async with asyncio.timeout(20):
        while not (await running.get("/v1/alerts/undelivered"))[1]["messages"]:
            machine.passes(1)
            await asyncio.sleep(0.05)


async def _looked_at(running: Zimwatch) -> None:
    for path in PAGES:
        async with running.http.get(path) as answer:
            await answer.read()
            assert answer.status in {200, 404}, (path, answer.status)


async def _done_to_alerts(running: Zimwatch) -> None:
    silence = {"matchers": {"user_id": "carol"}, "duration": "4h", "reason": "tests", "author": "dana"}
    for path, body in (
        ("/v1/alerts/1/ack", {"by": "dana"}),
        ("/v1/silences", silence),
        ("/v1/silences", silence | {"matchers": {"app_id": str(APP_ID)}}),
        ("/v1/alerts/undelivered/1/send", {}),
        ("/v1/watches", {"app_id": APP_ID, "user_id": "carol", "duration": "4h", "author": "dana"}),
        ("/v1/chatops", {"text": "unwatch carol"}),
        ("/v1/chatops", {"text": "top kicked"}),
    ):
        async with running.http.post(path, json=body) as answer:
            assert answer.status in {200, 201, 202}, (path, await answer.text())
    async with running.http.delete("/v1/silences/1") as answer:
        assert answer.status in {200, 204}


async def _asked_by_a_stream(store: Store) -> None:
    await store.read(alert_log.changed_after, 1, 10)
    await store.read(user_reads.users_named, [(APP_ID, "alice")], store.now())


async def _signed_in(running: Zimwatch, machine: Machine) -> None:
    token, secret = await new_token(running.store, "read")
    await new_token(running.store, "ingest", APP_ID)
    running.store.credentials.apps()
    async with aiohttp.ClientSession(running.url, cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
        for method, path in (("POST", "/sign-in"), ("GET", "/"), ("POST", "/sign-out")):
            async with browser.request(method, path, data={"password": secret}) as answer:
                assert answer.status == 200, (path, await answer.text())
            machine.passes(600)
    await running.store.read(tokens.listed, machine.now_us)
    new, _ = await running.store.write(tokens.rotate, token.id, overlap_us=0, now_us=machine.now_us)
    await revoke(running.store, new)
