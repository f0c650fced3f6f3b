"""How often clients are to send heartbeats: seldom enough that all of them together stay under a budget. Pure."""

from __future__ import annotations

from math import ceil
from typing import Final

from sidecar.domain.lease import LONGEST_INTERVAL_S, Leases
from sidecar.domain.units import SECOND_US

# Clients wait for 0.8 to 1 of the interval, so that they do not beat together: see zim-tap.js.
MEAN_WAIT: Final = 0.9
# A new interval suits so many more clients, and is given up for a shorter one once there are so many fewer: it changes
# seldom, and never back and forth.
_MORE: Final = 1.1
_FEWER: Final = 1.3


def interval_s(clients: int, given_s: int, leases: Leases) -> int:
    """The interval between heartbeats for so many clients, in whole seconds; ``given_s`` as long as that will do."""
    needed_s = clients / (leases.heartbeats_per_second * MEAN_WAIT)
    if given_s < needed_s or needed_s * _MORE * _FEWER < given_s:
        return max(leases.heartbeat_after_s, min(LONGEST_INTERVAL_S, ceil(needed_s * _MORE)))
    return max(leases.heartbeat_after_s, given_s)


def allowed_us(after_s: int) -> int:
    """After how long a client's next heartbeat is still in time: the interval, and what a network may take."""
    return after_s * SECOND_US + min(after_s * SECOND_US // 8, SECOND_US)
