"""When a delivery that failed is tried again."""

from __future__ import annotations

from typing import Final

FIRST_US: Final = 1_000_000
LONGEST_US: Final = 300_000_000
# A receiver may ask for a longer pause, but not for one that amounts to losing the message.
LONGEST_ASKED_US: Final = 3_600_000_000


def next_attempt_us(now_us: int, attempts: int, chance: float, retry_after_us: int | None = None) -> int:
    """After ``attempts`` failures: doubling from 1 s to 5 min, or what the receiver asked for.

    ``chance`` from 0 to 1 takes up to half of it away (or adds up to a tenth to what was asked for), so that many that
    failed together do not come back together.
    """
    if retry_after_us is not None:
        asked = min(max(retry_after_us, 0), LONGEST_ASKED_US)
        return now_us + asked + int(asked * 0.1 * chance)
    pause = min(LONGEST_US, FIRST_US * 2 ** min(max(attempts - 1, 0), 20))
    return now_us + int(pause * (1 - chance / 2))
