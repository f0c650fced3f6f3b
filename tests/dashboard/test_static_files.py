"""The files of the pages: kept by browsers for good, and replaced at an upgrade."""

from __future__ import annotations

import gzip
import re
from collections.abc import AsyncIterator
from importlib import resources

import aiohttp
import pytest

from dashboard.static_files import address
from tests.support.running import Zimwatch

STATIC = resources.files("dashboard") / "static"
NAMES = ["zimwatch.css", "zimwatch.js", "streams.js", "icon.svg", "live.js"]
PARTS = {"live.js": ["htmx-4.0.1.min.js", "hx-sse-4.0.1.min.js"]}


@pytest.fixture
async def http(running: Zimwatch) -> AsyncIterator[aiohttp.ClientSession]:
    """Sees what is on the wire."""
    async with aiohttp.ClientSession(
        running.url, auto_decompress=False, headers={"Accept-Encoding": "gzip"}
    ) as session:
        yield session


@pytest.mark.parametrize("name", NAMES)
async def test_a_file_is_kept_for_good_at_the_address_of_its_content(http: aiohttp.ClientSession, name: str) -> None:
    content = b";\n".join((STATIC / part).read_bytes() for part in PARTS.get(name, [name]))
    async with http.get(address(name)) as response:
        raw = await response.read()
        assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert response.headers["Vary"] == "Accept-Encoding"
        is_packed = response.headers.get("Content-Encoding") == "gzip"
        assert is_packed == (len(content) > 1_024)
        assert (gzip.decompress(raw) if is_packed else raw) == content
    async with http.get(address(name), headers={"Accept-Encoding": "identity"}) as response:
        assert "Content-Encoding" not in response.headers
        assert await response.read() == content
    async with http.head(address(name)) as response:
        assert (response.status, int(response.headers["Content-Length"])) == (200, len(raw))


@pytest.mark.parametrize("path", ["/static/zimwatch.css", "/static/0123456789abcdef/zimwatch.css"])
async def test_a_page_of_another_version_gets_the_file_and_does_not_keep_it(
    http: aiohttp.ClientSession, path: str
) -> None:
    async with http.get(path) as response:
        assert (response.status, response.headers["Cache-Control"]) == (200, "no-cache")
        tag = response.headers["ETag"]
    for asked in (tag, tag.removeprefix("W/"), f'"other", {tag}', "*"):
        async with http.get(path, headers={"If-None-Match": asked}) as response:
            assert (response.status, await response.read()) == (304, b"")
            assert (response.headers["ETag"], response.headers["Vary"]) == (tag, "Accept-Encoding")
    async with http.get(path, headers={"If-None-Match": '"other"'}) as response:
        assert response.status == 200


@pytest.mark.parametrize("path", ["/static/VENDOR.md", "/static/nothing.js", "/static/..%2Fpage.py", "/static/x/y.js"])
async def test_nothing_else_is_a_file(http: aiohttp.ClientSession, path: str) -> None:
    async with http.get(path) as response:
        assert response.status == 404


async def test_pages_name_no_file_without_its_digest(running: Zimwatch) -> None:
    for path in ("/", "/sign-in", "/nowhere"):
        async with running.http.get(path, headers={"Accept": "text/html"}) as response:
            found = re.findall(r'"(/static/[^"]*)"', await response.text())
        assert len(found) >= 5
        assert all(re.fullmatch(r"/static/[0-9a-f]{16}/[a-z0-9.-]+", one) for one in found)
