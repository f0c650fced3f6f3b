"""The whole of Zimwatch, as its composition root builds it, in the test's own event loop and on a free port."""

from __future__ import annotations

import contextlib
import io
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from sidecar import app
from sidecar.settings import (
    AlertSettings,
    DatabaseSettings,
    IngestSettings,
    LeaseSettings,
    ServerSettings,
    Settings,
)
from sidecar.store import Store


class Zimwatch(msgspec.Struct, frozen=True):
    """A running Zimwatch: ``http`` knows its address."""

    url: str
    store: Store
    http: aiohttp.ClientSession

    async def send(self, body: Any, **headers: str) -> tuple[int, Any]:
        """Posts a body (bytes as they are, the rest as JSON) to the ingest call: status and answer."""
        data = io.BytesIO(body if isinstance(body, bytes) else msgspec.json.encode(body))
        given = {"Content-Type": "application/json"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        async with self.http.post("/v1/events", data=data, headers=given) as response:
            return response.status, await response.json(content_type=None)

    async def get(self, path: str, **headers: str) -> tuple[int, Any]:
        """Status and answer of a read call."""
        async with self.http.get(path, headers=headers) as response:
            return response.status, await response.json(content_type=None)


@contextlib.asynccontextmanager
async def zimwatch(
    folder: Path,
    environ: Mapping[str, str] | None = None,
    *,
    max_body_bytes: int = 1_048_576,
    alerts: AlertSettings | None = None,
    leases: LeaseSettings | None = None,
) -> AsyncIterator[Zimwatch]:
    """Runs on ``folder/zimwatch.db`` until the context ends."""
    settings = Settings(
        server=ServerSettings(port=0),
        database=DatabaseSettings(url=f"sqlite:///{folder / 'zimwatch.db'}"),
        ingest=IngestSettings(max_body_bytes=max_body_bytes),
        alerts=alerts or AlertSettings(),
        leases=leases or LeaseSettings(),
    )
    async with (
        app.running(settings, environ or {}) as served,
        aiohttp.ClientSession(served.url, auto_decompress=True) as http,
    ):
        yield Zimwatch(served.url, served.store, http)
