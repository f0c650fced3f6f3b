"""Records what a client in this process says, as the Web tap does in a page: the app sees and does nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import SystemRandom
from typing import Final, Protocol

from sidecar.clock import Clock, now_us
from sidecar.sdk.client import Unsubscribe, ZimClient
from sidecar.sdk.recorder import Device, Recorder, WireEvent

HEARTBEAT_S: Final = 15.0


class Sink(Protocol):
    """Where events go. ``put`` never blocks and never raises; what happens to an event then is the sink's promise."""

    def put(self, event: WireEvent) -> None:
        """Takes an event of wire version 1."""


def observe(
    client: ZimClient,
    sink: Sink,
    *,
    app_version: str | None = None,
    device_id: str | None = None,
    platform: str = "Web",
    clock: Clock = now_us,
    heartbeat_s: float = HEARTBEAT_S,
) -> Unsubscribe:
    """Records ``client`` from now on; call it in the running event loop, before ``login``. The result ends it.

    Events keep one client id also when the SDK's process was lost in between: it is one client of one app.
    ``heartbeat_s`` 0 sends no heartbeats.
    """
    device = Device(
        platform=platform,
        sdk_name="zego-zim-web",
        sdk_version=client.sdk_version,
        app_version=app_version,
        device_id=device_id,
    )
    recorder = Recorder(app_id=client.app_id, device=device, at_us=clock(), rng=SystemRandom(), emit=sink.put)
    heart = asyncio.create_task(_beat(recorder, clock, heartbeat_s), name="heartbeat") if heartbeat_s else None
    ends: list[Callable[[], object]] = [
        client.on_call(lambda what: recorder.call(clock(), what)),
        client.on_connection_state_changed(lambda changed: recorder.connection_state_changed(clock(), changed)),
        client.on_token_will_expire(lambda will: recorder.token_will_expire(clock(), will)),
        client.on_sdk_lost(lambda _lost: recorder.sdk_lost()),
    ]
    if heart is not None:
        ends.append(heart.cancel)

    def end() -> None:
        for one in ends:
            one()

    return end


async def _beat(recorder: Recorder, clock: Clock, every_s: float) -> None:
    while True:
        await asyncio.sleep(every_s)
        recorder.beat(clock())
