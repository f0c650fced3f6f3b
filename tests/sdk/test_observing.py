"""What :func:`sidecar.sdk.observe` does to a client."""

from __future__ import annotations

from random import Random

import pytest

from sidecar.clock import now_us
from sidecar.sdk import SimulatorClient, observe
from sidecar.sdk.recording.recorder import WireEvent


class Sink:
    def put(self, event: WireEvent) -> None:
        raise AssertionError(event)


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
def test_without_a_running_loop_it_raises_and_leaves_no_handler() -> None:
    client = SimulatorClient(7, clock=now_us, rng=Random(1))  # noqa: S311 - a simulation's chance, no secret
    with pytest.raises(RuntimeError, match="no running event loop"):
        observe(client, Sink())
    assert [*client._calls, *client._changed, *client._will_expire, *client._lost] == []
