"""``zimwatch serve`` as a process: it starts, answers, refuses what is unsafe, and stops without loss."""

from __future__ import annotations

import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sidecar.access.proxies import is_loopback
from sidecar.app import Running
from sidecar.cli import serve as serve_module
from sidecar.demo.day import day
from sidecar.domain.events import HEARTBEAT
from sidecar.settings import ServerSettings
from tests.support.process import DATABASE, serving

START_US = 1_795_485_600_000_000


def _zimwatch(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sidecar", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


async def test_it_answers_and_stops_within_ten_seconds_with_all_it_acknowledged_on_disk(tmp_path: Path) -> None:
    made = day(20, end_us=START_US, seed=1)
    events = [report.event for report in made.past if report.event["type"] != HEARTBEAT]
    async with serving(tmp_path) as (address, process), aiohttp.ClientSession() as session:
        async with session.get(f"{address}/livez") as answer:
            assert answer.status == 200
        async with session.post(f"{address}/v1/events", json=events) as answer:
            assert await answer.json() == {
                "accepted": len(events),
                "duplicates": 0,
                "rejected": [],
                "rejected_more": 0,
                "heartbeat_after_s": 15,
            }
        async with session.get(f"{address}/v1/stream"):
            begun_s = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
            assert time.monotonic() - begun_s < 10
    with closing(sqlite3.connect(tmp_path / DATABASE)) as database:
        ((kept,),) = database.execute("SELECT count(*) FROM events")
    assert kept == len(events)


async def test_sigint_ends_it_like_sigterm(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, process):
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0


async def test_a_token_created_while_it_serves_is_required_from_then_on(tmp_path: Path) -> None:
    async with serving(tmp_path) as (address, _), aiohttp.ClientSession() as session:
        async with session.get(f"{address}/v1/summary") as answer:
            assert answer.status == 200
        done = _zimwatch(tmp_path, "token", "create", "--scope", "read")
        assert done.returncode == 0, done.stderr
        async with session.get(f"{address}/v1/summary") as answer:
            assert answer.status == 401
        headers = {"Authorization": f"Bearer {done.stdout.strip()}"}
        async with session.get(f"{address}/v1/summary", headers=headers) as answer:
            assert answer.status == 200


async def test_reached_from_elsewhere_its_start_prints_a_link_that_makes_the_first_account_once(tmp_path: Path) -> None:
    settings = {"ZIMWATCH_SERVER__PUBLIC_URL": "http://127.0.0.1:1/zim"}
    async with serving(tmp_path, settings) as (address, _), aiohttp.ClientSession() as session:
        async with session.get(f"{address}/v1/summary") as answer:
            assert answer.status == 401
        (said,) = re.findall(r"http://127.0.0.1:1/zim(/first-account/\S+)", (tmp_path / "serve.log").read_text())
        given = {"name": "Dana", "password": "correct horse battery", "repeated": "correct horse battery"}
        statuses = []
        for path in ("/first-account/guess", said, said):
            async with session.post(f"{address}{path}", data=given, allow_redirects=False) as answer:
                statuses.append(answer.status)
        assert statuses == [400, 303, 400]
    listed = _zimwatch(tmp_path, "account", "list").stdout.splitlines()
    assert listed[1].split()[:3] == ["dana", "admin", "every"]
    async with serving(tmp_path, settings):
        assert (tmp_path / "serve.log").read_text().count("first-account") == 1


def test_a_port_in_use_is_reported_in_a_sentence(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = _zimwatch(tmp_path, "serve", "--port", str(port))
    assert done.returncode == 1
    assert f"Port {port} on 127.0.0.1 is taken" in done.stderr
    assert "Traceback" not in done.stderr


async def test_a_second_one_on_the_same_database_is_refused(tmp_path: Path) -> None:
    async with serving(tmp_path):
        done = _zimwatch(tmp_path, "serve", "--port", "0")
    assert done.returncode == 1
    assert "already served" in done.stderr


def test_check_config_exits_2_and_names_wrong_keys(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("[server]\nprot = 1\n[leases]\nsilent = 3\n", encoding="utf-8")
    done = _zimwatch(tmp_path, "check-config", "--config", "bad.toml")
    assert done.returncode == 2
    assert "server.prot" in done.stderr
    assert "leases.silent" in done.stderr


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("0.0.0.0", False),  # noqa: S104 - the example
        ("::", False),
        ("192.168.1.2", False),
        ("localhost.example.com", False),
    ],
)
def test_loopback_is_what_only_this_machine_can_reach(host: str, expected: bool) -> None:  # noqa: FBT001
    assert is_loopback(host) is expected


def test_what_few_need_is_loaded_where_it_is_used() -> None:
    few = ["smtplib", "babel.messages", "sidecar.demo", "alembic"]
    code = f"import sys\nimport sidecar.cli.serve\nprint([name for name in {few} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("url", "public_url", "link"),
    [
        ("http://0.0.0.0:8790", "", "http://127.0.0.1:8790/first-account/x"),
        ("http://[::]:8790", "", "http://[::1]:8790/first-account/x"),
        ("http://192.0.2.7:8790", "", "http://192.0.2.7:8790/first-account/x"),
        ("http://0.0.0.0:8790", "https://ops.example.com/z/", "https://ops.example.com/z/first-account/x"),
    ],
)
def test_the_link_of_the_first_account_can_be_opened(
    url: str, public_url: str, link: str, capsys: pytest.CaptureFixture[str]
) -> None:
    nothing: Any = None
    served = Running(url, nothing, nothing, first_account="/first-account/x")
    serve_module._say(ServerSettings(public_url=public_url), served)
    assert capsys.readouterr().out.split()[-1] == link
