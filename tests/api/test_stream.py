"""The stream of changes when more changes at once than it sends."""

from __future__ import annotations

import uuid
from typing import Any

import msgspec
import pytest

from sidecar.api import stream as changes
from sidecar.web.event_stream import Payload
from tests.support.running import Zimwatch
from tests.support.streams import Stream, streaming
from tests.support.wire import wire_event

pytestmark = pytest.mark.both_engines("soak")

APP = 1234567890
OTHER_APP = 7
NAMES = [f"user-{number}" for number in range(10)]


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(changes, "USERS_A_TICK", 6)
    monkeypatch.setattr(changes, "USERS_A_TICK_LEAST", 2)
    return {}


async def all_change(running: Zimwatch, app_id: int = APP) -> None:
    """All at once, in one commit."""
    status, _ = await running.send(
        [wire_event(app_id=app_id, user_id=name, client_id=str(uuid.uuid4())) for name in NAMES]
    )
    assert status == 200


async def next_tick(stream: Stream) -> tuple[list[str], dict[str, Any]]:
    """The users that one tick sends, and its summary."""
    users: list[str] = []
    while "user_id" in (data := msgspec.json.decode((await stream.next()).data)):
        users.append(data["user_id"])
    return users, data


async def test_users_that_are_left_out_are_counted_in_the_summary(running: Zimwatch) -> None:
    async with streaming(running.http, "/v1/stream") as stream:
        assert await next_tick(stream) == ([], {**empty(), "online": 0})
        await all_change(running)
        users, summary = await next_tick(stream)
        assert (users, summary["online"], summary["untold"]) == (NAMES[:6], 10, 4)


async def test_a_stream_of_one_user_gets_it_however_many_others_change(running: Zimwatch) -> None:
    async with (
        streaming(running.http, f"/v1/stream?app_id={APP}&user_id=user-9") as own,
        streaming(running.http, "/v1/stream?user_id=user-9") as of_every_app,
        streaming(running.http, f"/v1/stream?app_id={OTHER_APP}") as other_app,
    ):
        for stream in (own, of_every_app, other_app):
            await next_tick(stream)
        await all_change(running)
        for stream in (own, of_every_app):
            users, summary = await next_tick(stream)
            assert (users, "untold" in summary) == (["user-9"], False)
        await all_change(running, OTHER_APP)
        users, summary = await next_tick(of_every_app)
        assert users == ["user-9"]
        users, summary = await next_tick(other_app)
        assert (users, summary["untold"]) == (NAMES[:6], 4)


async def test_the_more_readers_the_fewer_users_a_tick_sends(
    running: Zimwatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "SENT_A_TICK", 6)
    async with streaming(running.http, "/v1/stream") as one, streaming(running.http, "/v1/stream") as two:
        await next_tick(one)
        await next_tick(two)
        await all_change(running)
        for stream in (one, two):
            users, summary = await next_tick(stream)
            assert (users, summary["untold"]) == (NAMES[:3], 7)


@pytest.mark.of_sqlite
async def test_a_slow_reader_gets_the_newest_state_and_how_many_it_missed() -> None:
    store: Any = None
    reaction: Any = None
    reader = changes.StreamReader(changes.Changes(store, reaction), (None, None))
    reader.offer(first := Payload(b"first"), [(APP, "alice")], [], untold=0)
    reader.offer(Payload(b"second"), [(APP, name) for name in NAMES], [], untold=3)
    assert reader.ready is first
    assert (reader.is_behind, len(reader.missed), reader.untold) == (True, 10, 3)


def empty() -> dict[str, Any]:
    return {"online": 0, "offline": 0, "not_logged_in": 0, "unconfirmed": 0, "alerts": {}}
