"""The time that a token still has when the SDK warns of its end."""

from __future__ import annotations

from typing import Final

from sidecar.domain.events import Event
from sidecar.domain.units import DAY_US, SECOND_US

# A token of ZIM's lives for 24 days at most; a sender may report any number.
LONGEST_US: Final = 24 * DAY_US


def left_us(warning: Event) -> int:
    """How much of a token's life is left at a ``token_will_expire``; 0 if it has ended."""
    second = warning.details.get("second")
    return max(0, min(second, LONGEST_US // SECOND_US)) * SECOND_US if isinstance(second, int) else 0
