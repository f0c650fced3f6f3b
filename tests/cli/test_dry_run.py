"""``POST /v1/events?dry_run=1`` answers like the same call without it, and stores nothing."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from sidecar.store import log_positions
from tests.support.running import Zimwatch
from tests.support.tokens import new_token
from tests.support.wire import wire_event, without

APP = 1234567890

BEAT = wire_event(type="heartbeat")
TWICE = wire_event(user_id="bob")
BATCHES: dict[str, list[Any]] = {
    "empty": [],
    "good": [wire_event(seq=seq) for seq in (1, 2, 3)],
    "an id twice": [TWICE, TWICE, wire_event(seq=2)],
    "an id twice in another case": [TWICE, TWICE | {"id": TWICE["id"].upper()}],
    "heartbeats alone": [BEAT, BEAT],
    "a heartbeat and an event with the same id": [TWICE, BEAT | {"id": TWICE["id"]}],
    "bad ones among good ones": [wire_event(), 7, without("seq"), wire_event(seq=2), wire_event(type="teleported")],
    "bad ones alone": [{}, None],
}


async def send(running: Zimwatch, body: list[Any], query: str = "", **headers: str) -> tuple[int, Any]:
    async with running.http.post(f"/v1/events{query}", json=body, headers=headers) as answer:
        return answer.status, await answer.json(content_type=None)


def contents(folder: Path) -> list[str]:
    """Every row of the database, as SQL, but for what the rules note by time alone."""
    with contextlib.closing(sqlite3.connect(folder / "zimwatch.db")) as database:
        return [line for line in database.iterdump() if not line.startswith('INSERT INTO "app_hours"')]


@pytest.mark.parametrize("name", BATCHES)
async def test_it_answers_as_the_call_would_also_a_second_time(running: Zimwatch, name: str) -> None:
    for _ in range(2):
        dry = await send(running, BATCHES[name], "?dry_run=1")
        assert dry == await send(running, BATCHES[name])
        assert dry[0] == 200


async def test_it_leaves_the_database_as_it_was(tmp_path: Path, running: Zimwatch) -> None:
    await send(running, [wire_event(), 7])
    before = contents(tmp_path)
    for body in BATCHES.values():
        await send(running, body, "?dry_run=true")
    assert contents(tmp_path) == before


async def test_it_renews_no_lease_and_publishes_nothing(running: Zimwatch) -> None:
    published: asyncio.Queue[Any] = asyncio.Queue()
    running.store.subscribe(published.put_nowait)
    await send(running, [wire_event()])
    await published.get()  # it is published after the answer
    _, before = await running.get(f"/v1/users/{APP}/alice")
    await send(running, [BEAT, wire_event(seq=2, state=0)], "?dry_run=1")
    assert (await running.get(f"/v1/users/{APP}/alice"))[1] == before
    assert published.empty()


async def test_a_token_of_one_app_is_refused_another_apps_events_all_the_same(running: Zimwatch) -> None:
    _, secret = await new_token(running.store, "ingest", APP)
    own, other = wire_event(), wire_event(app_id=1)
    bearer = {"Authorization": f"Bearer {secret}"}
    for query in ("?dry_run=1", ""):
        status, answer = await send(running, [own, other], query, **bearer)
        assert (status, answer["detail"]) == (403, f"the token is for these apps: {APP}; the batch has events of app 1")
    assert (await send(running, [own], "?dry_run=1", **bearer))[1]["accepted"] == 1
    assert (await send(running, [own], "?dry_run=1"))[0] == 401
    assert await running.store.read(log_positions.newest_position) == 0


@pytest.mark.parametrize("value", ["yes", "", "2", "TRUE"])
async def test_an_invalid_value_is_named_and_nothing_is_stored(running: Zimwatch, value: str) -> None:
    status, answer = await send(running, [wire_event()], f"?dry_run={value}")
    assert (status, answer["detail"]) == (400, "dry_run must be one of 0, 1, false, true")
    assert await running.store.read(log_positions.newest_position) == 0


@pytest.mark.parametrize("value", ["0", "false"])
async def test_dry_run_0_is_no_dry_run(running: Zimwatch, value: str) -> None:
    await send(running, [wire_event()], f"?dry_run={value}")
    assert await running.store.read(log_positions.newest_position) == 1
