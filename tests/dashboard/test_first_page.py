"""The first page after a start does not wait for what the others have already."""

from __future__ import annotations

import asyncio
from pathlib import Path
from unittest.mock import Mock

import aiohttp
import jinja2
import pytest

import dashboard
from dashboard import page
from dashboard.text import language
from tests.support.process import free_port
from tests.support.running import zimwatch
from tests.support.wire import wire_event

PATHS = ["/", "/users", "/users/1234567890/alice", "/alerts", "/silences", "/settings", "/wall", "/nowhere", "/sign-in"]


async def test_the_first_page_compiles_no_template_and_no_catalogue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page._templates, "cache", {})
    language._catalogue.cache_clear()
    compiled = Mock(side_effect=page._templates.compile)
    monkeypatch.setattr(jinja2.Environment, "compile", compiled)
    async with zimwatch(tmp_path) as running:
        at_start = compiled.call_count
        assert at_start == len(page._templates.list_templates())
        catalogues = language._catalogue.cache_info().misses
        for path in PATHS:
            for chosen in language.LANGUAGES:
                headers = {"Accept": "text/html", "Accept-Language": chosen}
                async with running.http.get(path, headers=headers) as response:
                    assert f'<html lang="{chosen}">' in await response.text()
        assert compiled.call_count == at_start
        assert language._catalogue.cache_info().misses == catalogues


async def test_while_pages_are_prepared_events_are_accepted_and_it_is_not_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared, stop, port = asyncio.Event(), asyncio.Event(), free_port()
    monkeypatch.setattr(dashboard, "prepare", prepared.wait)

    async def run() -> None:
        async with zimwatch(tmp_path, port=port):
            await stop.wait()

    async def ready(http: aiohttp.ClientSession) -> tuple[int, str]:
        async with http.get("/readyz") as response:
            return response.status, (await response.json())["status"]

    async def reached(http: aiohttp.ClientSession) -> tuple[int, str]:
        while True:
            try:
                return await ready(http)
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0)

    served = asyncio.create_task(run())
    async with asyncio.timeout(30), aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:
        assert await reached(http) == (503, "starting")
        async with http.post("/v1/events", json=[wire_event()]) as response:
            assert (response.status, (await response.json())["accepted"]) == (200, 1)
        prepared.set()
        while await ready(http) != (200, "ok"):
            pass
    stop.set()
    await served
