"""RemoteSink with a server that is away, slow or refuses events, and with a sender that is killed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from sidecar.clock import now_us
from sidecar.domain import sdk_words
from sidecar.errors import ZimwatchError
from sidecar.sdk import ConnectionStateChanged, RemoteSink
from sidecar.sdk.recording import observing
from sidecar.sdk.recording.event_queue import EventQueue
from sidecar.sdk.recording.recorder import Device, Recorder, WireEvent
from sidecar.sdk.recording.remote_sink import BATCH_EVENTS
from tests.support.events import BEGIN_US
from tests.support.process import DATABASE, serving
from tests.support.small_server import served
from tests.support.wire import wire_event

WITHIN_S = 20
RECONNECTING, CONNECTED = sdk_words.STATES.index("RECONNECTING"), sdk_words.STATES.index("CONNECTED")


class Server:
    """Answers each batch as ``answer`` says, and keeps what it took."""

    def __init__(self) -> None:
        self.url = ""
        self.answer: Callable[[list[WireEvent]], web.Response | None] = lambda _batch: None
        self.slowly: Callable[[list[WireEvent]], Awaitable[web.Response]] | None = None
        self.batches: list[int] = []
        self.taken: list[WireEvent] = []
        self.tokens: set[str] = set()
        self.assertions: list[str | None] = []
        self.queries: list[dict[str, str]] = []
        self.requested = asyncio.Event()

    async def take(self, request: web.Request) -> web.Response:
        batch = json.loads(await request.read())  # aiohttp has unpacked it
        self.batches.append(len(batch))
        self.queries.append(dict(request.query))
        self.tokens.add(request.headers.get("Authorization", ""))
        self.assertions.append(request.headers.get("Zimwatch-Assertion"))
        answer = await self.slowly(batch) if self.slowly is not None else self.answer(batch)
        self.requested.set()
        if answer is not None:
            return answer
        self.taken += batch
        return web.json_response({"accepted": len(batch), "duplicates": 0, "rejected": []})


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    async with served(web.post("/v1/events", server.take), client_max_size=1 << 30) as server.url:
        yield server


def _events(count: int) -> list[WireEvent]:
    return [wire_event(seq=seq, state=seq % 4) for seq in range(1, count + 1)]


def _hasty(url: str, folder: Path, token: str | None = None, **options: Any) -> RemoteSink:
    return RemoteSink(url, token, folder=folder, rng=Random(1), **options)  # noqa: S311 - it spreads retries


async def test_events_arrive_in_order_with_their_ids_and_the_token(server: Server, tmp_path: Path) -> None:
    events = _events(BATCH_EVENTS + 7)
    async with _hasty(server.url + "/", tmp_path, "zw_secret") as sink:
        for event in events:
            sink.put(event)
        assert await sink.flush(WITHIN_S) == 0
    assert server.taken == events
    assert server.tokens == {"Bearer zw_secret"}
    assert sink.status.problem is None


async def test_events_that_were_not_accepted_are_sent_again_unchanged(server: Server, tmp_path: Path) -> None:
    answers = iter([web.Response(status=503), web.Response(status=200, text="<p>a proxy says hello</p>")])
    server.answer = lambda _batch: next(answers, None)
    async with _hasty(server.url, tmp_path) as sink:
        events = _events(3)
        for event in events:
            sink.put(event)
        async with asyncio.timeout(WITHIN_S):
            while await sink.flush(0.2):
                pass
    assert server.batches == [3, 3, 3]
    assert server.taken == events


async def test_what_waits_is_discarded_and_later_events_are_sent(server: Server, tmp_path: Path) -> None:
    held, begun = asyncio.Event(), asyncio.Event()

    async def late(_batch: list[WireEvent]) -> web.Response:
        begun.set()
        await held.wait()
        return web.json_response({"accepted": 2, "duplicates": 0, "rejected": []})

    first, second, third = _events(3)
    server.slowly = late
    async with _hasty(server.url, tmp_path) as sink:
        sink.put(first)
        sink.put(second)
        await begun.wait()
        sink.discard()
        assert (sink.status.queued, sink.status.dropped) == (0, 0)
        server.slowly = None
        sink.put(third)
        held.set()  # the answer to what was discarded removes no later event
        assert await sink.flush(WITHIN_S) == 0
    assert server.taken == [third]
    async with _hasty(server.url, tmp_path) as sink:
        assert sink.status.queued == 0


async def test_each_attempt_sends_the_time_of_its_clock(server: Server, tmp_path: Path) -> None:
    moments = iter([BEGIN_US, BEGIN_US + 1_500_000, -1_000])
    answers = iter([web.Response(status=503), web.Response(status=503)])
    server.answer = lambda _batch: next(answers, None)
    async with _hasty(server.url, tmp_path, clock=lambda: next(moments)) as sink:
        sink.put(wire_event())
        async with asyncio.timeout(WITHIN_S):
            while await sink.flush(0.2):
                pass
    assert server.queries == [
        {"sent_at": "2026-11-23T14:00:00.000Z"},
        {"sent_at": "2026-11-23T14:00:01.500Z"},
        {"sent_at": "1969-12-31T23:59:59.999Z"},
    ]


async def test_refused_events_are_counted_and_logged_once(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server.answer = lambda batch: web.json_response(
        {
            "accepted": 0,
            "duplicates": 0,
            "rejected": [{"index": 0, "id": batch[0]["id"], "error": "second must be an integer"}],
            "rejected_more": len(batch) - 1,
        }
    )
    async with _hasty(server.url, tmp_path) as sink:
        for lap in range(2):
            for event in _events(3):
                sink.put(event)
            assert await sink.flush(WITHIN_S) == 0
            assert sink.status.dropped == 3 * (lap + 1)
    assert sink.status.problem == "the server refused an event (second must be an integer)"
    assert len([line for line in caplog.messages if "second must be an integer" in line]) == 1


@pytest.mark.parametrize(("named", "kept"), [(7, 7), (0, None), ("soon", None), (10**9, None), (None, None)])
async def test_the_server_sets_the_interval_between_heartbeats(
    server: Server, tmp_path: Path, named: object, kept: object
) -> None:
    server.answer = lambda batch: web.json_response(
        {"accepted": len(batch), "duplicates": 0, "rejected": [], "heartbeat_after_s": named}
    )
    async with _hasty(server.url, tmp_path) as sink:
        sink.put(wire_event())
        assert await sink.flush(WITHIN_S) == 0
        assert observing.heartbeat_interval_s(sink) == kept


@pytest.mark.parametrize("spelled", ["seconds", "date"])
async def test_a_flush_does_not_shorten_retry_after(server: Server, tmp_path: Path, spelled: str) -> None:
    value = "60" if spelled == "seconds" else format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    server.answer = lambda _batch: web.Response(status=503, headers={"Retry-After": value})
    async with _hasty(server.url, tmp_path) as sink:
        sink.put(wire_event())
        await asyncio.wait_for(server.requested.wait(), WITHIN_S)
        assert await sink.flush(0.5) == 1
        assert "503" in (sink.status.problem or "")
    assert server.batches == [1]


async def test_a_batch_that_is_too_large_is_halved_and_an_event_refused_alone_is_dropped(
    server: Server, tmp_path: Path
) -> None:
    events = _events(20)
    never = events[13]["id"]

    def answer(batch: list[WireEvent]) -> web.Response | None:
        too_much = len(batch) > 4 or any(event["id"] == never for event in batch)
        return web.Response(status=413) if too_much else None

    server.answer = answer
    async with _hasty(server.url, tmp_path) as sink:
        for event in events:
            sink.put(event)
        assert await sink.flush(WITHIN_S) == 0
        assert sink.status.dropped == 1
    assert server.taken == [event for event in events if event["id"] != never]


async def test_a_refused_token_keeps_the_events_and_is_reported(server: Server, tmp_path: Path) -> None:
    server.answer = lambda _batch: web.Response(status=401)
    async with _hasty(server.url, tmp_path) as sink:
        sink.put(wire_event())
        await asyncio.wait_for(server.requested.wait(), WITHIN_S)
        await sink.flush(0.2)
        assert sink.status == type(sink.status)(1, 0, "the server answered 401")


async def test_queued_events_are_sent_by_the_next_process(server: Server, tmp_path: Path) -> None:
    events = _events(5)
    async with _hasty("http://127.0.0.1:9", tmp_path) as sink:
        for event in events:
            sink.put(event)
        assert await sink.flush(0.2) == 5
        assert "not reached" in (sink.status.problem or "")
    async with _hasty(server.url, tmp_path) as sink:
        assert await sink.flush(WITHIN_S) == 0
    assert server.taken == events


async def test_every_event_arrives_once_although_the_sender_is_killed(tmp_path: Path) -> None:
    """The sender is killed while the server is away, again while it sends; the third one finishes the work."""
    for name in ("server", "queue"):
        (tmp_path / name).mkdir()
    ids: list[str] = []
    await _until_killed("http://127.0.0.1:9", tmp_path / "queue", ids, after=300)
    async with serving(tmp_path / "server") as (address, _), aiohttp.ClientSession(address) as http:
        await _until_killed(address, tmp_path / "queue", ids, after=300)
        async with _hasty(address, tmp_path / "queue") as sink:
            assert await sink.flush(WITHIN_S) == 0
        async with http.get("/v1/summary") as answer:
            assert (await answer.json())["online"] > 0
    with contextlib.closing(sqlite3.connect(tmp_path / "server" / DATABASE)) as database:
        stored = [bytes(row[0]).hex() for row in database.execute("SELECT id FROM events")]
    assert len(stored) == len(set(stored))
    assert {one.replace("-", "") for one in ids} <= set(stored)


async def _until_killed(address: str, folder: Path, ids: list[str], *, after: int) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.sender", address, str(folder)), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(WITHIN_S):
        ids += [(await process.stdout.readline()).decode().strip() for _ in range(after)]
        process.kill()
        ids += (await process.stdout.read()).decode().split("\n")[:-1]
        await process.wait()


async def test_two_processes_do_not_share_a_queue(tmp_path: Path) -> None:
    async with _hasty("http://127.0.0.1:9", tmp_path):
        with pytest.raises(ZimwatchError, match="another process uses it"):
            _hasty("http://127.0.0.1:9", tmp_path)


def test_an_invalid_queue_or_endpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / "outgoing.db").write_bytes(b"\xff\xd8 a picture" * 100)
    with pytest.raises(ZimwatchError, match=r"outgoing\.db cannot be opened"):
        _hasty("http://127.0.0.1:9", tmp_path)
    with pytest.raises(ZimwatchError, match="http"):
        _hasty("127.0.0.1:8790", tmp_path)


async def test_on_a_full_disk_new_events_count_as_dropped_and_queued_ones_are_sent(
    server: Server, tmp_path: Path
) -> None:
    async with _hasty(server.url, tmp_path) as sink:
        (pages,) = sink._queue._file.execute("PRAGMA page_count").fetchone()
        sink._queue._file.execute(f"PRAGMA max_page_count = {pages + 2}")
        for event in _events(100):
            sink.put(event)
        dropped = sink.status.dropped
        assert 0 < dropped < 100
        assert "full" in (sink.status.problem or "")
        sink._queue._file.execute("PRAGMA max_page_count = 10000")
        assert await sink.flush(WITHIN_S) == 0
    assert len(server.taken) == 100 - dropped


def test_a_full_queue_drops_heartbeats_then_repeats_then_the_oldest_and_counts_them(tmp_path: Path) -> None:
    made: list[WireEvent] = []
    device = Device(platform="Web", sdk_name="zego-zim-web", sdk_version="2.29.0")
    recorder = Recorder(app_id=1, device=device, at_us=now_us(), rng=Random(1), emit=made.append)  # noqa: S311
    for state in (CONNECTED, RECONNECTING, RECONNECTING, RECONNECTING, CONNECTED, RECONNECTING):
        recorder.connection_state_changed(now_us(), ConnectionStateChanged(state=state, event=0))
    heartbeat = made[0] | {"type": "heartbeat"}
    size = len(json.dumps(made[0], separators=(",", ":")))
    queue = EventQueue(tmp_path, most_bytes=size * 6 + size // 2)
    queue.push(heartbeat, in_flight=0)
    for event in made:
        queue.push(event, in_flight=0)
    assert _kept(queue) == [1, 2, 3, 4, 5, 6]
    more = [made[4] | {"seq": seq, "state": state} for seq, state in ((7, CONNECTED), (8, RECONNECTING))]
    for event in more:
        queue.push(event, in_flight=0)
    assert _kept(queue) == [1, 2, 5, 6, 7, 8]
    queue.push(more[0] | {"seq": 9}, in_flight=1)
    queue.close()
    again = EventQueue(tmp_path, most_bytes=size * 6)
    assert _kept(again) == [2, 5, 6, 7, 8, 9]
    assert again.dropped == 4
    again.close()


def _kept(queue: EventQueue) -> list[int]:
    return [json.loads(body)["seq"] for _, body in queue.oldest(100, 1 << 20)]


async def test_a_request_has_the_events_of_one_user_with_its_assertion(server: Server, tmp_path: Path) -> None:
    wanted: list[str] = []

    async def assertion(user_id: str) -> str | None:
        wanted.append(user_id)
        if len(wanted) == 1:
            raise ConnectionError("the backend is away")
        return None if user_id == "bob" else f"of {user_id}"

    async with _hasty(server.url, tmp_path, assertion=assertion) as sink:
        for seq, user_id in enumerate((None, "alice", "alice", "bob", None), start=1):
            sink.put(wire_event(seq=seq, user_id=user_id))
        assert await _flushed(sink) == 0
    assert wanted == ["alice", "alice", "bob"]
    assert (server.batches, server.assertions) == ([3, 2], ["of alice", None])


async def _flushed(sink: RemoteSink) -> int:
    """A flush that ends the pause after the first error, too."""
    while left := await sink.flush(1):
        pass
    return left
