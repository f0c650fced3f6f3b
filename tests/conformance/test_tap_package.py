"""The tap as a file that others load: its size, its types, and the ways to load it."""

from __future__ import annotations

import asyncio
import gzip
import json
from pathlib import Path

import aiohttp
import pytest

from tests.support.running import zimwatch

ROOT = Path(__file__).parents[2]
SDK = ROOT / "sidecar/sdk"
BIN = SDK / "node/node_modules/.bin"
TYPED_APP = Path(__file__).parent / "scripts/tsconfig.json"
MOST_BYTES = 12_000
MOST_PACKED_BYTES = 5_000

pytestmark = pytest.mark.node


async def output_of(*command: str | Path) -> bytes:
    process = await asyncio.create_subprocess_exec(
        *map(str, command), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output


async def test_it_is_small() -> None:
    minified = await output_of(BIN / "terser", SDK / "zim-tap.js", "--compress", "--mangle")
    packed = gzip.compress(minified, 9)
    print(f"\n{len(minified)} bytes minified, {len(packed)} gzipped")  # noqa: T201 - how well the promise is kept
    assert len(minified) < MOST_BYTES
    assert len(packed) < MOST_PACKED_BYTES


async def test_its_types_fit_those_of_the_sdk() -> None:
    assert await output_of(BIN / "tsc", "--project", TYPED_APP) == b""


@pytest.mark.parametrize(
    "program",
    [
        "const { ZimTap } = require(PATH + '.js'); globalThis.said = [ZimTap, require(PATH + '.js').install];",
        "import(PATH + '.mjs').then((it) => { globalThis.said = [it.ZimTap, it.install, it.default]; });",
        "import(PATH + '.js').then((it) => { globalThis.said = [it.default.ZimTap, it.default.default]; });",
    ],
)
async def test_it_can_be_required_and_imported(program: str) -> None:
    tell = """process.on("exit", () => console.log(said.map((one) => typeof (one.install ?? one)).join(),
        said[0] === globalThis.ZimTap))"""
    output = await output_of("node", "-e", f"const PATH = {json.dumps(str(SDK / 'zim-tap'))}; {program}; {tell}")
    assert set(output.decode().split()[0].split(",")) == {"function"}
    assert output.decode().split()[1] == "true"


@pytest.mark.parametrize("name", ["zim-tap.js", "zim-tap.mjs", "zim-tap.d.ts", "zim-tap.d.mts", "zim-tap-file.cjs"])
async def test_it_is_served_packed_to_any_page_that_may_send(tmp_path: Path, name: str) -> None:
    async with zimwatch(tmp_path) as running, aiohttp.ClientSession(running.url, auto_decompress=False) as http:
        headers = {"Origin": "http://localhost:3000", "Accept-Encoding": "gzip"}
        async with http.get(f"/tap/{name}", headers=headers) as response:
            assert response.headers["Access-Control-Allow-Origin"] == headers["Origin"]
            assert response.headers["Content-Type"] == "text/javascript; charset=utf-8"
            assert "Accept-Encoding" in ",".join(response.headers.getall("Vary"))
            assert gzip.decompress(await response.read()) == (SDK / name).read_bytes()
        headers["If-None-Match"] = response.headers["ETag"]
        async with http.get(f"/tap/{name}", headers=headers) as response:
            assert response.status == 304
