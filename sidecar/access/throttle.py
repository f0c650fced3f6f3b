"""Rate limit for sign-in attempts of one client."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from math import ceil
from typing import Final

from sidecar.access.refusals import TooManyAttemptsError
from sidecar.clock import Clock
from sidecar.domain.texts import Sentence
from sidecar.domain.units import SECOND_US

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

AT_ONCE: Final = 10
ANOTHER_EVERY_US: Final = 6 * SECOND_US
# The number of clients to track; past it, the one whose last attempt is oldest is dropped.
CLIENTS_MOST: Final = 10_000
_IPV6_PREFIX: Final = 64  # what a provider assigns to one household or host
_TOO_MANY: Final = Sentence("sign_in.too_many", "too many attempts to sign in; try again in %(seconds)s s")


class Throttle:
    """Failed attempts by client address: ``AT_ONCE``, then one every ``ANOTHER_EVERY_US``.

    For each client it keeps the time at which its count is back at zero (GCRA).
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._settled_us: OrderedDict[str, int] = OrderedDict()

    def attempt(self, client: Address | None) -> None:
        """Counts an attempt; TooManyAttemptsError where it is one too many."""
        key, now_us = _key(client), self._clock()
        # A clock that was set back locks nobody out for longer than a full count.
        settled_us = min(max(self._settled_us.get(key, 0), now_us), now_us + AT_ONCE * ANOTHER_EVERY_US)
        self._settled_us[key] = settled_us
        wait_us = settled_us + ANOTHER_EVERY_US - AT_ONCE * ANOTHER_EVERY_US - now_us
        if wait_us > 0:
            seconds = ceil(wait_us / SECOND_US)
            raise TooManyAttemptsError(_TOO_MANY(seconds=seconds), retry_after_s=seconds)
        self._settled_us[key] = settled_us + ANOTHER_EVERY_US
        self._settled_us.move_to_end(key)
        if len(self._settled_us) > CLIENTS_MOST:
            self._settled_us.popitem(last=False)

    def succeeded(self, client: Address | None) -> None:
        """Takes back a successful attempt."""
        key = _key(client)
        if key in self._settled_us:
            self._settled_us[key] -= ANOTHER_EVERY_US


def _key(client: Address | None) -> str:
    if client is not None and client.version == 6:  # noqa: PLR2004 - IPv6
        return str(ipaddress.ip_network((client, _IPV6_PREFIX), strict=False))
    return str(client)
