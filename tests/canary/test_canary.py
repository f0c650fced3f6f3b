"""The canary in the server and alone: its token, its strip on the overview, its metrics, its exit status."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from sidecar import app
from sidecar.canary import CanaryStatus, TokenError
from sidecar.canary.canary_token import token_source
from sidecar.sdk import NOWHERE
from sidecar.settings import CanarySettings, DatabaseSettings, ServerSettings, Settings
from tests.conformance.watching import eventually
from tests.support.canary import overview_with
from tests.support.process import serving
from tests.support.small_server import served

ROOT = Path(__file__).parents[2]
MAKES_A_TOKEN = shlex.join([sys.executable, "-m", "tests.support.made_token"])
WITHIN_S = 40
OK = 200


def _canary(**fields: Any) -> CanarySettings:
    given: dict[str, Any] = {"app_id": 7, "user_id": "canary", "token_command": MAKES_A_TOKEN, "login_timeout": "1s"}
    return CanarySettings(**given | {"network": NOWHERE} | fields)


async def _token(**fields: Any) -> str:
    settings = _canary(**{"token_command": None} | fields)
    return await token_source(settings, {"PATH": os.defpath, "PYTHONPATH": str(ROOT)})()


@pytest.fixture
async def tokens() -> AsyncIterator[str]:
    """The address of somebody's token server."""
    answers = {
        "/plain": web.Response(text="04plain\n"),
        "/json": web.json_response({"token": "04json", "expires": 1}),
        "/none": web.json_response({"error": "mallory"}),
        "/broken": web.Response(status=500, text="04no"),
        "/empty": web.Response(text=""),
    }

    async def answer(request: web.Request) -> web.Response:
        return answers[request.path]

    async with served(*(web.get(path, answer) for path in answers)) as address:
        yield address


async def test_a_token_comes_from_a_command_that_gets_the_account() -> None:
    assert await _token(token_command="sh -c 'echo $ZIM_APP_ID/$ZIM_USER_ID'") == "7/canary"
    assert (await _token(token_command=MAKES_A_TOKEN)).startswith("04")


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("sh -c 'echo not today >&2; exit 3'", "ended with 3: not today"),
        ("/no/such/program", "cannot be run: No such file"),
        ("'", "cannot be run: No closing quotation"),
        (" ", "cannot be run"),
        ("true", "is empty"),
    ],
)
async def test_a_command_without_a_token_is_reported_with_the_reason(command: str, why: str) -> None:
    with pytest.raises(TokenError, match=re.escape(why)):
        await _token(token_command=command)


async def test_a_token_comes_from_an_address_as_text_or_in_json(tokens: str) -> None:
    assert await _token(token_url=f"{tokens}/plain") == "04plain"
    assert await _token(token_url=f"{tokens}/json") == "04json"


@pytest.mark.parametrize(
    ("path", "why"), [("/none", "without a token"), ("/broken", "answered 500"), ("/empty", "is empty")]
)
async def test_an_address_without_a_token_is_reported_without_its_response(tokens: str, path: str, why: str) -> None:
    with pytest.raises(TokenError, match=why) as raised:
        await _token(token_url=tokens + path)
    assert "mallory" not in str(raised.value)


async def test_an_unreachable_address_is_reported_without_its_secrets() -> None:
    with pytest.raises(TokenError, match="not reached") as raised:
        await _token(token_url="http://127.0.0.1:9/?key=hunter2")
    assert "hunter2" not in str(raised.value)


def _settings(folder: Path, canary: CanarySettings) -> Settings:
    database = DatabaseSettings(url=f"sqlite:///{folder / 'zimwatch.db'}")
    return Settings(server=ServerSettings(port=0), database=database, canary=canary)


@pytest.mark.node
async def test_with_no_network_the_real_sdk_shows_zim_as_not_reachable_everywhere(tmp_path: Path) -> None:
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    async with (
        app.running(_settings(tmp_path, _canary()), environ) as served,
        aiohttp.ClientSession(served.url) as http,
    ):

        async def page() -> str:
            async with http.get("/") as answer:
                return await answer.text()

        async def is_shown() -> bool:
            return "ZIM cannot be reached from here" in await page()

        await eventually(is_shown, WITHIN_S)
        assert "The login has had no answer within 1 s." in await page()
        async with http.get("/metrics") as answer:
            metrics = await answer.text()
        assert re.search(r"^zimwatch_canary_reachable(\{.*\})? 0\.0$", metrics, re.MULTILINE)
        assert re.search(r"^zimwatch_canary_logins_total(\{.*\})? 0\.0$", metrics, re.MULTILINE)
        assert "zimwatch_canary_login_duration" not in metrics
        async with http.get("/v1/users/7/canary") as answer:
            user = await answer.json()
    assert (user["status"], user["reason"]) == ("offline", "LOGIN_INTERRUPTED")
    assert user["sessions"][0]["device_id"] == "zimwatch-canary"


async def test_without_a_canary_there_is_no_strip_and_no_metric(tmp_path: Path) -> None:
    async with (
        app.running(_settings(tmp_path, CanarySettings()), {}) as served,
        aiohttp.ClientSession(served.url) as http,
    ):
        async with http.get("/") as answer:
            assert "canary" not in await answer.text()
        async with http.get("/metrics") as answer:
            assert not re.search(r"^zimwatch_canary_\w+(\{.*\})? ", await answer.text(), re.MULTILINE)


async def test_without_node_the_server_serves_and_the_strip_names_what_is_missing(tmp_path: Path) -> None:
    async with (
        app.running(_settings(tmp_path, _canary()), {"PATH": str(tmp_path)}) as served,
        aiohttp.ClientSession(served.url) as http,
    ):

        async def is_shown() -> bool:
            async with http.get("/") as answer:
                return "Node.js is not installed" in await answer.text()

        await eventually(is_shown, WITHIN_S)


async def _once(folder: Path, **environ: str) -> tuple[int | None, str, str]:
    named = {f"ZIMWATCH_CANARY__{name.upper()}": value for name, value in environ.items()}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sidecar", "canary", "--once"),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **named},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await asyncio.wait_for(process.communicate(), WITHIN_S)
    return process.returncode, output.decode(), errors.decode()


GIVEN = {"app_id": "7", "user_id": "canary", "network": NOWHERE, "login_timeout": "1s"}


@pytest.mark.node
async def test_alone_and_once_it_exits_1_where_zim_is_not_reachable(tmp_path: Path) -> None:
    code, output, errors = await _once(tmp_path, **GIVEN, token_command=MAKES_A_TOKEN)
    assert (code, errors) == (1, "")
    assert re.fullmatch(r"\S+Z not reachable: the login has had no answer within 1 s\n", output)


@pytest.mark.node
async def test_alone_and_once_it_exits_3_where_it_cannot_be_known(tmp_path: Path) -> None:
    code, output, _ = await _once(tmp_path, **GIVEN, token_command="echo garbage")
    assert code == 3
    assert "not known: the login was refused: Token is invalid. (6000103)" in output


async def test_alone_it_refuses_to_start_with_half_of_its_settings(tmp_path: Path) -> None:
    code, _, errors = await _once(tmp_path, app_id="7", token_command="x", token_url="http://x")
    assert code == 2
    assert "canary.user_id must be given" in errors
    assert "not both" in errors
    code, _, errors = await _once(tmp_path)
    assert code == 2
    assert "canary.app_id" in errors


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, ["Unknown whether ZIM can be reached", "The first login is in progress", "Errors</dt><dd>none"]),
        (
            {"reachable": True, "since_us": 0, "login_duration_us": 312_000, "logins": 1, "reconnects": 2},
            ["ZIM can be reached from here", "0.31 s", "Reconnects</dt><dd>2"],
        ),
        (
            {"reachable": False, "since_us": 0, "problem": "the <b>", "errors": {6_000_104: 3, 6_000_103: 1}},
            ["ZIM cannot be reached from here", "The &lt;b&gt;.", "6000103 \u00d7 1, 6000104 \u00d7 3"],
        ),
    ],
)
async def test_the_strip_shows_the_canarys_status(tmp_path: Path, fields: dict[str, Any], words: list[str]) -> None:
    status = CanaryStatus(app_id=7, user_id="a/b", **fields)
    async with (
        overview_with(status, tmp_path) as address,
        aiohttp.ClientSession() as http,
        http.get(address) as answer,
    ):
        text = await answer.text()
    for word in [*words, 'href="/users/7/?id=a%2Fb"']:
        assert word in text


@pytest.mark.node
async def test_a_server_with_a_canary_outlives_the_sdks_process_and_stops_as_it_should(tmp_path: Path) -> None:
    given = {f"ZIMWATCH_CANARY__{name.upper()}": value for name, value in GIVEN.items()}
    given |= {"ZIMWATCH_CANARY__TOKEN_COMMAND": MAKES_A_TOKEN, "ZIMWATCH_CANARY__RETRY": "1s", "PYTHONPATH": str(ROOT)}
    async with serving(tmp_path, given) as (address, process), aiohttp.ClientSession(address) as http:

        async def logins() -> int:
            async with http.get("/v1/users/7/canary/events?limit=500") as answer:
                events = (await answer.json())["events"] if answer.status == OK else []
            return [event["type"] for event in events].count("login")

        async def after(count: int) -> None:
            async def more() -> bool:
                return await logins() > count

            await eventually(more, WITHIN_S)

        await after(0)
        await _kill_bridge_of(process.pid)
        await after(await logins())
        begun_s = asyncio.get_running_loop().time()
        process.terminate()
        assert await process.wait() == 0
        assert asyncio.get_running_loop().time() - begun_s < 10


async def _kill_bridge_of(pid: int) -> None:
    ps = await asyncio.create_subprocess_exec(
        *("ps", "-o", "pid=,args=", "--ppid", str(pid)), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await ps.communicate()
    (child,) = [int(line.split()[0]) for line in output.decode().splitlines() if "bridge.cjs" in line]
    os.kill(child, signal.SIGKILL)
