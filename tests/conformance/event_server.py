"""A server for events that answers as a test decides, and keeps the events that it accepted."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from aiohttp import web

from sidecar.ingest import wire
from tests.support.small_server import served

CORS = {"Access-Control-Allow-Origin": "*"}
NOW_US = 1_795_485_600_000_000

Answer = Callable[[int, list[Any]], web.Response | None]
"""The answer to a request, by its number and batch; None accepts it."""


class EventServer:
    """Its requests, the events that it accepted, and all bodies."""

    def __init__(self, answer: Answer) -> None:
        self.url = ""
        self.requests: list[web.Request] = []
        self.accepted: list[dict[str, Any]] = []
        self.bodies = b""
        self.batches: list[list[Any]] = []
        self._answer = answer

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()  # aiohttp has unpacked it
        self.requests.append(request)
        self.bodies += body
        batch = json.loads(body)
        self.batches.append(batch)
        response = self._answer(len(self.requests), batch)
        if response is None:
            assert wire.decode(body, "json", NOW_US).rejected == []
            self.accepted.extend(batch)
            response = web.json_response({"accepted": len(batch), "duplicates": 0, "rejected": []})
        response.headers.update(CORS)
        return response

    async def preflight(self, _request: web.Request) -> web.Response:
        return web.Response(headers={**CORS, "Access-Control-Allow-Headers": "*"})


@contextlib.asynccontextmanager
async def event_server(answer: Answer = lambda _number, _batch: None) -> AsyncIterator[EventServer]:
    server = EventServer(answer)
    routes = (web.post("/v1/events", server.take), web.options("/v1/events", server.preflight))
    async with served(*routes) as server.url:
        yield server
