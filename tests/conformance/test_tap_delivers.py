"""How the tap delivers events, and how it is installed and removed; with a fake SDK."""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp import web

from sidecar.version import VERSION
from tests.conformance.event_server import event_server

SCRIPT = Path(__file__).parent / "scripts/stand-in.cjs"
NOWHERE = "http://127.0.0.1:9"
ENDS_WITHIN_S = 30

pytestmark = pytest.mark.node


async def run(scenario: str, endpoint: str = NOWHERE, *token: str) -> Any:
    process = await asyncio.create_subprocess_exec(
        *("node", str(SCRIPT), scenario, endpoint, *token), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await asyncio.wait_for(process.communicate(), ENDS_WITHIN_S)
    assert process.returncode == 0
    return json.loads(output)


def delivered(status: dict[str, Any]) -> bool:
    return (status["queued"], status["queuedBytes"], status["dropped"], status["problem"]) == (0, 0, 0, None)


async def test_a_late_repeated_or_invalid_install_throws_and_changes_nothing() -> None:
    given = await run("refusals")
    assert "install the tap before ZIM.create()" in given["late"]
    assert given["kept"]
    assert given["untouched"]
    assert "installed already" in given["twice"]
    assert all(text.startswith("ZimTap.install: ") for text in given["errors"])


async def test_uninstall_restores_the_sdk_with_the_apps_handler() -> None:
    given = await run("uninstall")
    assert given == {"patched": True, "restored": True, "slots": [["connectionStateChanged", True]]}


async def test_a_kick_and_values_of_a_later_sdk_arrive_unchanged() -> None:
    async with event_server() as server:
        given = await run("life", server.url)
    assert given["left"] == 0
    events = server.accepted
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
        assert secret not in server.bodies


async def test_a_refused_batch_is_retried_in_the_same_order_with_the_same_ids() -> None:
    ids: list[str] = []

    def busy(number: int, batch: list[Any]) -> web.Response | None:
        ids.extend(event["id"] for event in batch if number == 1)
        if number == 1:
            return web.Response(status=503, headers={"Retry-After": "1"})
        return web.Response(status=500) if number == 2 else None

    async with event_server(busy) as server:
        given = await run("life", server.url)
    assert given["problems"] == ["the server answered 503", "the server answered 500"]
    assert delivered(given["status"])
    assert [event["id"] for event in server.accepted] == ids
    assert len(server.requests) == 3


async def test_each_request_has_the_assertion_of_the_one_user_whose_events_it_has() -> None:
    sent: list[tuple[str | None, list[str | None]]] = []

    def note(_number: int, batch: list[Any]) -> web.Response | None:
        users = list(dict.fromkeys(event["user_id"] for event in batch))
        sent.append((server.requests[-1].headers.get("Zimwatch-Assertion"), users))
        return None

    async with event_server(note) as server:
        given = await run("proof", server.url)
    # What is not known yet waits for another try; events before the first login go with the first user's.
    assert given["wanted"] == ["alice", "alice", "bob", "carol"]
    assert given["problems"] == ["events cannot be delivered (the backend is away)"]
    assert sent == [("of alice", [None, "alice"]), ("of bob", ["bob"]), (None, ["carol"])]
    assert delivered(given["status"])
    assert given["warnings"] == []


async def test_a_page_that_is_left_sends_the_assertion_before_its_events_or_leaves_them_for_later() -> None:
    async with event_server() as server:
        given = await run("leaving", server.url)
    assert given["before"] == 0
    assert given["first"] == {"assertion": "of alice"}
    assert given["types"] == ["connection_state_changed"]
    assert given["left"] == 0


async def test_a_batch_that_is_too_large_is_split() -> None:
    async with event_server(lambda _number, batch: web.Response(status=413) if len(batch) > 2 else None) as server:
        given = await run("life", server.url)
    assert delivered(given["status"])
    assert [event["seq"] for event in server.accepted] == list(range(1, len(server.accepted) + 1))


async def test_an_event_refused_alone_does_not_delay_the_others() -> None:
    def picky(_number: int, batch: list[Any]) -> web.Response | None:
        return web.Response(status=400) if any(event["seq"] == 3 for event in batch) else None

    async with event_server(picky) as server:
        given = await run("life", server.url)
    assert given["status"]["dropped"] == 1
    seqs = [event["seq"] for event in server.accepted]
    assert seqs == [seq for seq in range(1, max(seqs) + 1) if seq != 3]


async def test_a_refused_token_is_reported_and_loses_nothing() -> None:
    async with event_server(lambda number, _batch: web.Response(status=401) if number == 1 else None) as server:
        given = await run("life", server.url, "zwi_the-ingest-token")
    assert given["problems"] == ["the server answered 401"]
    assert delivered(given["status"])
    assert {request.headers["Authorization"] for request in server.requests} == {"Bearer zwi_the-ingest-token"}


async def test_heartbeats_last_from_the_first_callback_to_the_end_of_the_login() -> None:
    async with event_server() as server:
        assert await run("heart", server.url) == {"left": 0}
    types = [event["type"] for event in server.accepted]
    assert types[:2] == ["login", "connection_state_changed"]
    assert types[-2:] == ["logout", "connection_state_changed"]
    beats = [event for event in server.accepted if event["type"] == "heartbeat"]
    assert {(beat["state"], beat["user_id"]) for beat in beats} == {(2, "alice")}


async def test_queued_events_do_not_keep_the_process_alive() -> None:
    given = await run("bounded")
    assert given["left"] == given["status"]["queued"] > 0


async def test_a_full_queue_drops_repeats_first_and_counts_the_others() -> None:
    async with event_server() as server:
        given = await run("bounded", server.url)
    kept = [event["seq"] for event in server.accepted]
    assert kept == sorted(kept)
    recorded, status = given["recorded"], given["full"]
    assert len(kept) + status["dropped"] + status["droppedRepeats"] == recorded
    # All repeats of RECONNECTING were dropped, and then the oldest of the others.
    assert not [event for event in server.accepted if event["seq"] in given["repeats"]]
    assert status["droppedRepeats"] == len(given["repeats"])
    assert kept == [seq for seq in range(1, recorded + 1) if seq not in given["repeats"]][-len(kept) :]
    assert status["queuedBytes"] <= given["limit"] < status["queuedBytes"] + 1000
    assert "the queue is full: events were dropped" in given["problems"]


async def test_the_events_of_a_killed_process_are_sent_by_the_next(tmp_path: Path) -> None:
    folder = tmp_path / "queue"
    killed = await asyncio.create_subprocess_exec("node", str(SCRIPT), "killed", NOWHERE, "", str(folder))
    assert await asyncio.wait_for(killed.wait(), ENDS_WITHIN_S) == -signal.SIGKILL
    (file,) = folder.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    with file.open("a") as half:
        half.write('{"id": "half a li')
    # Recorded for another server: this one does not receive them.
    async with event_server() as server:
        assert (await run("heir", server.url, "", str(folder)))["left"] == 0
    assert server.accepted == []
    # The server of the killed process is back.
    renamed = file.name.replace(quote(f"{NOWHERE}/v1/events", safe="!~*'()"), "{}")
    assert renamed != file.name
    async with event_server() as server:
        file.rename(folder / renamed.format(quote(f"{server.url}/v1/events", safe="!~*'()")))
        given = await run("heir", server.url, "", str(folder))
    assert delivered(given["status"])
    assert [event["seq"] for event in server.accepted] == list(range(1, 12))
    assert list(folder.iterdir()) == []


async def test_the_app_sees_the_same_with_data_that_differs_from_the_typings() -> None:
    def everything(_number: int, batch: list[Any]) -> web.Response:
        return web.json_response({"accepted": len(batch), "duplicates": 0, "rejected": []})

    async with event_server(everything) as server:
        given = await run("strange", server.url)
    assert given["same"]
    assert given["count"] > 40
    assert server.bodies.count(b'"type":"api_error"') == given["refused"]
    assert b"hello" not in server.bodies


async def test_changes_of_the_clock_delay_no_events_and_its_offset_is_known() -> None:
    async with event_server() as server:
        given = await run("clock", server.url)
    assert given["left"] == 0
    assert len(server.accepted) == 5
    assert 5_000 < given["status"]["clockOffsetMs"] < 9_000


async def test_a_rejected_call_is_an_event_without_its_arguments() -> None:
    async with event_server() as server:
        assert await run("refused", server.url) == {"left": 0}
    errors = [event for event in server.accepted if event["type"] == "api_error"]
    assert [(one["method"], one["code"]) for one in errors] == [("sendMessage", 6000121)] * 3
    assert b"secret words" not in server.bodies


async def test_retry_after_may_be_a_date_by_the_servers_clock() -> None:
    times: list[float] = []

    def later(number: int, _batch: list[Any]) -> web.Response | None:
        times.append(asyncio.get_running_loop().time())
        # The server's clock is years behind this one's.
        headers = {"Date": "Sat, 01 Jan 2022 00:00:00 GMT", "Retry-After": "Sat, 01 Jan 2022 00:00:03 GMT"}
        return web.Response(status=503, headers=headers) if number == 1 else None

    async with event_server(later) as server:
        given = await run("life", server.url)
    assert delivered(given["status"])
    assert times[1] - times[0] > 2  # the backoff alone is one second at most


async def test_each_attempt_has_the_devices_time() -> None:
    async with event_server(lambda number, _batch: web.Response(status=503) if number == 1 else None) as server:
        await run("life", server.url)
    moments = [request.query["sent_at"] for request in server.requests]
    assert len(moments) == len(set(moments)) == 2
    for moment, request in zip(moments, server.requests, strict=True):
        assert (len(moment), moment[-5], moment[-1]) == (24, ".", "Z")
        sent = datetime.fromisoformat(moment)
        assert sent >= max(datetime.fromisoformat(event["occurred_at"]) for event in server.accepted)
        assert request.query_string == f"sent_at={moment}"


async def test_a_clock_of_another_century_loses_no_event() -> None:
    """A device without battery starts in 1970, or before in time zones west of Greenwich."""

    def any_clock(_number: int, batch: list[Any]) -> web.Response:
        times.append(batch[0]["occurred_at"])
        ids.extend(event["id"] for event in batch)
        return web.json_response({"accepted": len(batch), "duplicates": 0, "rejected": []})

    times: list[str] = []
    ids: list[str] = []
    async with event_server(any_clock) as server:
        for moment_ms in (915_148_800_000, -8 * 3_600_000):
            given = await run("old", server.url, "", str(moment_ms))
            assert given["left"] == 0
            assert delivered(given["status"])
    assert [moment[:10] for moment in times] == ["1999-01-01", "1969-12-31"]
    assert [request.query["sent_at"][:10] for request in server.requests] == ["1999-01-01", "1969-12-31"]
    assert {(len(uuid), uuid[14]) for uuid in ids} == {(36, "7")}


async def test_events_name_the_tap_and_its_version() -> None:
    async with event_server() as server:
        await run("life", server.url)
    assert {json.dumps(event["reporter"]) for event in server.accepted} == {
        json.dumps({"name": "zim-tap", "version": VERSION})
    }


async def test_a_logout_without_a_callback_ends_the_login() -> None:
    async with event_server() as server:
        assert (await run("silent", server.url))["left"] == 0
    steps: list[tuple[str, int]] = []  # each event, and the number of heartbeats after it
    for event in server.accepted:
        if event["type"] == "heartbeat":
            steps[-1] = (steps[-1][0], steps[-1][1] + 1)
        elif event["type"] != "login_result":
            steps.append((f"{event['type']} {event.get('state', '')}".strip(), 0))
    names = [name for name, _ in steps]
    assert names == [
        *("login", "connection_state_changed 2", "connection_state_changed 3", "logout"),
        *("connection_state_changed 3", "connection_state_changed 2", "logout", "login", "connection_state_changed 2"),
    ]
    beats = [bool(count) for _, count in steps]
    assert beats == [False, True, True, False, False, True, False, False, True]
    sessions = [session for session, _ in itertools.groupby(event["session_id"] for event in server.accepted)]
    assert len(sessions) == 2


async def test_refused_events_are_counted_and_logged_once_with_the_reason() -> None:
    def picky(_number: int, batch: list[Any]) -> web.Response:
        bad = [{"index": 0, "id": batch[0]["id"], "error": "second must be an integer"}]
        return web.json_response(
            {"accepted": 0, "duplicates": 0, "rejected": bad, "rejected_more": len(batch) - 1, "heartbeat_after_s": 15}
        )

    async with event_server(picky) as server:
        given = await run("life", server.url)
    problem = "the server refused an event (second must be an integer)"
    assert given["warnings"] == [f"ZimTap: {problem}"]
    assert given["problems"] == [problem]
    assert (given["status"]["queued"], given["status"]["dropped"]) == (0, 12)


async def test_an_event_refused_alone_is_logged_once() -> None:
    async with event_server(lambda _number, _batch: web.Response(status=413)) as server:
        given = await run("life", server.url)
    assert given["warnings"] == ["ZimTap: the server refused an event (413)"]
    assert given["status"]["dropped"] == 12


async def test_an_unreachable_server_or_a_refused_token_logs_nothing_on_the_console() -> None:
    async with event_server(
        lambda number, _batch: web.Response(status=(0, 503, 401)[number]) if number < 3 else None
    ) as server:
        given = await run("life", server.url)
    assert given["warnings"] == []
    assert delivered(given["status"])


async def test_without_consent_nothing_changes_and_withdrawing_it_discards_the_queue(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "queue"
    async with event_server() as server:
        given = await run("consent", server.url, "", str(folder))
    assert (given["untouched"], given["nothing"], given["kept"], given["warnings"]) == (True, [0, 0], True, [])
    assert (given["left"], given["status"]["queued"], given["status"]["queuedBytes"]) == (0, 0, 0)
    assert [(event["user_id"], event.get("state")) for event in server.accepted] == [
        ("alice", None),
        ("alice", 2),
        ("alice", None),
    ]
    assert list(folder.iterdir()) == []


async def test_unknown_options_are_named_once() -> None:
    assert await run("typo") == ["ZimTap: unknown options: deviceID, ingesttoken"]


@pytest.mark.parametrize(("named", "obeyed"), [(1, True), (None, False), (0, False), ("soon", False), (10**9, False)])
async def test_the_server_sets_the_interval_between_heartbeats(named: object, *, obeyed: bool) -> None:
    def paced(_number: int, batch: list[Any]) -> web.Response:
        beats.extend(event["occurred_at"] for event in batch if event["type"] == "heartbeat")
        return web.json_response({"accepted": len(batch), "duplicates": 0, "rejected": [], "heartbeat_after_s": named})

    beats: list[str] = []
    async with event_server(paced) as server:
        assert await run("heart", server.url) == {"left": 0}
    assert (len(beats) < 10) == obeyed  # it is logged in for some 0.3 s, with a heartbeat every 10 ms


async def test_the_interval_grows_and_shrinks_and_no_wait_is_longer() -> None:
    named = [600, 600, 3600, 15, 240]

    def paced(number: int, batch: list[Any]) -> web.Response:
        after_s = named[min(number, len(named)) - 1]
        return web.json_response(
            {"accepted": len(batch), "duplicates": 0, "rejected": [], "heartbeat_after_s": after_s}
        )

    async with event_server(paced) as server:
        waits = (await run("paced", server.url))["waits"]
    assert [any(0.8 * after_s <= wait <= after_s for after_s in [3600, *named]) for wait in waits] == [True] * 5
    assert [round(wait, 3) for wait in waits] != [3600, 600, 3600, 15, 240], "they are spread"
    assert waits[3] <= 15 < waits[4]


async def test_an_answer_starts_no_heartbeats_in_a_frozen_page() -> None:
    def each_second(_number: int, batch: list[Any]) -> web.Response:
        types.extend(event["type"] for event in batch)
        return web.json_response({"accepted": len(batch), "duplicates": 0, "rejected": [], "heartbeat_after_s": 1})

    types: list[str] = []
    async with event_server(each_second) as server:
        assert await run("frozen", server.url) == {"left": 0}
    assert "heartbeat" in types
    assert types.index("heartbeat") > types.index("token_renewed")


async def test_only_long_bodies_are_compressed() -> None:
    async with event_server() as server:
        await run("life", server.url)
        await run("clock", server.url)
    packed = {request.headers.get("Content-Encoding"): request.content_length for request in server.requests}
    assert set(packed) == {"gzip", None}
