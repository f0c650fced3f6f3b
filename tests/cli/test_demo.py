"""``zimwatch demo`` as a newcomer meets it: an address on stdout, and behind it a day with every status."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

from sidecar import demo
from sidecar.demo.devices import APP_ID

WITHIN_S = 60
ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")


@contextlib.asynccontextmanager
async def _demo(folder: Path, *words: str, path: str = os.defpath) -> AsyncIterator[tuple[str, Process]]:
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("ZIMWATCH_", "OTEL_"))}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sidecar", "demo", "--port", "0", *words),
        cwd=folder,
        env=environ | {"PATH": path, "HOME": str(folder), "TMPDIR": str(folder)},
        stdout=PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(WITHIN_S):
            first = (await process.stdout.readline()).decode()
        found = ADDRESS.search(first)
        assert found, first
        yield found[0], process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        async with asyncio.timeout(30):
            await process.communicate()


async def _until_every_status(address: str) -> dict[str, Any]:
    summary: dict[str, Any] = {}
    async with asyncio.timeout(WITHIN_S), aiohttp.ClientSession() as session:
        while not all(summary.get(status) for status in ("online", "offline", "not_logged_in")):
            async with session.get(f"{address}/v1/summary") as answer:
                summary = await answer.json()
    return summary


async def test_every_status_comes_up_and_nothing_is_left_behind(tmp_path: Path) -> None:
    async with _demo(tmp_path, "--users", "40", "--no-sdk") as (address, process):
        summary = await _until_every_status(address)
        assert summary["online"] > summary["not_logged_in"]
        async with aiohttp.ClientSession(address) as session:
            async with session.get("/v1/alerts?state=resolved") as answer:
                assert (await answer.json())["alerts"], "nothing has happened yesterday"
            async with session.get("/v1/users/1234567890/judy/events") as answer:
                newest = (await answer.json())["events"][0]
        # The clock of her device is a year ahead, live as in the past.
        assert newest["occurred_at"][:4] > newest["received_at"][:4]
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    assert _left_behind(tmp_path) == []


async def test_without_node_it_prints_one_line_and_simulates_alice(tmp_path: Path) -> None:
    async with _demo(tmp_path, "--users", "10", path=str(tmp_path)) as (address, process):
        assert process.stdout is not None
        async with asyncio.timeout(WITHIN_S):
            assert b"Node.js" in await process.stdout.readline()
        await _until_known(address, "alice")


def _left_behind(folder: Path) -> list[Path]:
    return list(folder.glob("zimwatch-demo-*"))


async def _until_known(address: str, user_id: str) -> None:
    async with asyncio.timeout(WITHIN_S), aiohttp.ClientSession() as session:
        status = 404
        while status == 404:
            async with session.get(f"{address}/v1/users/1234567890/{user_id}") as answer:
                status = answer.status


async def test_a_port_in_use_is_reported_in_a_sentence(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "sidecar", "demo", "--users", "20", "--port", str(port)),
            cwd=tmp_path,
            stdout=PIPE,
            stderr=PIPE,
        )
        _, errors = await process.communicate()
    assert process.returncode == 1
    assert "a made-up day of 20 users" in errors.decode()
    assert f"Port {port} on 127.0.0.1 is taken" in errors.decode()


def test_the_app_of_the_demo_has_a_name_unless_it_is_given_one() -> None:
    given = {"ZIMWATCH_APPS__NAMES": '{"1234567890": "Mine"}'}
    for environ, name in (({}, "Demo chat"), (given, "Mine")):
        loaded = demo.settings(environ, port=0)
        assert loaded.settings.apps.apps().in_full(APP_ID) == f"{name} (1234567890)"
        assert loaded.settings.logs.level == "warning"
