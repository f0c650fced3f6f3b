"""The reporters of ``docs/ports`` that can run here, each in an app: their events arrive once and correctly.

Their SDK is a fake. That of React Native has the shapes of the Web SDK, and its reporter also runs on the real one.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from aiohttp import web

from sidecar.domain.sdk_words import EVENTS, STATES, connection_state
from sidecar.ingest.assertions import HEADER
from sidecar.store.log import rejected_events
from sidecar.version import VERSION
from tests.conformance.event_server import event_server
from tests.conformance.port_apps import PORTS, REPORTER, Port
from tests.conformance.watching import eventually
from tests.support.running import zimwatch
from tests.support.vectors import schema

DOCS = Path(__file__).parents[2] / "docs/ports"
NODE = Path(__file__).parents[2] / "sidecar/sdk/node"
NOWHERE = "http://127.0.0.1:9"
ENDS_WITHIN_S = 60
APP = 1234567890
LOOKS = 10
TOKEN = "04AAAAAHHZKoAAEA=="
TOKEN_ENDS = "2030-07-12T03:33:20.000Z"

event_schema = jsonschema.Draft202012Validator(schema("event.v1.json"))


App = Callable[..., Awaitable[Any]]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Awaitable[Path]]:
    """Builds a port's app once; returns its folder."""
    folders: dict[str, Path] = {}

    async def build(name: str) -> Path:
        if name not in folders:
            folder = tmp_path_factory.mktemp(name)
            shutil.copy(REPORTER[0], folder / REPORTER[1])
            await run([word for part in PORTS[name].build for word in part], folder)
            folders[name] = folder
        return folders[name]

    return build


async def run(
    command: list[str],
    folder: Path,
    until: Callable[[], Awaitable[bool]] | None = None,
    errors_to: list[str] | None = None,
) -> bytes:
    """The output of a command. It gets a line on stdin once ``until`` holds; its stderr is added to ``errors_to``."""
    process = await asyncio.create_subprocess_exec(*command, cwd=folder, stdin=PIPE, stdout=PIPE, stderr=PIPE)
    try:
        if until is not None:
            await eventually(until, ENDS_WITHIN_S)
        output, errors = await asyncio.wait_for(process.communicate(b"\n" if until else None), ENDS_WITHIN_S)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, errors.decode()
    if errors_to is not None:
        errors_to += errors.decode().splitlines()
    return output


@pytest.fixture(params=[pytest.param(name, marks=getattr(pytest.mark, name)) for name in PORTS])
def port(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def queue(tmp_path: Path) -> Path:
    return tmp_path / "queue"


@pytest.fixture
def app(port: str, queue: Path, built: Callable[[str], Awaitable[Path]]) -> App:
    """Runs a scenario of the port's app against an endpoint; returns its report."""

    async def start(
        scenario: str,
        endpoint: str,
        until: Callable[[], Awaitable[bool]] | None = None,
        errors_to: list[str] | None = None,
    ) -> Any:
        folder = await built(port)
        return json.loads(
            await run([*PORTS[port].start, scenario, endpoint, str(queue), TOKEN], folder, until, errors_to)
        )

    return start


def waiting(queue: Path) -> list[Any]:
    return [json.loads(line) for line in queue.read_text(encoding="utf-8").splitlines()]


def cut_off(queue: Path) -> None:
    """Simulates a process that was killed while writing."""
    with queue.open("a") as file:
        file.write('{"id":"cut off')


def check_life(events: list[dict[str, Any]], port: Port) -> None:
    """Checks carol's events as the server returns them, oldest first."""
    changes = [one for one in events if one["type"] == "connection_state_changed"]
    assert [(one["connection_state"], one["connection_event"]) for one in changes] == [
        ("CONNECTED", "SUCCESS"),
        ("DISCONNECTED", "KICKED_OUT"),
        ("CONNECTED", "SUCCESS"),
        ("RECONNECTING", "LOGIN_INTERRUPTED"),
        ("RECONNECTING", "LOGIN_INTERRUPTED"),
        port.unknown,
        ("DISCONNECTED", "SUCCESS"),
    ]
    assert changes[1]["extended_data"] == port.kicked
    assert [one["type"] for one in events if one["type"] != "connection_state_changed"] == [
        *("login", "login_result", "token_will_expire", "token_renewed", "login", "login_result", "api_error", "logout")
    ]
    assert [one["seq"] for one in events] == list(range(1, len(events) + 1))
    assert {one["id"][14] for one in events} == {"7"}
    assert len({one["client_id"] for one in events}) == 1
    first, second = events[0]["session_id"], events[-1]["session_id"]
    assert first != second
    assert [one["session_id"] for one in events] == [first] * 6 + [second] * (len(events) - 6)
    assert {(one["app_id"], one["user_id"], one["platform"]) for one in events} == {(APP, "carol", port.platform)}
    assert {one["sdk"]["name"] for one in events} == {port.sdk}
    assert {(one["app_version"], one["device_id"]) for one in events} == {("4.2", "port")}
    ends = [one["token_expires_at"] for one in events if one["type"] in {"login", "token_renewed"}]
    assert ends == [TOKEN_ENDS, TOKEN_ENDS, None]
    assert [one["second"] for one in events if one["type"] == "token_will_expire"] == [-5]
    assert [one["code"] for one in events if "code" in one] == [0, 0, 0, 6000121]


async def test_events_are_stored_and_the_apps_handler_runs(app: App, port: str, tmp_path: Path) -> None:
    async with zimwatch(tmp_path) as running:
        assert await app("life", running.url) == {"empty": True, "dropped": 0, "handled": 8}
        _, user = await running.get(f"/v1/users/{APP}/carol")
        _, read = await running.get(f"/v1/users/{APP}/carol/events")
        assert await running.store.read(rejected_events.newest, 1) == []
    assert (user["status"], user["reason"]) == ("not_logged_in", "SUCCESS")
    assert user["sessions"][0]["outages"] == 1
    check_life(read["events"][::-1], PORTS[port])


@pytest.mark.node
async def test_the_one_for_react_native_reports_the_callbacks_of_the_real_sdk(
    tmp_path: Path, queue: Path, built: Callable[[str], Awaitable[Path]]
) -> None:
    async with zimwatch(tmp_path) as running:
        command = [*PORTS["node"].start, "real", running.url, str(queue), TOKEN, str(NODE)]
        report = json.loads(await run(command, await built("node")))
        assert (report["empty"], report["dropped"]) == (True, 0)
        _, user = await running.get(f"/v1/users/{APP}/carol")
        _, read = await running.get(f"/v1/users/{APP}/carol/events")
    assert (user["status"], user["reason"]) == ("not_logged_in", "TOKEN_EXPIRED")
    events = read["events"][::-1]
    assert [event["type"] for event in events[:1]] == ["login"]
    changes = [
        (one["connection_state"], one["connection_event"], one["extended_data"])
        for one in events
        if one["type"] == "connection_state_changed"
    ]
    assert changes == [
        (STATES[one["state"]], EVENTS[one["event"]], one["extendedData"])
        for one in report["callbacks"]
        if "state" in one
    ]
    assert {"CONNECTED", "RECONNECTING", "DISCONNECTED"} == {change[0] for change in changes}
    assert [one["second"] for one in events if "second" in one] == [
        one["second"] for one in report["callbacks"] if "second" in one
    ]


async def test_undelivered_events_arrive_once_from_the_next_process(
    app: App, port: str, queue: Path, tmp_path: Path
) -> None:
    assert (await app("life", NOWHERE))["empty"] is False
    kept = waiting(queue)
    for event in kept:
        event_schema.validate(event)
        assert not [secret for secret in (TOKEN, "a secret", "nickname") if secret in json.dumps(event)]
    cut_off(queue)
    async with zimwatch(tmp_path) as running:
        assert await app("later", running.url) == {"empty": True, "dropped": 0, "handled": 0}
        _, read = await running.get(f"/v1/users/{APP}/carol/events")
        assert await running.store.read(rejected_events.newest, 1) == []
    assert [one["id"] for one in read["events"][::-1]] == [one["id"] for one in kept]
    check_life(read["events"][::-1], PORTS[port])
    assert waiting(queue) == []


async def test_a_refused_batch_is_retried_after_retry_after_and_a_large_one_is_split(
    app: App,
) -> None:
    arrived: list[float] = []

    def busy(number: int, batch: list[Any]) -> web.Response | None:
        arrived.append(asyncio.get_running_loop().time())
        if number == 1:
            return web.Response(status=503, headers={"Retry-After": "1"})
        if number == 2:
            return web.Response(text="a proxy's own page")
        return web.Response(status=413) if len(batch) > 4 else None

    async with event_server(busy) as server:
        assert (await app("life", server.url))["empty"] is True
    assert [event["seq"] for event in server.accepted] == list(range(1, 16))
    assert arrived[1] - arrived[0] >= 1


async def test_an_event_refused_alone_is_dropped_and_counted(app: App) -> None:
    def picky(_number: int, batch: list[Any]) -> web.Response | None:
        return web.Response(status=400) if any(event["seq"] == 3 for event in batch) else None

    async with event_server(picky) as server:
        assert await app("life", server.url) == {"empty": True, "dropped": 1, "handled": 8}
    assert [event["seq"] for event in server.accepted] == [seq for seq in range(1, 16) if seq != 3]


async def test_heartbeats_last_from_the_first_callback_to_the_end_of_the_login(app: App) -> None:
    async with event_server() as server:

        async def received() -> bool:
            return len([event for event in server.accepted if event["type"] == "heartbeat"]) > 1

        assert (await app("heart", server.url, received))["empty"] is True
    types = [event["type"] for event in server.accepted]
    assert types[0] == "login"
    assert types[-2:] == ["logout", "connection_state_changed"]
    beats = [event for event in server.accepted if event["type"] == "heartbeat"]
    for beat in beats:
        event_schema.validate(beat)
        assert (connection_state(beat["state"]), beat["user_id"]) == ("CONNECTED", "carol")


async def test_a_withdrawn_consent_discards_the_queue_and_a_given_one_begins_again(app: App, queue: Path) -> None:
    await app("bounded", NOWHERE)
    earlier = {event["client_id"] for event in waiting(queue)}
    looks: list[int] = []

    def refuses_earlier(_number: int, batch: list[Any]) -> web.Response | None:
        return web.Response(status=503) if any(event["client_id"] in earlier for event in batch) else None

    async with event_server(refuses_earlier) as server:

        async def looked() -> bool:
            looks.append(1)
            return len(looks) > LOOKS  # a look takes longer than a heartbeat

        report = await app("consent", server.url, looked)
    assert (report["empty"], report["dropped"]) == (True, 0)
    told = [event for event in server.accepted if event["type"] != "heartbeat"]
    assert [event["type"] for event in told][-3:] == ["connection_state_changed", "logout", "connection_state_changed"]
    states = [connection_state(one["state"]) for one in told if one["type"] == "connection_state_changed"]
    assert "RECONNECTING" not in states
    assert "api_error" not in {event["type"] for event in told}
    assert states[-2:] == ["CONNECTED", "DISCONNECTED"]
    assert waiting(queue) == []


# The others read the queue as they start, and may have sent some of it before.
@pytest.mark.parametrize("port", [pytest.param("node", marks=pytest.mark.node)])
async def test_a_consent_withdrawn_while_the_stored_queue_is_read_discards_it(app: App, queue: Path) -> None:
    await app("bounded", NOWHERE)
    assert waiting(queue)
    async with event_server() as server:
        assert (await app("hasty", server.url))["empty"] is True
    assert server.accepted == []
    assert waiting(queue) == []


async def test_a_logout_without_a_callback_stops_heartbeats(app: App) -> None:
    looks: list[int] = []
    async with event_server() as server:

        async def received() -> bool:
            if [event["type"] for event in server.accepted][-2:] == ["logout", "connection_state_changed"]:
                looks.append(1)
            return len(looks) > LOOKS  # a look takes longer than a heartbeat

        assert (await app("silent", server.url, received))["empty"] is True
    types = [event["type"] for event in server.accepted]
    assert types[-2:] == ["logout", "connection_state_changed"]


async def test_with_a_ui_kit_a_reported_login_repeats_the_last_callback_for_that_user(app: App, tmp_path: Path) -> None:
    async with zimwatch(tmp_path) as running:

        async def confirmed() -> bool:
            status, user = await running.get(f"/v1/users/{APP}/carol")
            return bool(status == HTTPStatus.OK and (user["status"], user["reason"]) == ("online", "SUCCESS"))

        assert await app("kit", running.url, confirmed) == {"empty": True, "dropped": 0, "handled": 2}
        _, read = await running.get(f"/v1/users/{APP}/carol/events")
    stored = [(event["type"], event.get("connection_state")) for event in read["events"][::-1]]
    assert stored == [
        ("login", None),
        ("login_result", None),
        ("connection_state_changed", "CONNECTED"),
        ("logout", None),
    ]
    assert len({event["session_id"] for event in read["events"]}) == 1


async def test_each_attempt_has_the_devices_time_and_each_event_its_reporter(app: App, port: str) -> None:
    async with event_server(lambda number, _batch: web.Response(status=503) if number == 1 else None) as server:
        assert (await app("life", server.url))["empty"] is True
    assert len(server.requests) > 1
    for request in server.requests:
        assert request.query_string == f"sent_at={(moment := request.query['sent_at'])}"
        assert (len(moment), moment[-5], moment[-1]) == (24, ".", "Z")
        assert datetime.now(UTC) - datetime.fromisoformat(moment) < timedelta(seconds=ENDS_WITHIN_S)
    reporter = {"name": PORTS[port].reporter, "version": VERSION}
    assert [event["reporter"] for event in server.accepted] == [reporter] * len(server.accepted)


async def test_refused_events_are_counted_and_logged_once_with_the_reason(app: App) -> None:
    def picky(_number: int, batch: list[Any]) -> web.Response:
        bad = [{"index": at, "id": event["id"], "error": 'a "bad" event'} for at, event in enumerate(batch[:1])]
        more = {"rejected_more": len(batch) - 1, "heartbeat_after_s": 15}
        return web.json_response({"accepted": 0, "duplicates": 0, "rejected": bad, **more})

    errors: list[str] = []
    async with event_server(picky) as server:
        assert await app("life", server.url, errors_to=errors) == {"empty": True, "dropped": 15, "handled": 8}
    (line,) = [line for line in errors if "refused" in line]
    assert line.replace("\\", "") == 'Zimwatch: the server refused an event (a "bad" event)'


async def test_the_server_sets_the_interval_between_heartbeats(app: App) -> None:
    looks: list[int] = []
    beats: list[Any] = []

    def paced(_number: int, batch: list[Any]) -> web.Response:
        beats.extend(event for event in batch if event["type"] == "heartbeat")
        return web.json_response({"accepted": len(batch), "duplicates": 0, "rejected": [], "heartbeat_after_s": 3600})

    async with event_server(paced) as server:

        async def received() -> bool:
            looks.append(len(server.requests))
            return len(looks) > LOOKS and looks[-1] > 0

        assert (await app("heart", server.url, received))["empty"] is True
    assert len(beats) <= 1  # one may be on its way before the first answer


async def test_heartbeats_and_events_wait_for_retry_after_too(app: App) -> None:
    since_refused: list[float] = []

    def limited(_number: int, batch: list[Any]) -> web.Response | None:
        now = asyncio.get_running_loop().time()
        if since_refused or all(event["type"] == "heartbeat" for event in batch):
            since_refused.append(now)
        return web.Response(status=429, headers={"Retry-After": "2"}) if len(since_refused) == 1 else None

    async with event_server(limited) as server:

        async def waited() -> bool:
            return len(since_refused) > 1

        assert (await app("heart", server.url, waited))["empty"] is True
    assert since_refused[1] - since_refused[0] >= 2


async def test_a_shorter_interval_counts_at_once(app: App) -> None:
    beats: list[Any] = []
    accepted: list[int] = []

    def paced(number: int, batch: list[Any]) -> web.Response:
        if number == 1 and len(batch) > 1:
            return web.Response(status=413)  # so that they come one by one
        accepted.append(len(batch))
        beats.extend(event for event in batch if event["type"] == "heartbeat" and len(accepted) > 2)
        answer = {"accepted": len(batch), "duplicates": 0, "rejected": []}
        return web.json_response(answer | {"heartbeat_after_s": 3600 if len(accepted) == 1 else 1})

    async with event_server(paced) as server:

        async def received() -> bool:
            return bool(beats)

        assert (await app("heart", server.url, received))["empty"] is True


@pytest.mark.node
async def test_the_one_for_react_native_names_unknown_options(
    queue: Path, built: Callable[[str], Awaitable[Path]]
) -> None:
    errors: list[str] = []
    await run([*PORTS["node"].start, "typo", NOWHERE, str(queue), TOKEN], await built("node"), errors_to=errors)
    assert errors == ["Zimwatch: unknown options: deviceID, token"]


@pytest.mark.parametrize("port", [pytest.param(name, marks=getattr(pytest.mark, name)) for name in PORTS])
async def test_each_request_has_the_assertion_of_its_one_user(
    port: str, queue: Path, built: Callable[[str], Awaitable[Path]]
) -> None:
    sent: list[tuple[str, set[str]]] = []

    def note(_number: int, batch: list[Any]) -> web.Response | None:
        text = server.requests[-1].headers.get("Zimwatch-Assertion") or batch.pop(0)["assertion"]
        sent.append((text, {event["user_id"] for event in batch}))
        return None

    async with event_server(note) as server:
        await run([*PORTS[port].start, "proof", server.url, str(queue), TOKEN], await built(port))
    assert dict.fromkeys(text for text, _ in sent) == {"of alice": None, "of bob": None}
    assert all({text.removeprefix("of ")} == users for text, users in sent)


@pytest.mark.parametrize(
    "file", ["ios/Sources/ZimwatchReporter/ZimwatchReporter.swift", "flutter/lib/zimwatch_reporter.dart"]
)
def test_one_that_cannot_run_here_has_the_names_of_the_wire_and_no_others(file: str) -> None:
    text, wire = (DOCS / file).read_text(), schema("event.v1.json")
    names = {*wire["properties"], *wire["properties"]["type"]["enum"]}
    names |= {name for one in wire["oneOf"] for name in one["properties"]}
    names -= {"observed_at", "proven"}  # an edge's
    answered = set(schema("openapi.json")["components"]["schemas"]["Taken"]["properties"])
    written = set(re.findall(r"""["']([a-z_]+)["']""", text))
    assert names - written == set()
    assert {name for name in written if "_" in name} - names - answered - {"zego_zim"} == set()
    assert {"accepted", "rejected", "rejected_more", "heartbeat_after_s"} <= written & answered
    assert re.search(rf"""(?:setValue\(proof, forHTTPHeaderField: "|set\('){HEADER}["']""", text)
    assert "NOT COMPILED OR RUN" in text
    assert text.count("/v1/events") + text.count('"v1/events"') == 1


async def test_the_queue_for_an_unreachable_server_is_bounded(app: App, queue: Path) -> None:
    assert await app("bounded", NOWHERE) == {"empty": False, "dropped": 40, "handled": 50}
    assert len(waiting(queue)) == 10
