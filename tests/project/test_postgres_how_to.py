"""How to run on PostgreSQL, as the page says: its blocks in one shell, on an empty server."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import sqlalchemy as sa

from tests.support import postgres
from tests.support.process import POLL_S, START_TIMEOUT_S
from tests.support.wire import wire_event

PAGE = Path(__file__).parents[2] / "docs/how-to/postgresql.md"
BLOCKS = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
APP, USER = 1, "alice"

pytestmark = [pytest.mark.soak, pytest.mark.postgres]


@contextlib.asynccontextmanager
async def served(
    block: str, folder: Path, environ: dict[str, str], address: str
) -> AsyncIterator[aiohttp.ClientSession]:
    process = await asyncio.create_subprocess_exec("bash", "-ec", f"exec {block}", cwd=folder, env=environ)
    try:
        async with aiohttp.ClientSession(address) as http, asyncio.timeout(START_TIMEOUT_S):
            while not await is_ready(http):  # noqa: ASYNC110 - what is awaited is in another process
                await asyncio.sleep(POLL_S)
            yield http
    finally:
        process.terminate()
        assert await process.wait() == 0


async def is_ready(http: aiohttp.ClientSession) -> bool:
    with contextlib.suppress(aiohttp.ClientConnectionError):
        async with http.get("/readyz") as response:
            return response.ok
    return False


async def user(http: aiohttp.ClientSession) -> object:
    async with http.get(f"/v1/users/{APP}/{USER}") as response:
        assert response.ok, await response.text()
        return (await response.json())["status"]


async def run(block: str, folder: Path, environ: dict[str, str]) -> None:
    shell = await asyncio.create_subprocess_exec("bash", "-ec", block, cwd=folder, env=environ)
    assert await shell.wait() == 0, block


async def test_an_empty_server_leads_to_a_dashboard_and_a_backup_to_the_same_users(tmp_path: Path) -> None:
    create, prepare, serve, dump, restore, look = BLOCKS.findall(PAGE.read_text(encoding="utf-8"))
    with postgres.cluster() as (url, _):
        server = sa.make_url(url)
        own = f"{Path(sys.executable).parent}:{postgres.programs()}"
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("ZIMWATCH_", "PG"))}
        environ = plain | {
            "PATH": f"{own}:{plain['PATH']}",
            "PGHOST": str(server.host),
            "PGPORT": str(server.port),
            "PGUSER": str(server.username),
        }
        named = dict(re.findall(r"^export (\w+)=(\S+)$", prepare, re.MULTILINE))
        for block in (create, prepare):
            await run(block, tmp_path, environ)
        async with served(serve, tmp_path, environ | named, "http://127.0.0.1:8790") as http:
            async with http.post("/v1/events", json=[wire_event(app_id=APP, user_id=USER)]) as response:
                assert (await response.json())["accepted"] == 1
            before = await user(http)
            await run(dump, tmp_path, environ)
        await run(restore, tmp_path, environ)
        async with served(look, tmp_path, environ, "http://127.0.0.1:8791") as http:
            assert await user(http) == before
