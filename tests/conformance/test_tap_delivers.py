"""How the tap hands events over, refuses and undoes itself; on a stand-in for the SDK."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp import web

from sidecar.ingest import wire

SCRIPT = Path(__file__).parent / "scripts/stand-in.cjs"
NOWHERE = "http://127.0.0.1:9"
ENDS_WITHIN_S = 30
NOW_US = 1_795_485_600_000_000

Answer = Callable[[int, list[Any]], web.Response | None]

pytestmark = pytest.mark.node


class Taken:
    """A server that answers as it is told to, and keeps what it accepted."""

    def __init__(self, answer: Answer) -> None:
        self.url = ""
        self.requests: list[web.Request] = []
        self.accepted: list[dict[str, Any]] = []
        self.bodies = b""
        self._answer = answer

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()  # aiohttp has unpacked it
        self.requests.append(request)
        self.bodies += body
        batch = json.loads(body)
        response = self._answer(len(self.requests), batch)
        if response is None:
            assert wire.decode(body, "json", NOW_US).rejected == []
            self.accepted.extend(batch)
            response = web.json_response({"accepted": len(batch), "duplicates": 0, "rejected": []})
        return response


@contextlib.asynccontextmanager
async def taking(answer: Answer = lambda _number, _batch: None) -> AsyncIterator[Taken]:
    taken = Taken(answer)
    application = web.Application()
    application.add_routes([web.post("/v1/events", taken.take)])
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    taken.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield taken
    finally:
        await runner.cleanup()


async def run(scenario: str, endpoint: str = NOWHERE, *token: str) -> Any:
    process = await asyncio.create_subprocess_exec(
        *("node", str(SCRIPT), scenario, endpoint, *token), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await asyncio.wait_for(process.communicate(), ENDS_WITHIN_S)
    assert process.returncode == 0
    return json.loads(output)


def delivered(status: dict[str, Any]) -> bool:
    return (status["queued"], status["queuedBytes"], status["dropped"], status["problem"]) == (0, 0, 0, None)


async def test_it_refuses_to_be_installed_late_or_twice_or_wrongly_and_touches_nothing() -> None:
    given = await run("refusals")
    assert "install the tap before ZIM.create()" in given["late"]
    assert given["kept"]
    assert given["untouched"]
    assert "installed already" in given["twice"]
    assert all(text.startswith("ZimTap.install: ") for text in given["said"])


async def test_uninstall_puts_everything_back_and_the_apps_handler_in_its_place() -> None:
    given = await run("uninstall")
    assert given == {"patched": True, "restored": True, "slots": [["connectionStateChanged", True]]}


async def test_a_kick_and_values_of_a_later_sdk_arrive_as_they_came() -> None:
    async with taking() as taken:
        given = await run("life", taken.url)
    assert given["left"] == 0
    events = taken.accepted
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    changes = [event for event in events if event["type"] == "connection_state_changed"]
    assert [(one["state"], one["event"]) for one in changes] == [
        (2, 0), (0, 4), (2, 0), (3, 3), (7, "later"), (0, 0),
    ]  # fmt: skip
    assert changes[1]["extended_data"] == '{"reason":1,"message":"\ufffd half a pair"}'
    first, second = changes[0]["session_id"], changes[2]["session_id"]
    assert first != second
    assert [one["session_id"] for one in changes] == [first, first, second, second, second, second]
    logins = [event["token_expires_at"] for event in events if event["type"] == "login"]
    assert logins == ["2030-07-12T03:33:20.000Z", None]
    (renewed,) = [event for event in events if event["type"] == "token_renewed"]
    assert (renewed["code"], renewed["token_expires_at"]) == (0, logins[0])
    assert {event["id"][14] for event in events} == {"7"}
    for secret in (b"AAAAAHHZKoAAEA", b"a secret", b"nickname"):
        assert secret not in taken.bodies


async def test_what_is_refused_for_now_is_sent_again_in_the_same_order_and_with_the_same_ids() -> None:
    ids: list[str] = []

    def busy(number: int, batch: list[Any]) -> web.Response | None:
        ids.extend(event["id"] for event in batch if number == 1)
        if number == 1:
            return web.Response(status=503, headers={"Retry-After": "1"})
        return web.Response(status=500) if number == 2 else None

    async with taking(busy) as taken:
        given = await run("life", taken.url)
    assert given["problems"] == ["the server answered 503", "the server answered 500"]
    assert delivered(given["status"])
    assert [event["id"] for event in taken.accepted] == ids
    assert len(taken.requests) == 3


async def test_a_batch_that_is_too_large_is_split() -> None:
    async with taking(lambda _number, batch: web.Response(status=413) if len(batch) > 2 else None) as taken:
        given = await run("life", taken.url)
    assert delivered(given["status"])
    assert [event["seq"] for event in taken.accepted] == list(range(1, len(taken.accepted) + 1))


async def test_an_event_that_can_never_be_taken_does_not_hold_up_the_others() -> None:
    def picky(_number: int, batch: list[Any]) -> web.Response | None:
        return web.Response(status=400) if any(event["seq"] == 3 for event in batch) else None

    async with taking(picky) as taken:
        given = await run("life", taken.url)
    assert given["status"]["dropped"] == 1
    seqs = [event["seq"] for event in taken.accepted]
    assert seqs == [seq for seq in range(1, max(seqs) + 1) if seq != 3]


async def test_a_refused_token_is_told_to_the_developer_and_loses_nothing() -> None:
    async with taking(lambda number, _batch: web.Response(status=401) if number == 1 else None) as taken:
        given = await run("life", taken.url, "zwi_the-ingest-token")
    assert given["problems"] == ["the server answered 401"]
    assert delivered(given["status"])
    assert {request.headers["Authorization"] for request in taken.requests} == {"Bearer zwi_the-ingest-token"}


async def test_the_heart_beats_from_the_first_callback_to_the_end_of_the_login() -> None:
    async with taking() as taken:
        assert await run("heart", taken.url) == {"left": 0}
    types = [event["type"] for event in taken.accepted]
    assert types[:2] == ["login", "connection_state_changed"]
    assert types[-2:] == ["logout", "connection_state_changed"]
    beats = [event for event in taken.accepted if event["type"] == "heartbeat"]
    assert {(beat["state"], beat["user_id"]) for beat in beats} == {(2, "alice")}


async def test_what_waits_for_a_server_that_is_gone_keeps_no_process_alive() -> None:
    given = await run("bounded")
    assert given["left"] == given["status"]["queued"] > 0


async def test_of_a_full_queue_the_repeats_go_first_and_what_else_goes_is_counted() -> None:
    async with taking() as taken:
        given = await run("bounded", taken.url)
    kept = [event["seq"] for event in taken.accepted]
    assert kept == sorted(kept)
    recorded, status = given["recorded"], given["full"]
    assert len(kept) + status["dropped"] + status["droppedRepeats"] == recorded
    # All repeats of RECONNECTING went, and then the oldest of the rest.
    assert not [event for event in taken.accepted if event["seq"] in given["repeats"]]
    assert status["droppedRepeats"] == len(given["repeats"])
    assert kept == [seq for seq in range(1, recorded + 1) if seq not in given["repeats"]][-len(kept) :]
    assert status["queuedBytes"] <= given["limit"] < status["queuedBytes"] + 1000
    assert "the queue is full: events were dropped" in given["problems"]


async def test_what_a_killed_process_has_recorded_is_sent_by_the_next(tmp_path: Path) -> None:
    folder = tmp_path / "queue"
    killed = await asyncio.create_subprocess_exec("node", str(SCRIPT), "killed", NOWHERE, "", str(folder))
    assert await asyncio.wait_for(killed.wait(), ENDS_WITHIN_S) == -signal.SIGKILL
    (file,) = folder.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    with file.open("a") as half:
        half.write('{"id": "half a li')
    # It was recorded for another server, so this one does not get it.
    async with taking() as taken:
        assert (await run("heir", taken.url, "", str(folder)))["left"] == 0
    assert taken.accepted == []
    # The server of the killed one is back.
    renamed = file.name.replace(quote(f"{NOWHERE}/v1/events", safe="!~*'()"), "{}")
    assert renamed != file.name
    async with taking() as taken:
        file.rename(folder / renamed.format(quote(f"{taken.url}/v1/events", safe="!~*'()")))
        given = await run("heir", taken.url, "", str(folder))
    assert delivered(given["status"])
    assert [event["seq"] for event in taken.accepted] == list(range(1, 12))
    assert list(folder.iterdir()) == []


async def test_the_app_sees_the_same_of_data_that_is_not_what_the_typings_say() -> None:
    def everything(_number: int, batch: list[Any]) -> web.Response:
        return web.json_response({"accepted": len(batch), "duplicates": 0, "rejected": []})

    async with taking(everything) as taken:
        given = await run("strange", taken.url)
    assert given["same"]
    assert given["count"] > 40
    assert taken.bodies.count(b'"type":"api_error"') == given["refused"]
    assert b"hello" not in taken.bodies


async def test_no_change_of_the_clock_holds_events_up_and_its_error_is_known() -> None:
    async with taking() as taken:
        given = await run("clock", taken.url)
    assert given["left"] == 0
    assert len(taken.accepted) == 5
    assert 5_000 < given["status"]["clockOffsetMs"] < 9_000


async def test_a_call_that_is_refused_is_an_event_without_what_was_passed_in() -> None:
    async with taking() as taken:
        assert await run("refused", taken.url) == {"left": 0}
    errors = [event for event in taken.accepted if event["type"] == "api_error"]
    assert [(one["method"], one["code"]) for one in errors] == [("sendMessage", 6000121)] * 3
    assert b"secret words" not in taken.bodies


async def test_a_retry_after_may_be_a_date_by_the_servers_clock() -> None:
    times: list[float] = []

    def later(number: int, _batch: list[Any]) -> web.Response | None:
        times.append(asyncio.get_running_loop().time())
        # The server's clock is years behind this one's.
        headers = {"Date": "Sat, 01 Jan 2022 00:00:00 GMT", "Retry-After": "Sat, 01 Jan 2022 00:00:03 GMT"}
        return web.Response(status=503, headers=headers) if number == 1 else None

    async with taking(later) as taken:
        given = await run("life", taken.url)
    assert delivered(given["status"])
    assert times[1] - times[0] > 2  # it was obeyed: the first pause of its own is one second at most


async def test_a_long_body_is_packed_and_a_short_one_is_not() -> None:
    async with taking() as taken:
        await run("life", taken.url)
        await run("clock", taken.url)
    packed = {request.headers.get("Content-Encoding"): request.content_length for request in taken.requests}
    assert set(packed) == {"gzip", None}
