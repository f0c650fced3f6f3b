"""Checks after a run of the real SDK from an offline login to the expiry of its token."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import secrets
import sqlite3
import struct
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp

from sidecar.domain.sdk_words import EVENTS, STATES
from tests.support.otlp_receiver import Receiver, attributes
from tests.support.process import DATABASE

APP = 1234567890
USER = "dave"
NICKNAME = "Dave's secret nickname"
TOKEN_S = 36
ENDS_WITHIN_S = 50
POLL_S = 0.02
HELD_S = 1.5

LogLine = dict[str, Any]


def token04(seconds: int) -> str:
    """A fake Token04 that expires in so many seconds; its cipher is random."""
    iv, cipher = secrets.token_bytes(16), secrets.token_bytes(128)
    parts = struct.pack(">qh", int(time.time()) + seconds, len(iv)) + iv + struct.pack(">h", len(cipher)) + cipher
    return "04" + base64.b64encode(parts).decode()


@contextlib.asynccontextmanager
async def dead_network() -> AsyncIterator[int]:
    """A port that accepts connections, sends nothing, and closes them after a while.

    So a login that is made offline is seen as online before the SDK finds out; refused at once, the two come together.
    """
    loop = asyncio.get_running_loop()
    open_ones: set[asyncio.Transport] = set()

    class Hold(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self.transport = transport
            open_ones.add(transport)
            loop.call_later(HELD_S, transport.abort)

        def connection_lost(self, _error: Exception | None) -> None:
            open_ones.discard(self.transport)

    async with await loop.create_server(Hold, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
        for transport in open_ones:
            transport.abort()


async def statuses(address: str) -> list[tuple[str, str | None, float]]:
    """Status, reason and the moment it was first read, in ms since the epoch, from the read API until the end."""
    found: list[tuple[str, str | None, float]] = []
    async with asyncio.timeout(ENDS_WITHIN_S), aiohttp.ClientSession(address) as http:
        while not found or found[-1][:2] != ("not_logged_in", "TOKEN_EXPIRED"):
            async with http.get(f"/v1/users/{APP}/{USER}") as response:
                at = time.time() * 1000
                user = await response.json(content_type=None) if response.ok else None
            if user and (not found or found[-1][:2] != (user["status"], user["reason"])):
                found.append((user["status"], user["reason"], at))
            await asyncio.sleep(POLL_S)
    return found


async def eventually(condition: Callable[[], Awaitable[bool]], within_s: float = 30) -> None:
    """Waits until the condition holds; TimeoutError if it does not."""
    async with asyncio.timeout(within_s):
        while not await condition():  # noqa: ASYNC110 - what is awaited is in another process
            await asyncio.sleep(POLL_S)


def check_callbacks(log: list[LogLine]) -> list[LogLine]:
    """Checks that the app saw the SDK's callbacks; returns these."""
    assert log[-1] == {"from": "app", "type": "done", "waiting": 0}
    given = {
        who: [{"type": one["type"], "data": one["data"]} for one in log if one["from"] == who and "data" in one]
        for who in ("sdk", "app")
    }
    assert given["app"] == given["sdk"]
    kinds = [one["type"] for one in given["sdk"]]
    assert "tokenWillExpire" in kinds
    states = [one["data"]["state"] for one in given["sdk"] if one["type"] == "connectionStateChanged"]
    assert {STATES[state] for state in states} == {"CONNECTED", "RECONNECTING", "DISCONNECTED"}
    return given["sdk"]


def stored(folder: Path, user_id: str = USER) -> list[sqlite3.Row]:
    """A user's events in the order of arrival."""
    with contextlib.closing(sqlite3.connect(folder / DATABASE)) as database:
        database.row_factory = sqlite3.Row
        return database.execute("SELECT * FROM events WHERE user_id = ? ORDER BY position", (user_id,)).fetchall()


def stored_callbacks(rows: list[sqlite3.Row]) -> list[tuple[Any, ...]]:
    """The SDK's callbacks among them, like those of ``emitted_callbacks``."""
    return [_callback(row) for row in rows if row["type"] in {"connection_state_changed", "token_will_expire"}]


def emitted_callbacks(log: list[LogLine]) -> list[tuple[Any, ...]]:
    """The callbacks of the SDK, recorded below the tap."""
    return [_expected(one) for one in log if one["from"] == "sdk"]


def check_rows(folder: Path, callbacks: list[LogLine], token: str) -> list[str]:
    """Each callback is a row, in the same order and verbatim, without secrets. Returns the ids of state changes."""
    rows = stored(folder)
    assert [row["seq"] for row in rows] == sorted(row["seq"] for row in rows)
    assert len({row["client_id"] for row in rows}) == 1
    assert len({row["session_id"] for row in rows}) == 1
    assert {(row["app_id"], row["user_id"], row["platform"]) for row in rows} == {(APP, USER, "Web")}
    assert {(row["sdk_name"], row["sdk_version"]) for row in rows} == {("zego-zim-web", "2.29.0")}
    assert {(row["app_version"], row["device_id"]) for row in rows} == {("1.0", "conformance")}

    assert stored_callbacks(rows) == [_expected(one) for one in callbacks]

    assert rows[0]["type"] == "login"
    expires_at_us = struct.unpack(">q", base64.b64decode(token[2:14])[:8])[0] * 1_000_000
    login = json.loads(rows[0]["details"])
    assert login["offline_login"] is True
    assert login["token_expires_at_us"] == expires_at_us
    (result,) = [row for row in rows if row["type"] == "login_result"]
    assert json.loads(result["details"])["code"] == 0

    on_disk = b"".join(file.read_bytes() for file in folder.glob(f"{DATABASE}*") if file.suffix != ".lock")
    assert token.encode() not in on_disk
    assert token[20:60].encode() not in on_disk
    assert NICKNAME.encode() not in on_disk
    return [str(uuid.UUID(bytes=row["id"])) for row in rows if row["type"] == "connection_state_changed"]


async def check_spans(receiver: Receiver, ids: list[str], callbacks: list[LogLine]) -> None:
    """Each state change is one span, in one trace."""
    spans = await receiver.wait_for(spans=len(ids))
    by_event = {attributes(span)["zim.event.id"]: span for span in spans}
    assert len(spans) == len(by_event) == len(ids)
    assert len({span.trace_id for span in spans}) == 1
    changes = [_expected(one) for one in callbacks if one["type"] == "connectionStateChanged"]
    for number, (event_id, change) in enumerate(zip(ids, changes, strict=True)):
        given = attributes(by_event[event_id])
        assert (given["zim.connection.state"], given["zim.connection.event"]) == change[:2]
        assert given.get("zim.extended_data", "") == change[2]
        assert bool(by_event[event_id].parent_span_id) is (number > 0)


def _callback(row: sqlite3.Row) -> tuple[Any, ...]:
    if row["type"] == "token_will_expire":
        return ("token_will_expire", json.loads(row["details"])["second"])
    return (row["connection_state"], row["connection_event"], row["extended_data"])


def _expected(callback: LogLine) -> tuple[Any, ...]:
    data = callback["data"]
    if callback["type"] == "tokenWillExpire":
        return ("token_will_expire", data["second"])
    return (STATES[data["state"]], EVENTS[data["event"]], data["extendedData"])
