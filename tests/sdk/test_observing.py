"""What :func:`sidecar.sdk.observe` does to a client."""

from __future__ import annotations

import asyncio
import itertools
from random import Random

import pytest

from sidecar.clock import now_us
from sidecar.domain.units import SECOND_US
from sidecar.sdk import SimulatorClient, observe
from sidecar.sdk.recording.observing import _send_heartbeats
from sidecar.sdk.recording.recorder import WireEvent
from tests.support import virtual
from tests.support.clocks import Machine


class Sink:
    def put(self, event: WireEvent) -> None:
        raise AssertionError(event)


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
def test_without_a_running_loop_it_raises_and_leaves_no_handler() -> None:
    client = SimulatorClient(7, clock=now_us, rng=Random(1))  # noqa: S311 - a simulation's chance, no secret
    with pytest.raises(RuntimeError, match="no running event loop"):
        observe(client, Sink())
    assert [*client._calls, *client._changed, *client._will_expire, *client._lost] == []


class Paced(Sink):
    heartbeat_after_s: float | None = None


def test_heartbeats_follow_the_interval_of_the_server_up_and_down_and_are_spread() -> None:
    machine, sink, rng = Machine(), Paced(), Random(3)  # noqa: S311 - the same every time
    beats_s: list[float] = []

    class Beats:
        def heartbeat(self, _at_us: int) -> None:
            beats_s.append(machine.steady_us / SECOND_US)

    async def scenario() -> None:
        sending = asyncio.create_task(_send_heartbeats(Beats(), machine.clock, sink, 15, rng))  # type: ignore[arg-type]
        await asyncio.sleep(600)
        sink.heartbeat_after_s = 240
        await asyncio.sleep(1_800)
        sink.heartbeat_after_s = 15  # also for the heartbeat that is awaited
        await asyncio.sleep(300)
        sending.cancel()

    virtual.run(machine, scenario())
    waits_s = [after - before for before, after in itertools.pairwise(beats_s)]
    few, long, again = waits_s[:35], [one for one in waits_s if one > 100], waits_s[-12:]
    for waits, interval_s in ((few, 15), (long, 240), (again, 15)):
        assert all(0.8 * interval_s <= one <= interval_s for one in waits), waits
        assert max(waits) - min(waits) > interval_s / 10
    assert len(long) >= 6
    assert 600 <= next(at for at in beats_s if at > 2_400) - 1_800 <= 615
