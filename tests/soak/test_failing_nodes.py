"""Nodes on one PostgreSQL are killed, stopped and cut off under load: nothing is lost or doubled, and they agree."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.soak.test_alert_kill import SETTINGS, App, complete
from tests.soak.test_kill import SENDERS, Sender
from tests.soak.test_postgres_outages import all_is_right
from tests.support import databases, postgres
from tests.support.called import SECRET, Called, listening
from tests.support.cutting_proxy import cutting
from tests.support.process import serving

pytestmark = [pytest.mark.soak, pytest.mark.postgres]

BAD_S = float(os.environ.get("ZIMWATCH_SOAK_BAD_S", "15"))
"""How long the bad time lasts."""
CUT_SHARE = 0.02
ALERTS = 100
ANSWER_S = 3
TOLD_WITHIN_S = 180
# How often they may answer differently, while the last messages are recorded.
ALIKE_WITHIN = 20
RESTARTS = 2


class Nodes:
    """Processes that serve one database, of which those that are killed are replaced."""

    def __init__(self, folder: Path, settings: dict[str, str], chance: random.Random) -> None:
        self._folder = folder
        self._settings = settings
        self._chance = chance
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self.killed = self.stopped = 0

    @property
    def addresses(self) -> list[str]:
        return list(self._running)

    async def start(self, stack: contextlib.AsyncExitStack) -> None:
        while True:
            with contextlib.suppress(RuntimeError):  # the database is away, or its connection was cut
                address, process = await stack.enter_async_context(serving(self._folder, self._settings))
                self._running[address] = process
                return

    async def kill_one(self, stack: contextlib.AsyncExitStack) -> None:
        address = self._chance.choice(self.addresses)
        process = self._running.pop(address)
        process.kill()
        await process.wait()
        self.killed += 1
        await self.start(stack)

    async def stop_one(self) -> None:
        """For less, or for more, than the server waits for a session that does nothing."""
        process = self._running[self._chance.choice(self.addresses)]
        process.send_signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(self._chance.choice([1, 10]))
        finally:
            process.send_signal(signal.SIGCONT)
        self.stopped += 1


async def again_until_acknowledged(nodes: Nodes, send: Callable[[str], Awaitable[None]], chance: random.Random) -> None:
    """Sends to one node or another, until one of them acknowledges."""
    while True:
        try:
            async with asyncio.timeout(ANSWER_S):
                await send(chance.choice(nodes.addresses))
        except aiohttp.ClientResponseError as error:
            if error.status != HTTPStatus.SERVICE_UNAVAILABLE:
                raise
        except (aiohttp.ClientError, TimeoutError):
            pass
        else:
            return
        await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def load(nodes: Nodes, senders: list[Sender], app: App, chance: random.Random) -> AsyncIterator[None]:
    async def work(sender: Sender) -> None:
        async with aiohttp.ClientSession() as session:
            while True:
                await again_until_acknowledged(nodes, lambda address: sender.send(session, address), chance)

    async def kicks() -> None:
        while not app.is_done:
            await again_until_acknowledged(nodes, lambda address: app.send(address, 20), chance)
            await asyncio.sleep(0.2)

    tasks = [asyncio.create_task(one) for one in (kicks(), *map(work, senders))]
    try:
        yield
    finally:
        tasks[0].cancel()
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            assert result is None or isinstance(result, asyncio.CancelledError), result


@pytest.mark.parametrize("count", [2, 4])
async def test_nodes_that_are_killed_stopped_and_cut_off_lose_nothing_and_agree(tmp_path: Path, count: int) -> None:
    chance = random.Random(count)  # noqa: S311 - what goes wrong
    senders, app, hook = [Sender() for _ in range(SENDERS)], App(ALERTS), Called()
    receiver = {"name": "ops", "type": "webhook", "url": "", "secret": SECRET, "most_per_minute": 1_000_000}
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(listening(hook))
        receiver["url"] = f"{hook.url}/hook"
        settings = SETTINGS | {"ZIMWATCH_ALERTS__RECEIVERS": json.dumps([receiver])}
        url, restart = stack.enter_context(postgres.cluster())
        port, proxy = await stack.enter_async_context(cutting(urlsplit(url).port or 0, chance, CUT_SHARE))
        stack.enter_context(databases.on(f"postgresql://postgres@127.0.0.1:{port}/postgres", tmp_path))
        nodes = Nodes(tmp_path, settings, chance)
        for _ in range(count):
            await nodes.start(stack)
        async with load(nodes, senders, app, chance):
            proxy.is_cutting = True
            loop = asyncio.get_running_loop()
            end, restarts = loop.time() + BAD_S, [loop.time() + BAD_S * at / (RESTARTS + 1) for at in (1, RESTARTS)]
            while loop.time() < end or not nodes.stopped:
                if restarts and loop.time() > restarts[0]:
                    restarts.pop(0)
                    await asyncio.to_thread(restart)
                await (nodes.kill_one(stack) if nodes.killed <= nodes.stopped else nodes.stop_one())
                await asyncio.sleep(chance.uniform(0, 1))
            proxy.is_cutting = False
        assert nodes.killed
        assert proxy.cuts
        while not app.is_done:
            await again_until_acknowledged(nodes, lambda address: app.send(address, 200), chance)
        with databases.on(url.replace("+psycopg", ""), tmp_path):  # not by the proxy, which runs in this thread
            await all_is_right(senders, nodes.addresses[0], tmp_path, others=frozenset(app.acknowledged))

        def all_told(taken: list[dict[str, Any]]) -> bool:
            return complete(taken) == len(app.clients)

        await hook.wait_for(all_told, within_s=TOLD_WITHIN_S)
        ids: dict[tuple[int, str], set[str]] = defaultdict(set)
        for one, message_id in zip(hook.taken, hook.ids, strict=True):
            ids[one["alert"]["id"], one["type"]].add(message_id)
        assert {len(of_one) for of_one in ids.values()} == {1}
        assert hook.wrong == []
        await all_answer_alike(nodes, senders)


async def all_answer_alike(nodes: Nodes, senders: list[Sender]) -> None:
    paths = [f"/v1/users/1/alice-{one.client_id}" for one in senders]
    paths += [f"{one}/events" for one in paths]
    paths += ["/v1/users?limit=200", "/v1/alerts?state=firing", "/v1/alerts?limit=200"]
    async with aiohttp.ClientSession() as session:
        for path in paths:
            for _ in range(ALIKE_WITHIN):
                answers = [await answer_of(session, f"{address}{path}") for address in nodes.addresses]
                if all(one == answers[0] for one in answers):
                    break
                await asyncio.sleep(1)
            else:
                pytest.fail(f"{path} is answered differently: {answers[:2]}")


async def answer_of(session: aiohttp.ClientSession, url: str) -> Any:
    async with session.get(url) as answer:
        assert answer.status == 200, (url, await answer.text())
        found = await answer.json()
    for alert in found.get("alerts", ()):
        del alert["url"]  # each node has its own address
    return found
