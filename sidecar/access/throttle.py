"""Rate limits for attempts to sign in: by address, by account, by device, and for one-time codes.

No account can be locked out by others for ever. All addresses together have few attempts at one account (ASVS 5.0,
6.3.1), one that is known has its own: a browser that signed in to the account before has a cookie that says so
(https://owasp.org/www-community/Slow_Down_Online_Guessing_Attacks_with_Device_Cookies).
"""

from __future__ import annotations

import ipaddress
from math import ceil
from typing import Final

from sidecar.access.refusals import TooManyAttemptsError
from sidecar.clock import Clock
from sidecar.domain.gcra import Gcra
from sidecar.domain.texts import Sentence
from sidecar.domain.units import MINUTE_US, SECOND_US

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

AT_ONCE: Final = 10
ANOTHER_EVERY_US: Final = 6 * SECOND_US
"""From one address."""
ACCOUNT_AT_ONCE: Final = 20
ACCOUNT_EVERY_US: Final = 36 * SECOND_US
"""At one account, from all unknown browsers together: a hundred an hour."""
DEVICE_AT_ONCE: Final = 10
"""At one account, from a browser that signed in to it before; then as often as all others together."""
CODES_AT_ONCE: Final = 5
CODES_EVERY_US: Final = 5 * MINUTE_US
"""One-time codes of one account, each of which has a chance of three in a million: a year has a third."""
# The number of keys to track; past it, the one whose last attempt is oldest is dropped.
TRACKED_MOST: Final = 10_000
_IPV6_PREFIX: Final = 64  # what a provider assigns to one household or host
_TOO_MANY: Final = Sentence("sign_in.too_many", "too many attempts to sign in; try again in %(seconds)s s")


class Throttle:
    """Failed attempts by key: ``at_once``, then one every ``another_every_us``."""

    def __init__(self, clock: Clock, at_once: int, another_every_us: int) -> None:
        self._clock = clock
        self._every_us = another_every_us
        self._counts = Gcra(TRACKED_MOST, at_once * another_every_us)

    def attempt(self, key: str) -> None:
        """Counts an attempt; TooManyAttemptsError, and none is counted, where it is one too many."""
        now_us = self._clock()
        wait_us = self._counts.wait_us(key, self._every_us, now_us)
        if wait_us > 0:
            seconds = ceil(wait_us / SECOND_US)
            raise TooManyAttemptsError(_TOO_MANY(seconds=seconds), retry_after_s=seconds)
        self._counts.add(key, self._every_us, now_us)

    def take_back(self, key: str) -> None:
        """Takes back an attempt that succeeded, or that was refused for another reason."""
        self._counts.take_back(key, self._every_us)


class SignInThrottle:
    """All limits for signing in. One for a process. What strangers invent never displaces what is of an account."""

    def __init__(self, clock: Clock) -> None:
        self._addresses = Throttle(clock, AT_ONCE, ANOTHER_EVERY_US)
        self._accounts = Throttle(clock, ACCOUNT_AT_ONCE, ACCOUNT_EVERY_US)
        self._unknown = Throttle(clock, ACCOUNT_AT_ONCE, ACCOUNT_EVERY_US)
        self._devices = Throttle(clock, DEVICE_AT_ONCE, ACCOUNT_EVERY_US)
        self._codes = Throttle(clock, CODES_AT_ONCE, CODES_EVERY_US)

    def other(self, client: Address | None) -> Attempt:
        """An attempt with a token, or of somebody whom an identity provider names."""
        return Attempt((self._addresses, network_of(client)))

    def password(self, client: Address | None, account_id: int | None, name: str, device: str | None) -> Attempt:
        """An attempt at an account, None for a name that has none; ``device`` if the browser is known to it.

        A known browser has a limit of its own alone, which nobody else at its address can use up.
        """
        address = (self._addresses, network_of(client))
        if account_id is None:
            return Attempt(address, (self._unknown, name))
        if device is not None:
            return Attempt((self._devices, f"{account_id} {device}"))
        return Attempt(address, (self._accounts, str(account_id)))

    def code(self, client: Address | None, account_id: int, device: str | None) -> Attempt:
        """An attempt with a one-time code, after the password."""
        codes = (self._codes, f"{account_id} {device or ''}")
        return Attempt((self._addresses, network_of(client)), codes) if device is None else Attempt(codes)


class Attempt:
    """An attempt that is counted under each key. TooManyAttemptsError, and it is counted nowhere, if one refuses."""

    def __init__(self, *counted: tuple[Throttle, str]) -> None:
        self._counted: list[tuple[Throttle, str]] = []
        try:
            for throttle, key in counted:
                throttle.attempt(key)
                self._counted.append((throttle, key))
        except TooManyAttemptsError:
            self.take_back()
            raise

    def take_back(self) -> None:
        """It succeeded, or nothing was tried."""
        for throttle, key in self._counted:
            throttle.take_back(key)
        self._counted.clear()


def network_of(client: Address | None) -> str:
    """What clients are counted by: the address, of IPv6 the network of one host or household."""
    if client is not None and client.version == 6:  # noqa: PLR2004 - IPv6
        return str(ipaddress.ip_network((client, _IPV6_PREFIX), strict=False))
    return str(client)
