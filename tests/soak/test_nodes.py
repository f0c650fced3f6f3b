"""Two real nodes on one real PostgreSQL: what either takes, both show."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support import databases
from tests.support.process import serving
from tests.support.stores import opened
from tests.support.tokens import new_token, revoke
from tests.support.wire import fresh_event

pytestmark = [pytest.mark.soak, pytest.mark.postgres]


@contextlib.asynccontextmanager
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def got(session: aiohttp.ClientSession, address: str, path: str, **headers: str) -> tuple[int, Any]:
    async with session.get(f"{address}{path}", headers=headers) as answer:
        return answer.status, await answer.json()


async def becomes(it_is: Callable[[], Any], *, within_s: float = 10) -> None:
    async with asyncio.timeout(within_s):
        while not await it_is():  # noqa: ASYNC110 - it is another process that is waited for
            await asyncio.sleep(0.05)


async def test_two_nodes_take_turns_and_show_the_same(tmp_path: Path) -> None:
    with databases.engine("postgresql"):
        async with serving(tmp_path) as (first, _), serving(tmp_path) as (second, _), http() as session:
            nodes = (first, second)
            async with session.get(f"{second}/v1/stream") as stream:
                for seq in range(1, 9):
                    event = fresh_event(seq=seq, app_id=1, user_id="alice", state=2 - seq % 2, event=0)
                    event["client_id"] = "0d9c5f2e-5c58-4f0c-9a58-0a3f6f0b7a01"
                    async with session.post(f"{nodes[seq % 2]}/v1/events", json=[event]) as answer:
                        assert (await answer.json())["accepted"] == 1
                async with asyncio.timeout(10):
                    told = b""
                    while b'"user_id":"alice"' not in told.replace(b" ", b""):
                        told += await stream.content.readany()
            for path in ("/v1/users", "/v1/users/1/alice", "/v1/users/1/alice/events", "/v1/summary", "/v1/alerts"):
                answers = [await got(session, node, path) for node in nodes]
                assert answers[0] == answers[1], path
            command = opened(tmp_path, attach=True)
            token, secret = await new_token(command, "read")
            bearer = {"Authorization": f"Bearer {secret}"}
            assert [(await got(session, node, "/v1/users", **bearer))[0] for node in nodes] == [200, 200]
            await revoke(command, token)
            await command.close()
            for node in nodes:

                async def is_refused(node: str = node) -> bool:
                    return (await got(session, node, "/v1/users", **bearer))[0] == 401

                await becomes(is_refused, within_s=1)
