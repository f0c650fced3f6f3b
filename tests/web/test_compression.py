"""Which responses are compressed, for whom, and where."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from concurrent.futures import Executor, Future
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from sidecar.web.compression import AT_ONCE_BYTES, LEAST_BYTES, accepts_gzip, compressing
from tests.support.running import Zimwatch
from tests.support.wire import fresh_event

TEXT = "zimwatch " * LEAST_BYTES
LARGE = "z" * (AT_ONCE_BYTES + 1)
PACKED = {"Accept-Encoding": "gzip"}
USER = "/users/1234567890/alice"


class CountedPool(Executor):
    """Runs at once what it is given, and counts it."""

    def __init__(self) -> None:
        self.count = 0

    def submit(self, work: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.count += 1
        done: Future[Any] = Future()
        done.set_result(work(*args, **kwargs))
        return done


async def answered(
    response: web.StreamResponse, accepts: str | None = "gzip, deflate, br", pool: Executor | None = None
) -> web.StreamResponse:
    async def handler(_request: web.Request) -> web.StreamResponse:
        return response

    headers = {} if accepts is None else {"Accept-Encoding": accepts}
    return await compressing(pool or CountedPool())(make_mocked_request("GET", "/", headers), handler)


@pytest.fixture
async def http(running: Zimwatch) -> AsyncIterator[aiohttp.ClientSession]:
    """Sees what is on the wire."""
    async with aiohttp.ClientSession(running.url, auto_decompress=False, headers={"Accept": "text/html"}) as session:
        yield session


@pytest.mark.parametrize(
    ("header", "accepts"),
    [
        ("gzip", True),
        ("GZIP", True),
        ("deflate, gzip;q=0.5, *;q=0", True),
        ("br;q=1, *", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000, *", False),
        ("identity;q=1, gzip;q=0.1", False),
        ("*;q=0", False),
        ("", False),
        ("br, zstd", False),
        ("x-notgzip", False),
        ("gzip;q=many", False),
    ],
)
def test_gzip_is_sent_to_who_accepts_it(header: str, *, accepts: bool) -> None:
    assert accepts_gzip(make_mocked_request("GET", "/", {"Accept-Encoding": header}).headers) is accepts


def test_without_the_header_nothing_is_compressed() -> None:
    assert not accepts_gzip(make_mocked_request("GET", "/").headers)


@pytest.mark.parametrize(
    "response",
    [
        web.Response(text="z" * LEAST_BYTES, content_type="text/html"),
        web.Response(body=TEXT.encode(), content_type="image/png"),
        web.Response(text=TEXT, content_type="text/html", headers={"Content-Encoding": "br"}),
        web.Response(text=TEXT, content_type="text/html", headers={"Cache-Control": "no-store, no-transform"}),
        web.Response(status=304),
        web.StreamResponse(headers={"Content-Type": "text/html"}),
    ],
    ids=["small", "picture", "compressed", "secret", "empty", "stream"],
)
async def test_some_are_left_as_they_are(response: web.StreamResponse) -> None:
    before = dict(response.headers)
    assert dict((await answered(response)).headers) == before


async def test_caches_are_told_whether_it_was_compressed_or_not() -> None:
    for accepts, encoding in (("gzip", "gzip"), (None, None)):
        response = await answered(
            web.Response(text=TEXT, content_type="text/html", headers={"Vary": "Accept"}), accepts
        )
        assert response.headers["Vary"] == "Accept, Accept-Encoding"
        assert response.headers.get("Content-Encoding") == encoding


async def test_a_large_body_does_not_hold_up_the_event_loop() -> None:
    pool = CountedPool()
    for text, count in ((TEXT, 0), (LARGE, 1)):
        response = await answered(web.Response(text=text, content_type="text/html"), pool=pool)
        assert isinstance(response, web.Response)
        assert isinstance(response.body, bytes)
        assert gzip.decompress(response.body).decode() == text
        assert pool.count == count


@pytest.mark.parametrize("path", ["/", "/users", "/settings", "/nowhere", "/v1/users", "/openapi.json", "/metrics"])
async def test_pages_errors_and_json_are_compressed(running: Zimwatch, http: aiohttp.ClientSession, path: str) -> None:
    await running.send([fresh_event(user_id=f"user-{number}") for number in range(10)])
    async with http.get(path, headers=PACKED) as response:
        raw = await response.read()
        assert response.headers["Content-Encoding"] == "gzip"
        assert int(response.headers["Content-Length"]) == len(raw)
        assert response.headers.getall("Vary") == ["Accept-Encoding"]
        assert len(gzip.decompress(raw)) > LEAST_BYTES
    async with http.get(path, headers={"Accept-Encoding": "gzip;q=0"}) as response:
        assert "Content-Encoding" not in response.headers
        assert len(await response.read()) > len(raw)
    async with http.head(path, headers=PACKED) as response:
        assert response.headers["Content-Encoding"] == "gzip"
        assert response.headers["Vary"] == "Accept-Encoding"
        assert await response.read() == b""


async def test_a_page_with_a_share_link_is_not_compressed(running: Zimwatch, http: aiohttp.ClientSession) -> None:
    await running.send([fresh_event()])
    for query, encoding in (("", "gzip"), ("?hand_off=1h", None)):
        async with http.get(f"{USER}{query}", headers=PACKED) as response:
            text = await response.read()
            assert response.headers.get("Content-Encoding") == encoding
            assert ("no-transform" in response.headers["Cache-Control"]) is (encoding is None)
            assert (b"/hand-off/" in text) is (encoding is None)


async def test_an_export_is_streamed_as_it_is(running: Zimwatch, http: aiohttp.ClientSession) -> None:
    await running.send([fresh_event()])
    async with http.get("/users.csv", headers=PACKED) as response:
        assert "Content-Encoding" not in response.headers
        assert b"alice" in await response.read()
