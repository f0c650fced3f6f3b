"""A client that simulates the SDK: the same protocol as the real one, on a clock that is passed in."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any, Final

from sidecar.clock import Clock
from sidecar.sdk.base import BaseClient
from sidecar.sdk.client import Call, CallEnded, ConnectionStateChanged, SdkLost
from sidecar.sdk.simulated_sdk import SECOND_US, Said, SimulatedSdk

_LONGEST_REST_S: Final = 0.25


class SimulatorClient(BaseClient):
    """``sdk`` is the simulated SDK itself: take its network away, kick it out, have it refuse.

    Nothing happens by itself: :meth:`advance` does what is due by the clock, and :meth:`live` calls it for as long as
    it runs.
    """

    sdk_version = "2.29.0"

    def __init__(self, app_id: int, *, clock: Clock, rng: Random, network: bool = True) -> None:
        super().__init__(app_id)
        self._clock = clock
        self._rng = rng
        self._answers: dict[Call, asyncio.Future[Any]] = {}
        self.sdk = SimulatedSdk(rng=rng, emit=self._said, network=network)

    def advance(self) -> None:
        """Does all that is due by now."""
        self.sdk.advance(self._clock())

    async def live(self) -> None:
        """Advances until cancelled."""
        while True:
            self.advance()
            due_us = self.sdk.due_us
            rest_s = _LONGEST_REST_S if due_us is None else (due_us - self._clock()) / SECOND_US
            await asyncio.sleep(min(max(rest_s, 0.0), _LONGEST_REST_S))

    def die(self, reason: str) -> None:
        """The SDK's process dies and is there anew at once, as the bridge's child does."""
        self.sdk = SimulatedSdk(rng=self._rng, emit=self._said, network=self.sdk.network)
        self._answers.clear()
        self._lose_calls(reason)
        self._lost.tell(SdkLost(reason))

    async def destroy(self) -> None:
        """Ends the instance."""
        self.sdk = SimulatedSdk(rng=self._rng, emit=self._said)
        self._lose_calls("the client was destroyed")

    def _begin(self, call: Call, answer: asyncio.Future[Any]) -> None:
        self._answers[call] = answer
        self.advance()
        self.sdk.take(self._clock(), call)

    def _said(self, _at_us: int, what: Said) -> None:
        if isinstance(what, ConnectionStateChanged):
            self._changed.tell(what)
        elif isinstance(what, CallEnded):
            self._settle(self._answers.pop(what.call), what.error)
        else:
            self._will_expire.tell(what)
