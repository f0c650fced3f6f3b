"""Compressed event streams: each payload can be read at once, is compressed once, and all are a gzip file."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from unittest.mock import Mock

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from sidecar.web.event_stream import EventStream, Payload
from tests.support.running import Zimwatch
from tests.support.wire import fresh_event

SMALL, LARGE = b"data: small\n\n", b"data: " + b"large " * 1_000 + b"\n\n"
PACKED = {"Accept-Encoding": "gzip"}


class Inflated:
    """What can be read of a compressed stream so far."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self._decompressor = zlib.decompressobj(16 + zlib.MAX_WBITS)
        self.received = 0

    async def until(self, text: bytes) -> bytes:
        """What comes until this text is there."""
        found = b""
        async with asyncio.timeout(30):
            while text not in found:
                raw = await self._response.content.readany()
                self.received += len(raw)
                found += self._decompressor.decompress(raw)
        return found


async def test_each_payload_is_readable_at_once_and_the_end_is_a_gzip_files() -> None:
    go_on, payloads = asyncio.Semaphore(0), [Payload(SMALL), Payload(LARGE), Payload(b""), Payload(SMALL)]

    async def handler(request: web.Request) -> web.StreamResponse:
        stream = EventStream()
        await stream.begin(request)
        for payload in payloads:
            await stream.write(payload)
            await go_on.acquire()
        await stream.end()
        return stream.response

    application = web.Application()
    application.router.add_get("/", handler)
    async with TestClient(TestServer(application), auto_decompress=False) as http:
        async with asyncio.timeout(30), http.get("/", headers=PACKED) as response:
            assert (response.headers["Content-Encoding"], response.headers["Vary"]) == ("gzip", "Accept-Encoding")
            raw = b""
            for payload in payloads:
                while not zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(raw).endswith(payload.plain):
                    raw += await response.content.readany()
                go_on.release()
            raw += await response.read()
            assert gzip.decompress(raw) == SMALL + LARGE + SMALL
        for _ in payloads:
            go_on.release()
        async with http.get("/", headers={"Accept-Encoding": "gzip;q=0"}) as response:
            assert (response.headers.get("Content-Encoding"), response.headers["Vary"]) == (None, "Accept-Encoding")
            assert await response.read() == SMALL + LARGE + SMALL


def test_a_payload_is_compressed_once_for_all_its_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Mock(wraps=zlib.compressobj)
    monkeypatch.setattr(zlib, "compressobj", made)
    payload, small = Payload(LARGE), Payload(SMALL)
    assert {payload.blocks for _ in range(100)} == {payload.blocks}
    assert len(payload.blocks) < len(LARGE) / 10
    assert len(small.blocks) == len(SMALL) + 5
    assert made.call_count == 1


@pytest.mark.parametrize(("path", "expected"), [("/v1/stream", b'"user_id":"user-9"'), ("/live/users", b"user-9")])
async def test_streams_are_compressed_message_by_message(running: Zimwatch, path: str, expected: bytes) -> None:
    await running.send([fresh_event(user_id=f"user-{number}") for number in range(9)])
    timeout = aiohttp.ClientTimeout(total=None)
    async with (
        aiohttp.ClientSession(running.url, auto_decompress=False, headers=PACKED, timeout=timeout) as http,
        http.get(path) as response,
    ):
        stream = Inflated(response)
        await stream.until(b"\n\n")
        await running.send([fresh_event(user_id="user-9")])
        text = await stream.until(expected)
        assert path == "/v1/stream" or stream.received < len(text) / 2
