"""The stream of changes where more changes at once than it tells of."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sidecar.api import stream as changes
from tests.support.running import Zimwatch, zimwatch
from tests.support.streams import Stream, streaming
from tests.support.wire import wire_event

APP = 1234567890
OTHER_APP = 7
NAMES = [f"user-{number}" for number in range(10)]


@pytest.fixture
async def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Zimwatch]:
    monkeypatch.setattr(changes, "USERS_A_TICK", 6)
    monkeypatch.setattr(changes, "USERS_A_TICK_LEAST", 2)
    async with zimwatch(tmp_path) as running:
        yield running


async def all_change(running: Zimwatch, app_id: int = APP) -> None:
    """All at once, in one commit."""
    status, _ = await running.send(
        [wire_event(app_id=app_id, user_id=name, client_id=str(uuid.uuid4())) for name in NAMES]
    )
    assert status == 200


async def told(stream: Stream) -> tuple[list[str], dict[str, Any]]:
    """The users that one tick tells of, and its summary."""
    users: list[str] = []
    while "user_id" in (data := msgspec.json.decode((await stream.next()).data)):
        users.append(data["user_id"])
    return users, data


async def test_who_is_left_out_is_counted_in_the_summary(running: Zimwatch) -> None:
    async with streaming(running.http, "/v1/stream") as stream:
        assert await told(stream) == ([], {**empty(), "online": 0})
        await all_change(running)
        users, summary = await told(stream)
        assert (users, summary["online"], summary["untold"]) == (NAMES[:6], 10, 4)


async def test_a_stream_of_one_user_is_told_however_many_others_change(running: Zimwatch) -> None:
    async with (
        streaming(running.http, f"/v1/stream?app_id={APP}&user_id=user-9") as own,
        streaming(running.http, "/v1/stream?user_id=user-9") as of_every_app,
        streaming(running.http, f"/v1/stream?app_id={OTHER_APP}") as other_app,
    ):
        for stream in (own, of_every_app, other_app):
            await told(stream)
        await all_change(running)
        for stream in (own, of_every_app):
            users, summary = await told(stream)
            assert (users, "untold" in summary) == (["user-9"], False)
        await all_change(running, OTHER_APP)
        users, summary = await told(of_every_app)
        assert users == ["user-9"]
        users, summary = await told(other_app)
        assert (users, summary["untold"]) == (NAMES[:6], 4)


async def test_the_more_listen_the_fewer_users_a_tick_tells_of(
    running: Zimwatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "TOLD_A_TICK", 6)
    async with streaming(running.http, "/v1/stream") as one, streaming(running.http, "/v1/stream") as two:
        await told(one)
        await told(two)
        await all_change(running)
        for stream in (one, two):
            users, summary = await told(stream)
            assert (users, summary["untold"]) == (NAMES[:3], 7)


async def test_a_slow_reader_is_told_the_newest_and_how_many_it_missed() -> None:
    listener = changes.Listener((None, None))
    listener.give(b"first", [(APP, "alice")], [], untold=0)
    listener.give(b"second", [(APP, name) for name in NAMES], [], untold=3)
    assert listener.ready == b"first"
    assert (listener.is_behind, len(listener.missed), listener.untold) == (True, 10, 3)


def empty() -> dict[str, Any]:
    return {"online": 0, "offline": 0, "not_logged_in": 0, "unconfirmed": 0, "alerts": {}}
