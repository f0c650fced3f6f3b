"""A SQLite file that moves to PostgreSQL while its server takes events, and back, with real processes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from sidecar.store import engines
from tests.support import commands, databases, postgres
from tests.support.called import SECRET, Called, listening
from tests.support.otlp_receiver import Receiver, receiving
from tests.support.process import DATABASE, serving
from tests.support.wire import fresh_event

BATCH = 500
# In its turns each is online, offline, and online again.
_CHANGES = ((2, 0), (3, 3), (2, 0))


class Users:
    """Sends the events of users in batches; each is acknowledged."""

    def __init__(self, count: int) -> None:
        self._clients = [str(uuid.uuid4()) for _ in range(count)]
        self.sent = 0

    async def send(self, address: str, count: int) -> None:
        async with aiohttp.ClientSession() as http:
            for _ in range(0, count, BATCH):
                await self._post(http, address, [self._next() for _ in range(BATCH)])

    async def kicked_out(self, address: str) -> None:
        """One of them, which is an alert."""
        async with aiohttp.ClientSession() as http:
            await self._post(http, address, [self._next() | {"state": 0, "event": 4}])

    @contextlib.asynccontextmanager
    async def sending(self, address: str) -> AsyncIterator[None]:
        """Sends until the context ends."""
        stop = asyncio.Event()

        async def run() -> None:
            while not stop.is_set():
                await self.send(address, BATCH)
                await asyncio.sleep(0.1)

        async with asyncio.TaskGroup() as group:
            group.create_task(run())
            try:
                yield
            finally:
                stop.set()

    def _next(self) -> dict[str, Any]:
        turn, number = divmod(self.sent, len(self._clients))
        self.sent += 1
        state, event = _CHANGES[turn % len(_CHANGES)]
        client = self._clients[number]
        return fresh_event(client_id=client, user_id=f"user-{number}", seq=turn + 1, state=state, event=event)

    async def _post(self, http: aiohttp.ClientSession, address: str, events: list[dict[str, Any]]) -> None:
        async with http.post(f"{address}/v1/events", json=events) as response:
            assert (response.status, (await response.json())["accepted"]) == (200, len(events))


async def move_and_back(folder: Path, *, events: int, users: int) -> None:
    """Copies while events come in, is killed in the middle, continues, catches up, and serves the copy; then back."""
    here, there, back = (folder / name for name in ("here", "there", "back"))
    for one in (here, there, back):
        one.mkdir()
    first, last = (f"sqlite:///{one / DATABASE}" for one in (here, back))
    people, hook = Users(users), Called()
    long_s = 60 + events / 1_000
    with postgres.cluster() as (url, _):
        server = url.replace("+psycopg", "")
        async with receiving() as collector, listening(hook):
            collector.judge = lambda _: web.Response(status=503)
            hook.refuse = lambda: web.Response(status=503)
            ops = {"name": "ops", "type": "webhook", "url": f"{hook.url}/hook", "secret": SECRET}
            settings = {
                "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
                "ZIMWATCH_ALERTS__RECEIVERS": json.dumps([ops]),
                "ZIMWATCH_ALERTS__GROUP_WAIT": "0s",
            }
            async with serving(here, settings) as (address, _process):
                await people.send(address, events)
                async with people.sending(address):
                    stored = await killed_while_copying(first, server, folder)
                    copied = await commands.long("db", "copy", first, server, folder=folder, within_s=long_s)
                assert copied.code == 1, copied.err
                assert "is still served" in copied.err
                assert 0 < stored < await count(server) <= people.sent
                await people.kicked_out(address)
                before = await shown(address)
            assert hook.taken == []
            copied = await commands.long("db", "copy", first, server, folder=folder, within_s=long_s)
            assert copied.code == 0, copied.err
            refused = await commands.zimwatch("serve", "--port", "0", "--database-url", first, folder=folder)
            assert (refused.code, "was moved to postgresql://127.0.0.1" in refused.err) == (1, True), refused.err
            collector.judge, hook.refuse = lambda _: None, lambda: None
            with databases.on(server, there):
                assert same_log(first, server) == people.sent
                async with serving(there, settings) as (address, _process):
                    assert await shown(address) == before
                    await all_sent_once(collector, hook, people.sent)
            copied = await commands.long("db", "copy", server, last, folder=folder, within_s=long_s)
            assert copied.code == 0, copied.err
            assert same_log(first, last) == people.sent
            async with serving(back, settings) as (address, _process):
                assert await shown(address) == before
                await people.kicked_out(address)
                await all_sent_once(collector, hook, people.sent)


async def killed_while_copying(source: str, target: str, folder: Path) -> int:
    """Ends a copy in the middle of the events; how many the target has then."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sidecar", "db", "copy", source, target), cwd=folder, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(60):
            while not (stored := await count(target)):
                assert process.returncode is None
    finally:
        process.kill()
        await process.wait()
    return stored


async def count(server: str) -> int:
    """The events that the server has; 0 without tables."""

    def counted() -> int:
        with engines.reading(server) as connect, connect() as connection:
            if connection.exec_driver_sql("SELECT to_regclass('events')").scalar() is None:
                return 0
            return int(connection.exec_driver_sql("SELECT COUNT(*) FROM events").scalar_one())

    return await asyncio.to_thread(counted)


def same_log(one: str, other: str) -> int:
    """Compares the events of both databases; how many there are."""
    columns = "position, id, type, moment_us, client_id, seq, user_id, connection_state, user_status, extended_data"
    found = []
    for url in (one, other):
        with engines.reading(url) as connect, connect() as connection:
            rows = connection.exec_driver_sql(f"SELECT {columns} FROM events ORDER BY position")
            found.append([tuple(row) for row in rows])
    assert found[0] == found[1]
    return len(found[0])


async def shown(address: str) -> list[Any]:
    """What the API says of users and alerts, and the page of a user."""
    async with aiohttp.ClientSession() as http:
        answers = []
        for path in ("/v1/users?limit=500", "/v1/users/1234567890/user-1/events?limit=100", "/v1/alerts?state=firing"):
            async with http.get(address + path) as response:
                assert response.status == 200, path
                answers.append(await response.json())
        async with http.get(f"{address}/users/1234567890/user-1") as response:
            assert response.status == 200
            assert "user-1" in await response.text()
    users, timeline, alerts = answers
    kept = ("user_id", "status", "since", "reason", "position")
    return [
        [{name: user.get(name) for name in kept} for user in users["users"]],
        timeline["events"],
        [(alert["id"], alert["kind"], alert["user_id"]) for alert in alerts["alerts"]],
    ]


async def all_sent_once(collector: Receiver, hook: Called, events: int) -> None:
    """The span of each event, and the message about each alert, by one of the databases alone."""
    spans = await collector.wait_for(spans=events, within_s=60 + events / 1_000)
    assert len(spans) == len({span.span_id for span in spans}) == events
    await hook.wait_for(lambda taken: len(taken) >= 1, within_s=60 + events / 1_000)
    assert len(hook.ids) == len(set(hook.ids))
