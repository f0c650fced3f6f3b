"""A real Prometheus of Debian, with a configuration of ``docker/prometheus``."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.process import free_port

FOLDER = Path(__file__).parents[2] / "docker/prometheus"


class Prometheus:
    """Its HTTP API."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._http = http

    async def get(self, path: str, **query: str) -> Any:
        """The data of an answer."""
        async with self._http.get(f"/api/v1/{path}", params=query) as answer:
            given = await answer.json()
        assert given["status"] == "success", given
        return given["data"]

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """The series of an expression now."""
        found: list[dict[str, Any]] = (await self.get("query", query=expression))["result"]
        return found


@contextlib.asynccontextmanager
async def prometheus(folder: Path, target: str, token: str) -> AsyncIterator[Prometheus]:
    """Scrapes ``target`` (host and port) each second, until the context ends."""
    shutil.copytree(FOLDER, folder)
    config, port = folder / "prometheus.yml", free_port()
    text = config.read_text(encoding="utf-8")
    assert '["zimwatch:8790"]' in text
    config.write_text(text.replace("zimwatch:8790", target).replace("15s", "1s"), encoding="utf-8")
    (folder / "zimwatch.token").write_text(token, encoding="utf-8")
    program = shutil.which("prometheus")
    assert program is not None
    process = await asyncio.create_subprocess_exec(
        program,
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        stdout=DEVNULL,
        stderr=DEVNULL,
    )
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http, asyncio.timeout(60):
            ready = False
            while not ready:
                with contextlib.suppress(aiohttp.ClientConnectionError):
                    async with http.get("/-/ready") as answer:
                        ready = answer.ok
                await asyncio.sleep(0.1)
            yield Prometheus(http)
    finally:
        process.kill()
        await process.wait()
