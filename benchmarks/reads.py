"""The read side of a large database: the API's calls, a page, the stream to many, and a start."""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import aiohttp

from benchmarks.events import APP_ID, Fleet
from benchmarks.ingest import percentile
from benchmarks.processes import cpu_s, rss_mb
from sidecar.clock import now_us
from sidecar.domain.login_state import LoginState
from sidecar.store import Store, engine, rows, search
from tests.support.process import DATABASE, serving

STREAMS: Final = 1_000
_STATES: Final = (("CONNECTED", "online", "SUCCESS"), ("RECONNECTING", "offline", "LOGIN_INTERRUPTED"))
_CALLS: Final = {
    "all users": "/v1/users",
    "by status": "/v1/users?status=offline",
    "by app": f"/v1/users?app_id={APP_ID}",
    "by platform": "/v1/users?platform=Web",
    "by a rare reason": "/v1/users?reason=KICKED_OUT",
    "unconfirmed": "/v1/users?status=online&unconfirmed=1",
    "by a beginning": "/v1/users?q=user-00123",
    "by a part": "/v1/users?q=12345",
    "by two characters": "/v1/users?q=99",
    "by one character": "/v1/users?q=z",
    "a user": f"/v1/users/{APP_ID}/user-0000123",
    "a timeline": f"/v1/users/{APP_ID}/user-0000123/events?limit=20",
    "the counts": "/v1/summary",
    "the page /": "/",
    "the page /users": "/users",
    "a user's page": f"/users/{APP_ID}/user-0000123",
}


async def fill(folder: Path, users: int, events: int) -> None:
    """A database of so many users and events, written by SQL as the store would have left it."""
    path = folder / DATABASE
    await Store.open(f"sqlite:///{path}", clock=now_us).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA synchronous = OFF")
        database.execute("PRAGMA cache_size = -200000")
        database.execute("BEGIN")
        base = now_us() - events * 1_000
        database.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
            " INSERT INTO events (position, id, type, occurred_at_us, received_at_us, client_id, seq, app_id,"
            " session_id, user_id, platform, connection_state, connection_event, extended_data, previous_user_position,"
            " previous_client_position) SELECT i, CAST(printf('%016d', i) AS BLOB), 'connection_state_changed',"
            " ? + i * 1000, ? + i * 1000, CAST(printf('%016d', i % ?) AS BLOB), i / ? + 1, ?,"
            " CAST(printf('%016d', i % ?) AS BLOB), printf('user-%07d', i % ?), 'Web',"
            " iif(i % 2, 'CONNECTED', 'RECONNECTING'), iif(i % 2, 'SUCCESS', 'LOGIN_INTERRUPTED'), '{}',"
            " nullif(max(i - ?, 0), 0), nullif(max(i - ?, 0), 0) FROM n",
            (events, base, base, users, users, APP_ID, users, users, users, users),
        )
        state = LoginState(status="online", since_us=base, reason="SUCCESS", connection_state="CONNECTED", last_seq=1)
        client = rows.Client(client_key=1, client_id=bytes(16), user_key=1, state=state, last_seen_at_us=base)
        groups = [
            ("online", "Web", "SUCCESS"),
            ("offline", "Android", "LOGIN_INTERRUPTED"),
            ("online", "IPhoneOS", "SUCCESS"),
            ("not_logged_in", "Web", "SUCCESS"),
        ]
        for key, (status, platform, reason) in enumerate([*groups, ("not_logged_in", "Web", "KICKED_OUT")], start=1):
            database.execute(
                "INSERT INTO user_groups VALUES (?, ?, ?, ?, ?, 0, 0)", (key, APP_ID, status, platform, reason)
            )
        database.execute(
            "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ? - 1),"
            " m(i, g) AS (SELECT i, iif(i % 10000 = 7, 5, i % 4 + 1) FROM n)"
            " INSERT INTO user_status (user_key, app_id, user_id, status, since_us, reason, platform, last_seen_at_us,"
            " last_position, changed_position, group_key, clients)"
            " SELECT i + 1, ?, printf('user-%07d', i), status, ?, reason, platform, ?, ? - (? - i) % ?,"
            " ? - (? - i) % ?, g, ? FROM m JOIN user_groups ON group_key = g",
            (users, APP_ID, base, base, events, events, users, events, events, users, rows.pack([client])),
        )
        database.execute(
            "UPDATE user_groups SET users ="
            " (SELECT COUNT(*) FROM user_status WHERE user_status.group_key = user_groups.group_key)"
        )
        database.execute("COMMIT")
    writing = engine.connect(path, writes=True)
    with writing.begin() as connection:
        search.anew(connection)
    writing.dispose()


async def measure(users: int, events: int, times: int) -> dict[str, Any]:
    """p50 and p99 of each call in milliseconds, on one connection, the answer read."""
    found: dict[str, Any] = {"users": users, "events": events}
    with tempfile.TemporaryDirectory(prefix="zimwatch-bench-") as name:
        folder = Path(name)
        await fill(folder, users, events)
        began = time.perf_counter()
        async with serving(folder) as (url, process), aiohttp.ClientSession(url) as http:
            found["start s"] = time.perf_counter() - began
            for what, call in _CALLS.items():
                took = []
                for _ in range(times):
                    began = time.perf_counter()
                    async with http.get(call) as answer:
                        await answer.read()
                        if answer.status != 200:  # noqa: PLR2004 - HTTP's OK
                            raise RuntimeError(f"{call}: {answer.status}")
                    took.append(time.perf_counter() - began)
                found[f"{what}: p50 ms"] = statistics.median(took) * 1_000
                found[f"{what}: p99 ms"] = percentile(took, 0.99)
            found["RSS MB"] = rss_mb(process.pid)
    return found


async def streams(seconds: float) -> dict[str, Any]:
    """What share of a core the server takes while ``STREAMS`` read every change of a fleet, and without them."""
    fleet = Fleet(20_000)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="zimwatch-bench-") as name:
        async with serving(Path(name)) as (url, process):
            for label, count in (("without streams", 0), (f"with {STREAMS} streams", STREAMS)):
                connector = aiohttp.TCPConnector(limit=0)
                async with aiohttp.ClientSession(url, connector=connector) as http, asyncio.TaskGroup() as group:
                    open_streams = [group.create_task(_read(http)) for _ in range(count)]
                    await asyncio.sleep(3 if count else 0)
                    cpu, began, sent = cpu_s(process.pid), time.perf_counter(), 0
                    while time.perf_counter() - began < seconds:
                        async with http.post(
                            "/v1/events", data=fleet.bodies(500, 500)[0], headers={"Content-Type": "application/json"}
                        ) as answer:
                            sent += (await answer.json())["accepted"]
                        await asyncio.sleep(0.05)
                    took = time.perf_counter() - began
                    found[f"{label}: core"] = (cpu_s(process.pid) - cpu) / took
                    found[f"{label}: events/s"] = sent / took
                    for task in open_streams:
                        task.cancel()
    return found


async def _read(http: aiohttp.ClientSession) -> None:
    async with http.get("/v1/stream", timeout=aiohttp.ClientTimeout(total=None)) as response:
        async for _ in response.content.iter_any():
            pass
