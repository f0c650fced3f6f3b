"""Checks the set-up: this machine, what Zimwatch calls, and, where a server runs, how it is reached."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from urllib.parse import urlsplit

from sidecar import checks
from sidecar.clock import Clock
from sidecar.doctor import edges, machine, outside, reach
from sidecar.doctor.result import Result, problem
from sidecar.http_client import HttpClient
from sidecar.settings import Loaded, Settings
from sidecar.store import engines

__all__ = ["Result", "examine"]


async def examine(loaded: Loaded, environ: Mapping[str, str], *, clock: Clock, steady: Clock) -> AsyncIterator[Result]:
    """Each result as soon as it is known. Changes nothing, but writes and deletes a small file beside the database."""
    settings = loaded.settings
    for one in checks.problems(loaded, environ):
        yield problem("settings", one, "Correct the setting; `zimwatch check-config` prints what is in force.")
    yield await machine.node(environ)
    for result in _of_database(settings, clock(), steady):
        yield result
    yield await outside.collector(environ, clock)
    async for result in outside.channels(settings):
        yield result
    async for result in outside.zego(settings, clock):
        yield result
    async for result in edges.centre(settings, clock):
        yield result
    async for result in outside.provider(settings, clock):
        yield result
    async for result in _reached(settings):
        yield result


def _of_database(settings: Settings, now_us: int, steady: Clock) -> Iterator[Result]:
    url = settings.database.url
    if settings.database.is_on_server:
        reached = machine.database_server(url)
        yield reached
        if reached.level == "ok":
            yield machine.clock(settings, now_us)
            yield from edges.known(settings, now_us)
        return
    folder = engines.location(url).absolute().parent
    yield machine.sqlite_version()
    yield from machine.database(url)
    yield machine.disk_speed(folder, steady)
    yield machine.room(folder, settings.retention.max_bytes)
    yield machine.clock(settings, now_us)
    yield machine.backups(settings, now_us)
    yield from edges.behind(settings, now_us)
    yield from edges.known(settings, now_us)


async def _reached(settings: Settings) -> AsyncIterator[Result]:
    server = settings.server
    own = [name for name in (server.host, urlsplit(server.public_url).hostname or "") if name]
    async with HttpClient(own) as http:
        here = await reach.port(server, http)
        yield here.result
        if here.url is None:
            return
        async for result in reach.public_url(server, http):
            yield result
        async for result in reach.tap(settings, server.public_url.rstrip("/") or here.url, http):
            yield result
