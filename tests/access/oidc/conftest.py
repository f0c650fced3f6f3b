"""A Zimwatch whose people sign in at a provider of the test's own, by a clock that the test sets.

One for all tests of a module: each finds the provider honest again, and nobody signed in.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import msgspec
import pytest
import pytest_asyncio

from sidecar.settings import GroupSettings, OidcSettings
from tests.support.clocks import DAY_S, Machine
from tests.support.oidc.hostile import CLIENT_ID, CLIENT_SECRET, HostileProvider
from tests.support.running import Zimwatch, zimwatch

GROUPS = GroupSettings(
    roles={"sre": "operator", "support": "support", "eu": "support", "wall": "viewer", "boss": "admin"},
    apps={"eu": (7,), "boss": (7, 8)},
)


class World(msgspec.Struct, frozen=True):
    """All of it; ``running`` keeps cookies and wants pages, as a browser does."""

    running: Zimwatch
    provider: HostileProvider
    machine: Machine


def settings_for(provider: HostileProvider) -> OidcSettings:
    return OidcSettings(issuer=provider.issuer, client_id=CLIENT_ID, client_secret=CLIENT_SECRET)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one_world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    folder: Path = tmp_path_factory.mktemp("oidc")
    machine = Machine()
    provider = HostileProvider(machine)
    async with (
        provider.running(),
        zimwatch(folder, machine=machine, oidc=settings_for(provider), groups=GROUPS) as running,
        aiohttp.ClientSession(
            running.url, cookie_jar=aiohttp.CookieJar(unsafe=True), headers={"Accept": "text/html"}
        ) as browser,
    ):
        yield World(Zimwatch(running.url, running.store, browser), provider, machine)


@pytest.fixture
def world(one_world: World) -> World:
    one_world.provider.is_honest_again()
    one_world.running.http.cookie_jar.clear()
    one_world.machine.passes(DAY_S)
    return one_world


@pytest.fixture
def running(world: World) -> Zimwatch:
    return world.running


@pytest.fixture
def provider(world: World) -> HostileProvider:
    return world.provider


@pytest.fixture
def machine(world: World) -> Machine:
    return world.machine
