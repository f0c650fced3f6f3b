"""The tap as a package: its size, its types, and the ways to load it."""

from __future__ import annotations

import asyncio
import gzip
import json
from pathlib import Path

import aiohttp
import pytest

from sidecar.web.compression import LEAST_BYTES
from tests.support.running import zimwatch

ROOT = Path(__file__).parents[2]
SDK = ROOT / "sidecar/sdk"
TAP = SDK / "tap"
BIN = SDK / "node/node_modules/.bin"
TYPED_APP = Path(__file__).parent / "scripts/tsconfig.json"
MOST_BYTES = 13_000
MOST_PACKED_BYTES = 6_000

pytestmark = pytest.mark.node


async def output_of(*command: str | Path) -> bytes:
    process = await asyncio.create_subprocess_exec(
        *map(str, command), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output


async def test_the_minified_tap_is_small() -> None:
    minified = await output_of(BIN / "terser", TAP / "zim-tap.js", "--compress", "--mangle")
    packed = gzip.compress(minified, 9)
    print(f"\n{len(minified)} bytes minified, {len(packed)} gzipped")  # noqa: T201 - to see the margin
    assert len(minified) < MOST_BYTES
    assert len(packed) < MOST_PACKED_BYTES


async def test_its_types_match_those_of_the_sdk() -> None:
    assert await output_of(BIN / "tsc", "--project", TYPED_APP) == b""


@pytest.mark.parametrize(
    "program",
    [
        "const { ZimTap } = require(PATH + '.js'); globalThis.loaded = [ZimTap, require(PATH + '.js').install];",
        "import(PATH + '.mjs').then((it) => { globalThis.loaded = [it.ZimTap, it.install, it.default]; });",
        "import(PATH + '.js').then((it) => { globalThis.loaded = [it.default.ZimTap, it.default.default]; });",
    ],
)
async def test_the_tap_can_be_required_and_imported(program: str) -> None:
    report = """process.on("exit", () => console.log(loaded.map((one) => typeof (one.install ?? one)).join(),
        loaded[0] === globalThis.ZimTap))"""
    output = await output_of("node", "-e", f"const PATH = {json.dumps(str(TAP / 'zim-tap'))}; {program}; {report}")
    assert set(output.decode().split()[0].split(",")) == {"function"}
    assert output.decode().split()[1] == "true"


@pytest.mark.parametrize("name", ["zim-tap.js", "zim-tap.mjs", "zim-tap.d.ts", "zim-tap.d.mts", "zim-tap-file.cjs"])
async def test_the_tap_is_served_compressed_to_any_page_that_may_send(tmp_path: Path, name: str) -> None:
    async with zimwatch(tmp_path) as running, aiohttp.ClientSession(running.url, auto_decompress=False) as http:
        headers = {"Origin": "http://localhost:3000", "Accept-Encoding": "gzip"}
        async with http.get(f"/tap/{name}", headers=headers) as response:
            assert response.headers["Access-Control-Allow-Origin"] == headers["Origin"]
            assert response.headers["Content-Type"] == "text/javascript; charset=utf-8"
            assert response.headers["Cache-Control"] == "public, max-age=300"
            assert response.headers.getall("Vary") == ["Accept-Encoding, Origin"]
            content, raw = (TAP / name).read_bytes(), await response.read()
            is_packed = response.headers.get("Content-Encoding") == "gzip"
            assert is_packed is (len(content) > LEAST_BYTES)
            assert (gzip.decompress(raw) if is_packed else raw) == content
        headers["If-None-Match"] = response.headers["ETag"]
        async with http.get(f"/tap/{name}", headers=headers) as response:
            assert response.status == 304
        # What was loaded by a plain script is not taken for what a module asks for with its origin.
        async with http.get(f"/tap/{name}") as response:
            assert response.headers.getall("Vary") == ["Accept-Encoding, Origin"]
            assert response.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
