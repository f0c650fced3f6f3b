"""Limits on the events a minute of one ingest token, one address, and one user. In memory, for one process.

Past a limit a whole request is refused, and counted nowhere; nothing of it is stored. A request is refused only where a
limit has no room left, and may then exceed it by its own events: so a batch of any size passes, and those behind it
wait for longer. How long does not depend on who else waits.

Anyone who knows a published token can name any user. So events that are proven to be the user's count on a key of the
user alone, and others on one of the user and the address: nobody uses up the limit of somebody elsewhere.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from math import ceil
from typing import Final, Literal

import msgspec
from opentelemetry import metrics
from opentelemetry.metrics import Observation

from sidecar.clock import Clock
from sidecar.domain.events import Event
from sidecar.domain.gcra import Gcra
from sidecar.domain.texts import Sentence
from sidecar.domain.units import HOUR_US, MINUTE_US, SECOND_US
from sidecar.errors import StoreUnavailableError, ZimwatchError
from sidecar.settings import Settings

Limit = Literal["token", "address", "user"]

TOKENS_MOST: Final = 1_000
ADDRESSES_MOST: Final = 10_000
USERS_MOST: Final = 20_000
# The longest pause that a sender is given.
LONGEST_US: Final = HOUR_US

_TOO_MANY: Final = Sentence(
    "ingest.too_many", "more events of this %(limit)s than %(most)s a minute; send them again in %(seconds)s s"
)
_limited: Final[dict[Limit, int]] = {"token": 0, "address": 0, "user": 0}
metrics.get_meter("zimwatch").create_observable_counter(
    "zimwatch.ingest.limited",
    [lambda _: [Observation(count, {"limit": limit}) for limit, count in _limited.items()]],
    description="Requests with events that were refused by a rate limit, by the limit",
)


class LimitedError(ZimwatchError):
    """Nothing of the request was stored; it may be sent again in ``retry_after_s`` seconds."""

    def __init__(self, limit: Limit, a_minute: int, wait_us: int) -> None:
        self.retry_after_s = ceil(min(wait_us, LONGEST_US) / SECOND_US)
        super().__init__(_TOO_MANY(limit=limit, most=a_minute, seconds=self.retry_after_s))


class Sender(msgspec.Struct, frozen=True):
    """The ingest token of a request, and the address of its client where that is known."""

    token_id: int
    address: str | None


class _Rate:
    """The events of each key, at so many a minute as the settings have now; none are counted without a limit."""

    def __init__(self, limit: Limit, a_minute: Callable[[], int], most: int) -> None:
        self._limit = limit
        self._a_minute = a_minute
        self.counts = Gcra(most, MINUTE_US, LONGEST_US)

    def check(self, key: Hashable, now_us: int) -> None:
        """LimitedError where the key has no room for one more event."""
        a_minute = self._a_minute()
        if not a_minute:
            return
        wait_us = self.counts.wait_us(key, MINUTE_US / a_minute, now_us)
        if wait_us > 0:
            _limited[self._limit] += 1
            raise LimitedError(self._limit, a_minute, ceil(wait_us))

    def add(self, key: Hashable, events: int, now_us: int) -> None:
        """Counts events of the key."""
        if a_minute := self._a_minute():
            self.counts.add(key, events * MINUTE_US / a_minute, now_us)

    def take_back(self, key: Hashable, events: int) -> None:
        """Takes back events that were counted."""
        if a_minute := self._a_minute():
            self.counts.take_back(key, events * MINUTE_US / a_minute)


class RateLimits:
    """The limits of the settings, as they are at each request. One for a process."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._clock = clock
        self._tokens = _Rate("token", lambda: settings.ingest.token_events_a_minute, TOKENS_MOST)
        self._addresses = _Rate("address", lambda: settings.ingest.address_events_a_minute, ADDRESSES_MOST)
        self._users = _Rate("user", lambda: settings.ingest.user_events_a_minute, USERS_MOST)

    def begin(self, sender: Sender | None) -> Counted:
        """Counts a request, as one event, before its body is read. LimitedError where it is refused.

        None is a sender without limits.
        """
        now_us = self._clock()
        keys: list[tuple[_Rate, Hashable]] = []
        if sender is not None:
            keys.append((self._tokens, sender.token_id))
            if sender.address is not None:
                keys.append((self._addresses, sender.address))
        for rate, key in keys:
            rate.check(key, now_us)
        for rate, key in keys:
            rate.add(key, 1, now_us)
        if sender is None:
            return Counted(self._clock, keys, None, None)
        return Counted(self._clock, keys, self._users, sender.address)


class Counted:
    """A request that began."""

    def __init__(
        self, clock: Clock, keys: Sequence[tuple[_Rate, Hashable]], users: _Rate | None, address: str | None
    ) -> None:
        self._clock = clock
        self._keys = keys
        self._users = users
        self._address = address

    @contextlib.contextmanager
    def events(self, events: Sequence[Event], rejected: int) -> Iterator[None]:
        """Counts the events, and takes them back if they cannot be stored and will be sent again.

        LimitedError, where a user has too many, counts none of them.
        """
        now_us = self._clock()
        counted = self._check(events, rejected, now_us)
        for rate, key, number in counted:
            rate.add(key, number, now_us)
        try:
            yield
        except StoreUnavailableError:
            for rate, key, number in counted:
                rate.take_back(key, number)
            raise

    def _check(self, events: Sequence[Event], rejected: int, now_us: int) -> list[tuple[_Rate, Hashable, int]]:
        if self._users is None:
            return []
        users = self._users
        of_users = Counter(map(self._user_key, events))
        for user in of_users:
            users.check(user, now_us)
        more = len(events) + rejected - 1
        return [
            *((rate, key, more) for rate, key in self._keys),
            *((users, user, number) for user, number in of_users.items()),
        ]

    def _user_key(self, event: Event) -> int:
        """A hash: an id may be long. Two users with the same one of 64 bits would share a limit."""
        return hash((event.app_id, event.user_id or event.client_id, True if event.proven else self._address))
