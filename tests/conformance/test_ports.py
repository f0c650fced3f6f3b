"""The reporters of ``docs/ports`` that can run here, each in an app of its own: what they tell arrives, once and right.

Their SDK is a stand-in. The one of React Native has the shapes of the Web SDK, and is run on that as well.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from aiohttp import web

from sidecar.domain.connection import EVENTS, STATES, connection_state
from tests.conformance.test_tap_delivers import taking
from tests.conformance.watching import eventually
from tests.support.running import zimwatch
from tests.support.vectors import schema

HERE = Path(__file__).parent / "ports"
DOCS = Path(__file__).parents[2] / "docs/ports"
NODE = Path(__file__).parents[2] / "sidecar/sdk/node"
ANDROID_JSON = "/usr/share/java/json-android.jar"
NOWHERE = "http://127.0.0.1:9"
ENDS_WITHIN_S = 60
APP = 1234567890
TOKEN = "04AAAAAHHZKoAAEA=="
TOKEN_ENDS = "2030-07-12T03:33:20.000Z"
KICKED = '{"message":"断线 🙂 \ufffd"}'

event_schema = jsonschema.Draft202012Validator(schema("event.v1.json"))


class Port(msgspec.Struct, frozen=True):
    """How a reporter's app is built in a folder and started there, and how its SDK writes what differs."""

    build: list[list[str]]
    start: list[str]
    platform: str
    sdk: str
    unknown: tuple[str, str] = ("7", "9")
    kicked: str = KICKED


def sources(folder: Path, ending: str) -> list[str]:
    return [str(path) for path in sorted(folder.rglob(f"*{ending}"))]


PORTS = {
    "cpp": Port(
        build=[
            [
                "g++",
                "-std=c++17",
                *("-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror", "-pthread"),
            ],
            [f"-I{HERE / 'cpp'}", f"-I{DOCS / 'cpp'}", str(HERE / "cpp/app.cpp"), "-o", "app"],
        ],
        start=["./app"],
        platform="Linux",
        sdk="zim-cpp",
        kicked=KICKED.replace("\ufffd", "\ufffd\ufffd\ufffd"),  # half a surrogate pair is three bytes that are no UTF-8
    ),
    "java": Port(
        build=[
            ["javac", "-encoding", "UTF-8", "-source", "8", "-target", "8", "-Xlint:all,-options", "-Werror"],
            ["-cp", ANDROID_JSON, "-d", ".", *sources(HERE / "android", ".java"), *sources(DOCS / "android", ".java")],
        ],
        start=["java", "-Dfile.encoding=UTF-8", "-cp", f".:{ANDROID_JSON}", "App"],
        platform="Android",
        sdk="zim-android",
        unknown=("HIBERNATING", "UNREGISTERED"),
        kicked=KICKED.replace("\ufffd", "?"),  # what Java makes of half a surrogate pair
    ),
    "csharp": Port(
        build=[
            ["mcs", "-langversion:7.2", "-warn:4", "-warnaserror", "-out:App.exe"],
            [*sources(HERE / "unity", ".cs"), *sources(DOCS / "unity", ".cs")],
        ],
        start=["mono", "App.exe"],
        platform="Win",
        sdk="zim-unity",
    ),
    "node": Port(
        build=[["cp", str(HERE / "react-native/app.mjs"), "."]],
        start=["node", "app.mjs"],
        platform="Android",
        sdk="zego-zim-react-native",
    ),
}
# Node.js takes a file for a module by its ending; a bundler of React Native does not mind.
REPORTER = (DOCS / "react-native/zimwatch-reporter.js", "zimwatch-reporter.mjs")

App = Callable[..., Awaitable[Any]]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Awaitable[Path]]:
    """Builds a port's app once, and gives the folder that it is in."""
    folders: dict[str, Path] = {}

    async def build(name: str) -> Path:
        if name not in folders:
            folder = tmp_path_factory.mktemp(name)
            shutil.copy(REPORTER[0], folder / REPORTER[1])
            await run([word for part in PORTS[name].build for word in part], folder)
            folders[name] = folder
        return folders[name]

    return build


async def run(command: list[str], folder: Path, until: Callable[[], Awaitable[bool]] | None = None) -> bytes:
    """What a command says; with ``until`` it gets a line to read once that holds."""
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
    return output


@pytest.fixture(params=[pytest.param(name, marks=getattr(pytest.mark, name)) for name in PORTS])
def port(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def queue(tmp_path: Path) -> Path:
    return tmp_path / "queue"


@pytest.fixture
def app(port: str, queue: Path, built: Callable[[str], Awaitable[Path]]) -> App:
    """Runs a scenario of the port's app against an endpoint; what it says of itself at the end."""

    async def start(scenario: str, endpoint: str, until: Callable[[], Awaitable[bool]] | None = None) -> Any:
        folder = await built(port)
        return json.loads(await run([*PORTS[port].start, scenario, endpoint, str(queue), TOKEN], folder, until))

    return start


def waiting(queue: Path) -> list[Any]:
    return [json.loads(line) for line in queue.read_text(encoding="utf-8").splitlines()]


def cut_off(queue: Path) -> None:
    """As a process leaves it that is killed while it writes."""
    with queue.open("a") as file:
        file.write('{"id":"cut off')


def check_life(events: list[dict[str, Any]], port: Port) -> None:
    """A life of carol's as the server gives it back, oldest first."""
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


async def test_what_it_sees_is_on_the_users_page_and_the_apps_handler_ran(app: App, port: str, tmp_path: Path) -> None:
    async with zimwatch(tmp_path) as running:
        assert await app("life", running.url) == {"empty": True, "dropped": 0, "handled": 8}
        _, user = await running.get(f"/v1/users/{APP}/carol")
        _, read = await running.get(f"/v1/users/{APP}/carol/events")
        assert await running.store.rejected(1) == []
    assert (user["status"], user["reason"]) == ("not_logged_in", "SUCCESS")
    assert user["sessions"][0]["outages"] == 1
    check_life(read["events"][::-1], PORTS[port])


@pytest.mark.node
async def test_the_one_for_react_native_tells_what_the_real_sdk_says(
    tmp_path: Path, queue: Path, built: Callable[[str], Awaitable[Path]]
) -> None:
    async with zimwatch(tmp_path) as running:
        command = [*PORTS["node"].start, "real", running.url, str(queue), TOKEN, str(NODE)]
        told = json.loads(await run(command, await built("node")))
        assert (told["empty"], told["dropped"]) == (True, 0)
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
        (STATES[one["state"]], EVENTS[one["event"]], one["extendedData"]) for one in told["callbacks"] if "state" in one
    ]
    assert {"CONNECTED", "RECONNECTING", "DISCONNECTED"} == {change[0] for change in changes}
    assert [one["second"] for one in events if "second" in one] == [
        one["second"] for one in told["callbacks"] if "second" in one
    ]


async def test_what_it_could_not_hand_over_is_kept_and_arrives_once_from_the_next_process(
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
        assert await running.store.rejected(1) == []
    assert [one["id"] for one in read["events"][::-1]] == [one["id"] for one in kept]
    check_life(read["events"][::-1], PORTS[port])
    assert waiting(queue) == []


async def test_what_is_refused_for_now_is_sent_again_when_the_server_says_and_what_is_too_large_is_split(
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

    async with taking(busy) as taken:
        assert (await app("life", taken.url))["empty"] is True
    assert [event["seq"] for event in taken.accepted] == list(range(1, 16))
    assert arrived[1] - arrived[0] >= 1


async def test_an_event_that_can_never_be_taken_is_given_up_and_counted(app: App) -> None:
    def picky(_number: int, batch: list[Any]) -> web.Response | None:
        return web.Response(status=400) if any(event["seq"] == 3 for event in batch) else None

    async with taking(picky) as taken:
        assert await app("life", taken.url) == {"empty": True, "dropped": 1, "handled": 8}
    assert [event["seq"] for event in taken.accepted] == [seq for seq in range(1, 16) if seq != 3]


async def test_its_heart_beats_from_the_first_callback_to_the_end_of_the_login(app: App) -> None:
    async with taking() as taken:

        async def heard() -> bool:
            return len([event for event in taken.accepted if event["type"] == "heartbeat"]) > 1

        assert (await app("heart", taken.url, heard))["empty"] is True
    types = [event["type"] for event in taken.accepted]
    assert types[0] == "login"
    assert types[-2:] == ["logout", "connection_state_changed"]
    beats = [event for event in taken.accepted if event["type"] == "heartbeat"]
    for beat in beats:
        event_schema.validate(beat)
        assert (connection_state(beat["state"]), beat["user_id"]) == ("CONNECTED", "carol")


async def test_what_waits_for_a_server_that_is_gone_is_bounded(app: App, queue: Path) -> None:
    assert await app("bounded", NOWHERE) == {"empty": False, "dropped": 40, "handled": 50}
    assert len(waiting(queue)) == 10
