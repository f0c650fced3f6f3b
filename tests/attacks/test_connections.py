"""Connections without a complete request lock nobody out and are closed soon."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path

import msgspec
import pytest

from sidecar.settings import ServerSettings
from sidecar.web.connection import HEAD_BYTES
from tests.support import raw
from tests.support.memory import rss_bytes
from tests.support.process import serving
from tests.support.running import zimwatch
from tests.support.tokens import new_token
from tests.support.wire import wire_event

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]
ASKED = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
MOST = 8
# Nothing ends by itself in a test of what ends for another reason.
SLOW = ServerSettings(header_timeout="1h", body_timeout="1h")


def head(path: str, *fields: str, method: str = "POST") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *fields]
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n"


async def ended(ends: Ends) -> bytes:
    """All that the server sends before it closes the connection."""
    with contextlib.suppress(ConnectionError):
        return await ends[0].read()
    return b""


async def open_many(stack: contextlib.AsyncExitStack, url: str, count: int, sent: bytes) -> list[Ends]:
    opened = [await stack.enter_async_context(raw.connected(url)) for _ in range(count)]
    for _, writer in opened:
        writer.write(sent)
        await writer.drain()
    return opened


async def is_answered(url: str) -> bool:
    status, _, _ = await raw.ask(url, ASKED)
    return status == 200


@pytest.mark.parametrize(
    "sent",
    [
        b"FOO / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        head("/livez", "Expect: 200-please", method="GET"),
        head("/livez", f"x: {'a' * (HEAD_BYTES + 1)}", method="GET"),
    ],
    ids=["a method that is none", "no Host", "an expectation", "a head too large"],
)
async def test_errors_before_any_handler_have_the_headers_of_every_response(tmp_path: Path, sent: bytes) -> None:
    async with zimwatch(tmp_path) as running:
        status, headers, _ = await raw.ask(running.url, sent)
    assert 400 <= status < 500
    assert headers["content-type"] == "application/problem+json"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert (headers["cross-origin-resource-policy"], headers["x-content-type-options"]) == ("same-origin", "nosniff")


async def test_a_whole_address_on_the_request_line_gives_no_access(tmp_path: Path) -> None:
    async with zimwatch(tmp_path) as running:
        for host, status in (("evil.example", 421), ("localhost", 401)):
            sent = b"GET http://%b/v1/summary HTTP/1.1\r\nHost: localhost\r\n\r\n" % host.encode()
            assert (await raw.ask(running.url, sent))[0] == status
    below = ServerSettings(public_url="https://ops.example.com/zimwatch")
    async with zimwatch(tmp_path, server=below) as running:
        sent = b"GET http://evil.example/zimwatch/v1/summary HTTP/1.1\r\nHost: localhost\r\n\r\n"
        assert (await raw.ask(running.url, sent))[0] == 421


async def test_headers_are_read_up_to_a_small_total(tmp_path: Path) -> None:
    async with zimwatch(tmp_path, server=SLOW) as running, raw.connected(running.url) as ends:
        reader, writer = ends
        writer.write(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n")
        for number in range(HEAD_BYTES // 8_000 + 1):
            writer.write(b"x-%d: %b\r\n" % (number, b"a" * 8_000))
            await writer.drain()
        status, headers, body = await raw.answer(reader)
    assert (status, headers["content-type"]) == (431, "application/problem+json")
    assert json.loads(body)["status"] == 431


@pytest.mark.parametrize("fields", [100, 127])
async def test_headers_that_come_at_once_are_bounded_too(tmp_path: Path, fields: int) -> None:
    many = [f"x-{number}: {'a' * (HEAD_BYTES // 90)}" for number in range(fields)]
    async with zimwatch(tmp_path) as running:
        status, headers, _ = await raw.ask(running.url, head("/livez", *many, method="GET"))
    assert (status, headers["content-type"]) == (431, "application/problem+json")


async def test_a_long_body_behind_short_headers_is_no_long_header(tmp_path: Path) -> None:
    body = b"[" + b" " * 900_000 + b"]"
    async with zimwatch(tmp_path) as running:
        fields = (f"Content-Length: {len(body)}", "Content-Type: application/json", "Connection: close")
        for _ in range(3):
            status, _, _ = await raw.ask(running.url, head("/v1/events", *fields) + body)
            assert status == 200


async def test_the_end_of_a_body_is_no_header_of_the_next_request(tmp_path: Path) -> None:
    """Neither by its size, nor by a time within which the next headers would have to come."""
    body = json.dumps([{**wire_event(), "filling": "x" * 4 * HEAD_BYTES}]).encode()
    post = head("/v1/events", "Content-Type: application/json", f"Content-Length: {len(body)}")
    async with (
        zimwatch(tmp_path, server=ServerSettings(header_timeout="100ms", body_timeout="1h")) as running,
        raw.connected(running.url) as (reader, writer),
        raw.connected(running.url) as other,
    ):
        for _ in range(2):
            for sent in (post, body[:10], body[10:]):
                writer.write(sent)
                await writer.drain()
                await is_answered(running.url)  # what was sent has been read by then
            assert (await raw.answer(reader))[0] == 200
        assert await ended(other) == b""  # the time for headers is over
        writer.write(ASKED)
        assert (await raw.answer(reader))[0] == 200


async def test_a_connection_whose_headers_do_not_end_is_closed(tmp_path: Path) -> None:
    async with (
        zimwatch(tmp_path, server=ServerSettings(header_timeout="300ms", body_timeout="1h")) as running,
        raw.connected(running.url) as silent,
        raw.connected(running.url) as half,
        raw.connected(running.url) as second,
    ):
        half[1].write(b"GET /livez HTTP/1.1\r\nHost: local")
        second[1].write(ASKED.replace(b"Connection: close\r\n", b""))
        assert (await raw.answer(second[0]))[0] == 200
        second[1].write(b"GET /li")
        assert await ended(silent) == b""
        assert b" 408 " in await ended(half)
        assert b" 408 " in await ended(second)


@pytest.mark.parametrize("path", ["/v1/events", "/v1/chatops", "/v1/silences", "/silences", "/v1/callbacks/zego"])
async def test_a_request_whose_body_does_not_end_is_answered_and_closed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    async with (
        zimwatch(tmp_path, server=ServerSettings(header_timeout="1h", body_timeout="300ms")) as running,
        raw.connected(running.url) as (reader, writer),
    ):
        writer.write(head(path, "Content-Type: application/json", "Content-Length: 100") + b"[")
        status, headers, _ = await raw.answer(reader)
        if path not in {"/silences", "/v1/callbacks/zego"}:  # which need not read it to refuse it
            assert (status, headers["content-type"]) == (408, "application/problem+json")
        assert status < 500
        assert await ended((reader, writer)) == b""
    assert "Unhandled exception" not in caplog.text


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: loc",
        ASKED.replace(b"Connection: close\r\n", b""),
        head("/v1/events", "Content-Type: application/json", "Content-Length: 100"),
    ],
    ids=["nothing", "half a head", "one request", "no body"],
)
async def test_unused_connections_lock_nobody_out(tmp_path: Path, sent: bytes) -> None:
    async with (
        zimwatch(tmp_path, server=msgspec.structs.replace(SLOW, max_connections=MOST)) as running,
        contextlib.AsyncExitStack() as stack,
    ):
        opened = await open_many(stack, running.url, 3 * MOST, sent)
        assert await is_answered(running.url)
        for ends in opened[:MOST]:
            await ended(ends)  # the oldest went


async def test_past_the_limit_of_connections_further_ones_are_refused(tmp_path: Path) -> None:
    # In a process of its own, whose event loop is uvloop's.
    most = {"ZIMWATCH_SERVER__MAX_CONNECTIONS": str(MOST), "ZIMWATCH_SERVER__HEADER_TIMEOUT": "1h"}
    async with serving(tmp_path, most) as (url, _), contextlib.AsyncExitStack() as stack:
        for reader, _ in await open_many(stack, url, MOST, head("/v1/stream", method="GET")):
            await reader.readuntil(b"event: summary")
        async with raw.connected(url) as ends:
            refused = await ended(ends)
        assert b" 503 " in refused.splitlines()[0]
        assert b"problem+json" in refused
        await stack.aclose()
        while not await is_answered_now(url):  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.01)


async def is_answered_now(url: str) -> bool:
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        return await is_answered(url)
    return False


async def test_the_connections_of_a_known_client_are_bounded(tmp_path: Path) -> None:
    server = msgspec.structs.replace(SLOW, max_connections_per_client=MOST, trusted_proxies=("192.0.2.1",))
    async with zimwatch(tmp_path, server=server) as running, contextlib.AsyncExitStack() as stack:
        for reader, _ in await open_many(stack, running.url, MOST - 1, head("/v1/stream", method="GET")):
            await reader.readuntil(b"event: summary")
        async with raw.connected(running.url), raw.connected(running.url) as ends:
            assert b" 503 " in (await ended(ends)).splitlines()[0]


async def test_behind_a_trusted_proxy_each_client_has_its_own_share(tmp_path: Path) -> None:
    server = msgspec.structs.replace(SLOW, max_connections_per_client=MOST, trusted_proxies=("127.0.0.1",))

    def of(client: str, path: str = "/v1/stream") -> bytes:
        return head(path, f"X-Forwarded-For: {client}", f"Authorization: Bearer {secret}", method="GET")

    async with zimwatch(tmp_path, server=server) as running, contextlib.AsyncExitStack() as stack:
        _, secret = await new_token(running.store, "read")
        for reader, _ in await open_many(stack, running.url, MOST, of("198.51.100.7")):
            await reader.readuntil(b"event: summary")
        for client, status in (("198.51.100.7", 429), ("203.0.113.1, 198.51.100.7", 429), ("198.51.100.8", 200)):
            assert (await raw.ask(running.url, of(client, "/v1/summary")))[0] == status


async def test_with_few_descriptors_connections_leave_some_for_the_database(tmp_path: Path) -> None:
    few = ("sh", "-c", 'ulimit -n 160 && exec "$0" "$@"')
    async with serving(tmp_path, before=few) as (url, _), contextlib.AsyncExitStack() as stack:
        await open_many(stack, url, 250, b"GET / HTTP/1.1\r\nHost: loc")
        event = json.dumps([wire_event()]).encode()
        fields = ("Content-Type: application/json", f"Content-Length: {len(event)}", "Connection: close")
        assert (await raw.ask(url, head("/v1/events", *fields) + event))[0] == 200
        assert (await raw.ask(url, head("/readyz", "Connection: close", method="GET")))[0] == 200


async def test_data_of_half_open_connections_is_not_kept(tmp_path: Path) -> None:
    async def flood(stack: contextlib.AsyncExitStack, url: str) -> None:
        _, writer = await stack.enter_async_context(raw.connected(url))
        with contextlib.suppress(ConnectionError):
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
            for number in range(100):
                writer.write(b"x-%d: %b\r\n" % (number, b"a" * 60_000))
                await writer.drain()

    async with serving(tmp_path) as (url, process), contextlib.AsyncExitStack() as stack:
        before = rss_bytes(process.pid)
        await asyncio.gather(*(flood(stack, url) for _ in range(100)))
        assert rss_bytes(process.pid) - before < 64 << 20  # of 600 MB that were sent
