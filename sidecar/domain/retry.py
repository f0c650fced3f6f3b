"""Pauses between attempts: exponential backoff with jitter, and what the other side requests by ``Retry-After``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

import msgspec

from sidecar.domain.units import SECOND_US

_MOST_DOUBLINGS: Final = 20
_EPOCH: Final = datetime.fromtimestamp(0, UTC)


class Backoff(msgspec.Struct, frozen=True, kw_only=True):
    """Pauses that double from ``first_us`` to ``longest_us``.

    A requested pause counts up to ``longest_requested_us``. It is a lower bound, or with ``request_replaces`` it takes
    the place of the pause, unless it is shorter than the first: 0 would be a loop.
    """

    first_us: int
    longest_us: int
    longest_requested_us: int = 0
    request_replaces: bool = False

    def pause_us(self, failures: int, chance: float = 0.0, requested_us: int | None = None) -> int:
        """The pause after ``failures`` failures in a row.

        ``chance``, from 0 to 1, is the jitter: it shortens a pause by up to half, and extends one that replaces it by
        up to a tenth, so that senders that failed together do not return together.
        """
        full = min(self.longest_us, self.first_us * 2 ** min(max(failures - 1, 0), _MOST_DOUBLINGS))
        own = int(full * (1 - chance / 2))
        requested = min(requested_us or 0, self.longest_requested_us)
        if not self.request_replaces:
            return max(own, requested)
        return own if requested < self.first_us else requested + int(requested * 0.1 * chance)


def retry_after_us(headers: Mapping[str, str], now_us: int | None = None) -> int | None:
    """The pause that ``Retry-After`` requests (RFC 9110, section 10.2.3); None where it is absent or unreadable.

    A date counts from the answer's own ``Date``, because clocks differ, else from ``now_us``.
    """
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return int(text[:9]) * SECOND_US
    until_us, sent_us = _date_us(text), _date_us(headers.get("Date", ""))
    since_us = now_us if sent_us is None else sent_us
    return None if until_us is None or since_us is None else max(0, until_us - since_us)


def _date_us(text: str) -> int | None:
    try:
        return (parsedate_to_datetime(text) - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, TypeError, OverflowError):  # TypeError: a date without a zone
        return None
