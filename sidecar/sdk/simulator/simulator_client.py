"""A client over the simulated SDK, with the protocol of the real one, on a clock that is passed in."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any, Final

from sidecar.clock import Clock
from sidecar.domain.units import SECOND_US
from sidecar.sdk.client.base_client import BaseClient
from sidecar.sdk.client.zim_client import (
    Call,
    CallEnded,
    ConnectionStateChanged,
    SdkLost,
)
from sidecar.sdk.simulator.simulated_sdk import Output, SimulatedSdk

_LONGEST_REST_S: Final = 0.25


class SimulatorClient(BaseClient):
    """``sdk`` is the simulated SDK: use it to lose the network, to kick out, or to refuse a login.

    Time passes only by :meth:`advance`, which processes what is due; :meth:`live` calls it repeatedly.
    """

    sdk_version = "2.29.0"

    def __init__(self, app_id: int, *, clock: Clock, rng: Random, network: bool = True) -> None:
        super().__init__(app_id)
        self._clock = clock
        self._rng = rng
        self._answers: dict[Call, asyncio.Future[Any]] = {}
        self.sdk = SimulatedSdk(rng=rng, emit=self._on_output, network=network)

    def advance(self) -> None:
        """Processes everything that is due."""
        self.sdk.advance(self._clock())

    async def live(self) -> None:
        """Advances until it is cancelled."""
        while True:
            self.advance()
            due_us = self.sdk.due_us
            rest_s = _LONGEST_REST_S if due_us is None else (due_us - self._clock()) / SECOND_US
            await asyncio.sleep(min(max(rest_s, 0.0), _LONGEST_REST_S))

    def die(self, reason: str) -> None:
        """Simulates that the SDK's process dies and is restarted at once, like the bridge's child."""
        self.sdk = SimulatedSdk(rng=self._rng, emit=self._on_output, network=self.sdk.network)
        self._answers.clear()
        self._fail_calls(reason)
        self._lost.notify(SdkLost(reason))

    async def destroy(self) -> None:
        """Ends the instance."""
        self.sdk = SimulatedSdk(rng=self._rng, emit=self._on_output)
        self._fail_calls("the client was destroyed")

    def _begin(self, call: Call, answer: asyncio.Future[Any]) -> None:
        self._answers[call] = answer
        self.advance()
        self.sdk.take(self._clock(), call)

    def _on_output(self, _at_us: int, output: Output) -> None:
        if isinstance(output, ConnectionStateChanged):
            self._changed.notify(output)
        elif isinstance(output, CallEnded):
            self._settle(self._answers.pop(output.call), output.error)
        else:
            self._will_expire.notify(output)
