"""How the tokens of a user's devices ended: the SDK's warning, what came of it, and the expiry."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from sidecar.domain import error_codes, sdk_words
from sidecar.domain.events import (
    CONNECTION_STATE_CHANGED,
    LOGIN,
    LOGOUT,
    TOKEN_RENEWED,
    TOKEN_WILL_EXPIRE,
    Event,
)
from sidecar.domain.findings.life import Life
from sidecar.domain.findings.token_time import left_us
from sidecar.domain.units import SECOND_US

# A report of the renewal, or of the expiry, may come so long after the end of the token.
_REPORTED_US: Final = 30 * SECOND_US
# The Web SDK disconnects so long before the end of the token.
_TOO_LATE_US: Final = 2 * SECOND_US


class TokenEnding(msgspec.Struct, frozen=True):
    """One token of one client. ``warned`` is the SDK's warning, ``failed`` are the renewals that failed.

    ``expired`` is the callback; without it the token was to end, and no renewal was reported.
    """

    warned: Event | None = None
    failed: tuple[Event, ...] = ()
    expired: Event | None = None

    @property
    def events(self) -> list[Event]:
        """The evidence."""
        return [event for event in (self.warned, *self.failed, self.expired) if event is not None]

    @property
    def left_us(self) -> int:
        """How much of its life was left at the warning; 0 without one."""
        return 0 if self.warned is None else left_us(self.warned)

    @property
    def could_be_renewed(self) -> bool:
        """Whether the app had the time to renew it, or tried to."""
        return bool(self.failed) or self.left_us > _TOO_LATE_US


def endings(life: Life) -> list[TokenEnding]:
    """The tokens that ended, and those that were to end and were not renewed; the newest last."""
    found = [ending for own in life.of_client.values() for ending in _of_client(own, life.now_us)]
    return sorted(found, key=lambda one: max((event.moment_us, event.id) for event in one.events))


def _of_client(own: Iterable[Event], now_us: int) -> list[TokenEnding]:
    tokens = _Tokens()
    for event in own:
        tokens.apply(event)
    return tokens.until(now_us)


class _Tokens:
    """The tokens of one client, one after the other."""

    def __init__(self) -> None:
        self._found: list[TokenEnding] = []
        self._warned: Event | None = None
        self._failed: tuple[Event, ...] = ()
        self._has_expired = False

    def apply(self, event: Event) -> None:
        """The client's next event."""
        if event.type == TOKEN_WILL_EXPIRE:
            self._warned, self._failed = event, ()
        elif event.type == TOKEN_RENEWED:
            self._renewed(event)
        elif event.type in {LOGIN, LOGOUT}:
            self._new_token()
            self._has_expired = False
        elif event.type == CONNECTION_STATE_CHANGED:
            self._connection(event)

    def until(self, now_us: int) -> list[TokenEnding]:
        """All that ended; the present one where a renewal failed, or is long due."""
        warned = self._warned
        is_due = warned is not None and warned.moment_us + left_us(warned) + _REPORTED_US <= now_us
        return [*self._found, TokenEnding(warned, self._failed)] if is_due or self._failed else self._found

    def _renewed(self, event: Event) -> None:
        code = error_codes.number(event.details.get("code", 0))
        if code == 0:
            self._new_token()
        elif code != error_codes.TOO_FREQUENT:  # of two calls at once the other one counts
            self._failed = (*self._failed, event)

    def _connection(self, event: Event) -> None:
        if event.connection_event == sdk_words.TOKEN_EXPIRED:
            if not self._has_expired:
                self._found.append(TokenEnding(self._warned, self._failed, event))
            self._has_expired = True
        elif event.connection_state == sdk_words.CONNECTED:
            self._has_expired = False
        if event.connection_state == sdk_words.DISCONNECTED:
            self._new_token()

    def _new_token(self) -> None:
        self._warned, self._failed = None, ()
