"""The demo's real client: it lives through its token and ends when it is told to."""

from __future__ import annotations

import asyncio
import contextlib
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conformance.watching import eventually
from tests.support.running import Zimwatch, zimwatch

SCRIPT = Path(__file__).parents[2] / "sidecar/sdk/node/demo-user.cjs"
ENDS_WITHIN_S = 20

pytestmark = pytest.mark.node


@contextlib.asynccontextmanager
async def demo_user(running: Zimwatch, *options: str) -> AsyncIterator[Process]:
    told = ["--endpoint", running.url, "--app-id", "1", "--user-id", "alice", *options]
    process = await asyncio.create_subprocess_exec("node", str(SCRIPT), *told, stdin=PIPE, stdout=PIPE, stderr=PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_it_runs_to_the_end_of_its_token_and_keeps_stdout_to_itself(tmp_path: Path) -> None:
    async with zimwatch(tmp_path) as running, demo_user(running, "--token-seconds", "4", "--once") as process:
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.read(), ENDS_WITHIN_S) == b""
        assert await process.wait() == 0
        _, alice = await running.get("/v1/users/1/alice")
    assert (alice["status"], alice["reason"]) == ("not_logged_in", "TOKEN_EXPIRED")


@pytest.mark.parametrize("how", ["SIGTERM", "end of stdin"])
async def test_it_ends_when_told_to_and_hands_over_what_it_has(tmp_path: Path, how: str) -> None:
    async with zimwatch(tmp_path) as running, demo_user(running) as process:

        async def seen() -> bool:
            status, _ = await running.get("/v1/users/1/alice")
            return status == 200

        await eventually(seen)
        if how == "SIGTERM":
            process.terminate()
        else:
            assert process.stdin is not None
            process.stdin.close()
        assert await asyncio.wait_for(process.wait(), ENDS_WITHIN_S) == 0
