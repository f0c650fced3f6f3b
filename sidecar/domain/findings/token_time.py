"""The time that a token still has when the SDK warns of its end."""

from __future__ import annotations

from sidecar.domain.events import Event
from sidecar.domain.token04.problems import LONGEST_US
from sidecar.domain.units import SECOND_US


def left_us(warning: Event) -> int:
    """How much of a token's life is left at a ``token_will_expire``; 0 if it has ended."""
    second = warning.details.get("second")  # a sender may report any number
    return max(0, min(second, LONGEST_US // SECOND_US)) * SECOND_US if isinstance(second, int) else 0
