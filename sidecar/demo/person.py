"""A made-up user: simulated clients, and what they do at which time of the past."""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import Final

import msgspec

from sidecar.domain import rfc3339
from sidecar.domain.units import SECOND_US
from sidecar.sdk.recording.recorder import WireEvent
from sidecar.sdk.simulator.simulated_app import HEARTBEAT_S, Behaviour, SimulatedUser

# Heartbeats of the past say nothing now, and would be most of all events: there are none until shortly before the end.
_NO_HEARTBEAT_S: Final = 10 * 86_400
_BEATS_FROM_US: Final = 20 * SECOND_US

# A simulated app with no habits: it does what its plan says.
STILL: Final = Behaviour(first_login=None, outage_every=None, stays=None, away=None, token_lives=2 * 86_400)

Act = Callable[[int], None]
Plan = list[tuple[int, Act]]
"""What happens when, in any order; also after the day."""


class Moments(msgspec.Struct, frozen=True):
    """Moments of the day that ends at ``end_us``."""

    end_us: int

    def ago(self, hours: float = 0.0, *, minutes: float = 0.0, seconds: float = 0.0) -> int:
        """So long before the end."""
        return self.end_us - round((hours * 3_600 + minutes * 60 + seconds) * SECOND_US)


class Person(msgspec.Struct, kw_only=True):
    """``clock_off_us``: how far the clock of the user's devices is ahead."""

    user: SimulatedUser
    plan: Plan
    clock_off_us: int = 0

    def past(self, begin_us: int, end_us: int) -> list[WireEvent]:
        """All events up to ``end_us``, oldest first, by a clock that is right; once, before :meth:`advance`."""
        self.user.heartbeat_after(_NO_HEARTBEAT_S, begin_us)
        self.plan.append((end_us - _BEATS_FROM_US, lambda at_us: self.user.heartbeat_after(HEARTBEAT_S, at_us)))
        self.plan.sort(key=itemgetter(0))
        return self.advance(end_us)

    def advance(self, now_us: int) -> list[WireEvent]:
        """Events up to ``now_us``, oldest first, by a clock that is right."""
        out: list[WireEvent] = []
        while self.plan and self.plan[0][0] <= now_us:
            at_us, act = self.plan.pop(0)
            out += self.user.advance(at_us)
            act(at_us)
        return out + self.user.advance(now_us)


def by_own_clock(event: WireEvent, off_us: int) -> WireEvent:
    """The event as a device says it whose clock is ``off_us`` ahead."""
    if not off_us:
        return event
    return event | {"occurred_at": rfc3339.text(rfc3339.microseconds(str(event["occurred_at"])) + off_us)}
