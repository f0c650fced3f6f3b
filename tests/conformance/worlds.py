"""Environments of a client in tests: the real SDK in real time, or the simulated one on a simulated clock."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from random import Random
from typing import Any, Protocol, TypeVar

import pytest

from sidecar.clock import now_us
from sidecar.domain.sdk_words import EVENTS, STATES
from sidecar.domain.units import SECOND_US
from sidecar.sdk import (
    NOWHERE,
    Bridge,
    BridgeClient,
    ConnectionStateChanged,
    LoginConfig,
    SimulatorClient,
    ZimClient,
)
from sidecar.sdk.client.install import find
from sidecar.sdk.token04 import made_up
from tests.support.events import BEGIN_US

T = TypeVar("T")
APP = 1234567890
TICK_S = 0.02


class World(Protocol):
    """A client without a network, and its clock."""

    @property
    def client(self) -> ZimClient: ...

    def now_us(self) -> int: ...

    async def tick(self) -> None: ...


class RealWorld:
    """The real SDK in a Node.js child."""

    def __init__(self, bridge: Bridge) -> None:
        self.bridge = bridge
        self.client: BridgeClient = bridge.create(APP)

    def now_us(self) -> int:
        return now_us()

    async def tick(self) -> None:
        await asyncio.sleep(TICK_S)


class SimulatedWorld:
    """The simulated SDK; each tick moves its clock."""

    def __init__(self, *, network: bool = False) -> None:
        self._now_us = BEGIN_US
        self.client = SimulatorClient(APP, clock=self.now_us, rng=Random(7), network=network)  # noqa: S311 - no secret

    def now_us(self) -> int:
        return self._now_us

    async def tick(self) -> None:
        self._now_us += round(TICK_S * SECOND_US)
        self.client.advance()
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def bridge(network: str = NOWHERE) -> AsyncIterator[Bridge]:
    """A child of Node.js."""
    async with Bridge(await find(os.environ), network=network, environ=os.environ) as started:
        yield started


BOTH = [pytest.param("real", marks=pytest.mark.node), "simulated"]


@contextlib.asynccontextmanager
async def world_of(kind: str) -> AsyncIterator[World]:
    """One of ``BOTH``."""
    if kind == "simulated":
        yield SimulatedWorld()
    else:
        async with bridge() as started:
            yield RealWorld(started)


async def until(world: World, condition: Callable[[], bool], within_s: float = 20) -> None:
    """Lets time pass until the condition holds; TimeoutError if it takes too long by the world's clock."""
    deadline_us = world.now_us() + round(within_s * SECOND_US)
    while not condition():
        if world.now_us() > deadline_us:
            raise TimeoutError
        await world.tick()


async def done(world: World, work: Coroutine[Any, Any, T], within_s: float = 20) -> T:
    """The result of ``work``."""
    task = asyncio.create_task(work)
    await until(world, task.done, within_s)
    return await task


def token(world: World, seconds: int) -> str:
    """A fake token that expires in so many seconds."""
    return made_up(world.now_us() + seconds * SECOND_US, Random(1))  # noqa: S311 - it is made up


def offline(world: World, seconds: int = 600) -> LoginConfig:
    """The configuration of an offline login."""
    return LoginConfig(token=token(world, seconds), is_offline_login=True)


class Recorded:
    """Records a client's callbacks: state changes by name, and the seconds of tokenWillExpire."""

    def __init__(self, client: ZimClient) -> None:
        self.moves: list[tuple[str, str]] = []
        self.extended: list[str] = []
        self.seconds: list[int] = []
        client.on_connection_state_changed(self._changed)
        client.on_token_will_expire(lambda will: self.seconds.append(will.second))

    def _changed(self, to: ConnectionStateChanged) -> None:
        self.moves.append((STATES[to.state], EVENTS[to.event]))
        self.extended.append(to.extended_data)
