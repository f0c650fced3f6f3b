"""The moment of an event by the server's clock: the time that is compared and shown everywhere.

``occurred_at`` is by the sender's clock, which may be off by years, and is stored as sent. It is corrected if the
sender includes its clock's time (``sent_at``), and otherwise accepted as far as it is plausible.
"""

from __future__ import annotations

from typing import Final

from sidecar.domain.events import Event
from sidecar.domain.units import MINUTE_US, SECOND_US

# A smaller difference is network delay and the drift of a synchronised clock.
CLOCK_OFF_US: Final = 2 * SECOND_US
# The same for an edge, whose clock a server keeps: up to so much may be a request that is slow.
EDGE_CLOCK_OFF_US: Final = 10 * SECOND_US
# Above this the pages show that a device's clock is wrong.
CLOCK_WRONG_US: Final = MINUTE_US
# 2000-01-01T00:00:00Z. ZIM is younger: a clock that shows less was never set.
EARLIEST_US: Final = 946_684_800 * SECOND_US


def moment_us(
    occurred_at_us: int, received_at_us: int, sent_at_us: int | None = None, *, tolerance_us: int = CLOCK_OFF_US
) -> int:
    """The moment of an event, never later than ``received_at_us``; ``sent_at_us`` is the sender's clock at sending.

    If that clock is off by more than ``tolerance_us``, the time from event to receipt is that from event to sending. An
    impossible moment becomes the receipt.
    """
    at_us = occurred_at_us
    if sent_at_us is not None and abs(sent_at_us - received_at_us) > tolerance_us:
        at_us = received_at_us - (sent_at_us - occurred_at_us)
    return min(at_us, received_at_us) if at_us >= EARLIEST_US else received_at_us


def clock_off_us(event: Event) -> int:
    """How far the sender's clock was ahead of ours (negative: behind), according to the event."""
    return event.occurred_at_us - event.moment_us


def wrong_by_us(off_us: int) -> int:
    """``off_us`` if a clock is so far off that the pages show it, else 0."""
    return off_us if abs(off_us) > CLOCK_WRONG_US else 0
