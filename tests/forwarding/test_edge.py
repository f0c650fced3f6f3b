"""An edge and its centre: what reaches the edge is at the centre, once, in its order and at its moments."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest

from sidecar.settings import LeaseSettings
from sidecar.store.log import forwarding
from tests.support.edges import (
    EDGE_NAME,
    edge_and_centre,
    forward_token,
    log_of,
    rows,
    settings_of_edge,
    until_it_has,
    users_of,
)
from tests.support.process import free_port, serving
from tests.support.running import Zimwatch, zimwatch
from tests.support.tokens import new_token
from tests.support.wire import fresh_event, wire_event

APP = 1234567890


def moment(ago: timedelta, *, clock_is_off: timedelta = timedelta()) -> str:
    """So long ago, as a device shows it whose clock is off."""
    return (datetime.now(UTC) - ago + clock_is_off).isoformat()


def a_session(user_id: str, began_ago: timedelta, clock_is_off: timedelta = timedelta()) -> list[dict[str, Any]]:
    """A login, a drop of the connection and its return, a minute each, by the device's clock."""
    client_id, session_id = str(uuid.uuid4()), str(uuid.uuid4())
    steps: list[dict[str, Any]] = [
        {"type": "login", "offline_login": False, "token_expires_at": moment(timedelta(days=-1))},
        {"state": 1, "event": "LoginSuccess", "extended_data": '{"a":"é"}'},
        {"state": 2, "event": "Success"},
        {"state": 3, "event": "LoginInterrupted"},
        {"state": 2, "event": "Success", "reporter": {"name": "zim-tap", "version": "0.1.0"}},
        {"type": "api_error", "method": "sendMessage", "code": 6000001, "message": "no"},
    ]
    return [
        wire_event(client_id=client_id, session_id=session_id, user_id=user_id, seq=seq, **step)
        | {"occurred_at": moment(began_ago - seq * timedelta(minutes=1), clock_is_off=clock_is_off)}
        for seq, step in enumerate(steps, start=1)
    ]


async def send(address: str, events: list[dict[str, Any]], clock_is_off: timedelta | None = None) -> Any:
    """Sends as a device whose clock is off; None: one that does not say what its clock shows."""
    query = "" if clock_is_off is None else f"?sent_at={quote(moment(timedelta(), clock_is_off=clock_is_off))}"
    async with aiohttp.ClientSession() as http, http.post(f"{address}/v1/events{query}", json=events) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def test_whoever_is_killed_meanwhile_the_centre_has_each_event_once_as_the_edge_has_it(tmp_path: Path) -> None:
    edge_folder, centre_folder = tmp_path / "edge", tmp_path / "centre"
    edge_folder.mkdir()
    centre_folder.mkdir()
    port, kept = free_port(), {"ZIMWATCH_RETENTION__EVENTS": "36500d"}
    settings = settings_of_edge(f"http://127.0.0.1:{port}", await forward_token(centre_folder))
    hour = timedelta(hours=1)
    async with serving(edge_folder, settings) as (edge, process):
        # The centre is away from the beginning on.
        await send(edge, a_session("alice", hour, 5 * hour), 5 * hour)
        await send(edge, list(reversed(a_session("bob", timedelta(days=3)))))
        process.kill()
        await process.wait()
    async with serving(edge_folder, settings) as (edge, edge_process):
        async with serving(centre_folder, kept, port=port) as (_, process):
            await send(edge, a_session("carol", 2 * hour, -40 * hour), -40 * hour)
            await until_it_has(centre_folder, 18)
            process.kill()
            await process.wait()
        dave = a_session("dave", timedelta(minutes=10))
        await send(edge, dave[3:], timedelta())
        async with serving(centre_folder, kept, port=port):
            await until_it_has(centre_folder, 21)
            await send(edge, dave, timedelta())  # whose beginning is late, at both
            await until_it_has(centre_folder, 24)
            edge_process.kill()
            await edge_process.wait()
            # What it forwarded and did not note is sent once more.
            async with serving(edge_folder, settings) as (again, _):
                await send(again, a_session("mallory", hour), None)
                await until_it_has(centre_folder, 30)
            assert log_of(centre_folder) == log_of(edge_folder)
            assert users_of(centre_folder) == users_of(edge_folder)
    assert len(log_of(edge_folder)) == 30


async def until(condition: Any) -> None:
    """Waits until the awaited condition holds."""
    async with asyncio.timeout(30):
        while not await condition():  # noqa: ASYNC110 - of another server
            await asyncio.sleep(0.05)


async def waiting(edge: Zimwatch) -> int:
    state = await edge.store.read(forwarding.state)
    return -1 if state is None else state.waiting


async def has_forwarded(edge: Zimwatch) -> bool:
    return await waiting(edge) == 0


async def test_what_the_centre_rejects_is_kept_at_the_edge_with_the_reason_and_holds_up_no_other(
    tmp_path: Path,
) -> None:
    async with edge_and_centre(tmp_path, apps=(APP,)) as (edge, _):
        # More than the centre names in one answer.
        others = [fresh_event(app_id=7, user_id=f"user-{at}") for at in range(250)]
        ours = [fresh_event(user_id=f"user-{at}") for at in range(100)]
        mixed = [event for pair in zip(others, ours, strict=False) for event in pair] + others[100:]
        await edge.send(mixed)
        await until(lambda: has_forwarded(edge))
        kept = (await edge.get("/v1/rejected?limit=500"))[1]["rejected"]
        error = f"the centre rejected it: the token is for these apps: {APP}; the event is of app 7"
        assert {one["error"] for one in kept} == {error}
        assert sorted(one["id"] for one in kept) == sorted(event["id"] for event in others)
        assert {event["app_id"] for event in log_of(tmp_path / "centre")} == {APP}
        assert len(log_of(tmp_path / "centre")) == 100


async def test_an_event_that_the_centre_cannot_take_at_all_is_rejected_alone(tmp_path: Path) -> None:
    async with edge_and_centre(tmp_path, max_body_bytes=20_000) as (edge, _):
        large = fresh_event(extended_data="x" * 30_000)
        small = [fresh_event(extended_data="x" * 3_000) for _ in range(20)]
        await edge.send([*small[:10], large, *small[10:]])
        await until(lambda: has_forwarded(edge))
        (kept,) = (await edge.get("/v1/rejected"))[1]["rejected"]
        assert kept["id"] == large["id"]
        assert kept["error"].startswith("the centre rejected it: HTTP 413: the body is larger than 20000 bytes")
        assert [one["id"] for one in log_of(tmp_path / "centre")] == [uuid.UUID(one["id"]).bytes for one in small]


async def test_a_token_of_another_scope_is_believed_about_no_moment(tmp_path: Path) -> None:
    async with edge_and_centre(tmp_path, scope="ingest") as (edge, _):
        hour = timedelta(hours=1)
        sent = quote(moment(timedelta(), clock_is_off=hour))
        await edge.send([fresh_event(occurred_at=moment(hour, clock_is_off=hour))], f"?sent_at={sent}")
        await until(lambda: has_forwarded(edge))
        ((there,), (here,)) = log_of(tmp_path / "centre"), log_of(tmp_path / "edge")
        assert there["occurred_at_us"] == here["occurred_at_us"]
        assert there["moment_us"] - here["moment_us"] > 3_000_000_000


async def ready(edge: Zimwatch) -> Any:
    status, answer = await edge.get("/readyz")
    assert status == 200
    return answer["forwarding"]


async def test_an_edge_whose_token_is_refused_takes_events_and_says_what_is_wrong(tmp_path: Path) -> None:
    async with edge_and_centre(tmp_path, scope="read") as (edge, _):
        await edge.send([fresh_event()])

        async def says_so() -> bool:
            return bool((await ready(edge))["problem"] == "the centre refuses what is sent; events wait here")

        await until(says_so)
        assert (await ready(edge))["waiting"] == 1
        page = await (await edge.http.get("/")).text()
        assert "1 event waits for the centre" in page
        assert "forward.token" in page


async def test_an_edge_that_has_passed_everything_on_says_so(tmp_path: Path) -> None:
    async with edge_and_centre(tmp_path) as (edge, centre):
        await edge.send([fresh_event()])
        await until(lambda: has_forwarded(edge))
        assert await ready(edge) == {"waiting": 0, "behind_s": 0, "problem": None}
        assert "the centre has everything" in await (await edge.http.get("/")).text()

        async def is_known() -> bool:
            return [(one.name, one.waiting) for one in await centre.store.read(forwarding.edges)] == [(EDGE_NAME, 0)]

        await until(is_known)


async def test_an_edge_that_stops_with_everything_forwarded_is_forgotten(tmp_path: Path) -> None:
    async with edge_and_centre(tmp_path) as (edge, centre):
        await edge.send([fresh_event()])

        async def is_known() -> bool:
            return bool(await centre.store.read(forwarding.edges))

        await until(is_known)
    assert rows(tmp_path / "centre", "SELECT * FROM edges") == []


def heartbeat(client_id: str, seq: int) -> dict[str, Any]:
    event = fresh_event(type="heartbeat", client_id=client_id, seq=seq, state=2)
    return {name: value for name, value in event.items() if name not in {"event", "extended_data"}}


async def test_heartbeats_reach_the_centre_and_its_interval_reaches_the_clients(tmp_path: Path) -> None:
    leases = LeaseSettings(heartbeat="60s")
    async with edge_and_centre(tmp_path, centre_leases=leases) as (edge, centre):
        client_id = str(uuid.uuid4())
        await edge.send([fresh_event(client_id=client_id)])
        assert (await edge.send([heartbeat(client_id, 2)]))[1]["heartbeat_after_s"] == 15
        await until(lambda: has_forwarded(edge))

        async def is_live() -> bool:
            return centre.store.heartbeats.clients == 1

        await until(is_live)

        async def has_learned() -> bool:
            return edge.store.heartbeat_after_s == 20

        await until(has_learned)
        assert (await edge.send([heartbeat(client_id, 3)]))[1]["heartbeat_after_s"] == 20
        assert len(log_of(tmp_path / "centre")) == 1


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ("edge=-a", "edge must be a name"),
        ("edge=a&edge_waiting=-1", "edge_waiting must be a number"),
        ("edge=a&edge_behind_s=nan", "edge_behind_s must be a number"),
        ("edge=a&edge_ends=maybe", "edge_ends must be one of"),
    ],
)
async def test_a_wrong_report_is_refused_by_name_and_one_of_another_sender_is_ignored(
    tmp_path: Path, query: str, wrong: str
) -> None:
    async with zimwatch(tmp_path) as centre:
        for scope, expected in (("ingest", 200), ("forward", 400)):
            _, secret = await new_token(centre.store, scope)
            status, answer = await centre.send([], f"?{query}", Authorization=f"Bearer {secret}")
            assert status == expected
            assert wrong in answer.get("detail", wrong)
        assert await centre.store.read(forwarding.edges) == []
