"""An edge, as its centre knows it: a Zimwatch that takes events where they arise, and passes them on. Pure."""

from __future__ import annotations

from typing import Final

import msgspec

from sidecar.domain.lease import LeaseTime
from sidecar.domain.units import MINUTE_US, SECOND_US

# How often an edge reports that has nothing to send. One that is heard at least so often is not silent.
REPORT_EVERY_US: Final = 15 * SECOND_US
HEARD_WITHIN_US: Final = MINUTE_US
NAME_CHARACTERS: Final = 63
NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}\Z"


class Edge(msgspec.Struct, frozen=True):
    """What an edge reported last, in the order of the columns of its row. ``seen_at_us``: when, by our clock.

    ``waiting`` of its events the centre did not have then, the oldest for ``behind_us``. ``token_id``: of its token.
    """

    name: str
    token_id: int
    seen_at_us: int
    waiting: int
    behind_us: int

    def silent_us(self, time: LeaseTime) -> int:
        """For how long it was not heard, while it could have been; 0 for one that reports regularly."""
        silent_us = time.now_us - time.lease_us(self.seen_at_us)
        return silent_us if silent_us > HEARD_WITHIN_US else 0

    def behind_now_us(self, time: LeaseTime) -> int:
        """For how long the centre may have missed something: what waited then, and whatever was not reported since."""
        return self.behind_us + self.silent_us(time)
