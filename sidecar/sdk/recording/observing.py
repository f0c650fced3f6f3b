"""Records a client of this process as the Web tap does in a page, without any effect on the app."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random, SystemRandom
from typing import Final, Protocol

import structlog

from sidecar.clock import Clock, now_us
from sidecar.sdk.client.zim_client import Unsubscribe, ZimClient
from sidecar.sdk.recording.recorder import Device, Recorder, WireEvent

HEARTBEAT_S: Final = 15.0
LONGEST_HEARTBEAT_S: Final = 3_600.0
# For how much of the interval a client waits.
WAITS: Final = (0.8, 1.0)
# How soon a new interval counts.
LOOK_S: Final = 1.0

_log = structlog.stdlib.get_logger(__name__)


class Sink(Protocol):
    """A destination of events. ``put`` never blocks and never raises.

    A sink may have ``heartbeat_after_s``: the interval between heartbeats that its server requests, or None.
    """

    def put(self, event: WireEvent) -> None:
        """Accepts an event of wire version 1."""


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
    """Records ``client`` until the result is called. Call it in the running event loop, before ``login``.

    The client id stays the same when the SDK's process is lost and restarted. ``heartbeat_s`` applies until the sink's
    server requests another interval; 0 sends no heartbeats.
    """
    device = Device(
        platform=platform,
        sdk_name="zego-zim-web",
        sdk_version=client.sdk_version,
        app_version=app_version,
        device_id=device_id,
    )
    rng = SystemRandom()
    recorder = Recorder(app_id=client.app_id, device=device, at_us=clock(), rng=rng, emit=sink.put)
    # First: without a running loop it raises, and nothing was subscribed.
    heartbeats = (
        asyncio.create_task(_send_heartbeats(recorder, clock, sink, heartbeat_s, rng), name="heartbeat")
        if heartbeat_s
        else None
    )
    ends: list[Callable[[], object]] = [
        client.on_call(lambda change: recorder.call(clock(), change)),
        client.on_connection_state_changed(lambda changed: recorder.connection_state_changed(clock(), changed)),
        client.on_token_will_expire(lambda will: recorder.token_will_expire(clock(), will)),
        client.on_sdk_lost(lambda _lost: recorder.sdk_lost()),
    ]
    if heartbeats is not None:
        ends.append(heartbeats.cancel)

    def end() -> None:
        for one in ends:
            one()

    return end


async def _send_heartbeats(recorder: Recorder, clock: Clock, sink: Sink, every_s: float, rng: Random) -> None:
    loop = asyncio.get_running_loop()
    while True:
        # By chance, so that many clients do not send together, and never later than requested.
        begun, share = loop.time(), rng.uniform(*WAITS)
        while (left_s := begun + share * (heartbeat_interval_s(sink) or every_s) - loop.time()) > 0:  # noqa: ASYNC110 - the interval may change meanwhile
            await asyncio.sleep(min(left_s, LOOK_S))
        try:
            recorder.heartbeat(clock())
        except Exception:  # noqa: BLE001 - heartbeats must not stop: the client would count as lost
            _log.exception("a heartbeat could not be recorded")


def heartbeat_interval_s(sink: Sink) -> float | None:
    """The interval that the sink's server requested, if it is valid."""
    requested = getattr(sink, "heartbeat_after_s", None)
    return requested if isinstance(requested, int | float) and 1 <= requested <= LONGEST_HEARTBEAT_S else None
