"""The SDK's connection states and events, in every platform's spelling, brought to one name.

Source: ZIM API reference, ``ZIMConnectionState`` and ``ZIMConnectionEvent`` (Web, Flutter, Android, iOS, C++).
A value that no SDK is known to send is kept as it came, as text: a later SDK may add some.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

DISCONNECTED: Final = "DISCONNECTED"
CONNECTING: Final = "CONNECTING"
CONNECTED: Final = "CONNECTED"
RECONNECTING: Final = "RECONNECTING"

SUCCESS: Final = "SUCCESS"
ACTIVE_LOGIN: Final = "ACTIVE_LOGIN"
LOGIN_TIMEOUT: Final = "LOGIN_TIMEOUT"
LOGIN_INTERRUPTED: Final = "LOGIN_INTERRUPTED"
KICKED_OUT: Final = "KICKED_OUT"
TOKEN_EXPIRED: Final = "TOKEN_EXPIRED"  # noqa: S105 - the SDK's word, not a password
UNREGISTERED: Final = "UNREGISTERED"

# Position is the SDK's integer.
STATES: Final = (DISCONNECTED, CONNECTING, CONNECTED, RECONNECTING)
EVENTS: Final = (
    SUCCESS,
    ACTIVE_LOGIN,
    LOGIN_TIMEOUT,
    LOGIN_INTERRUPTED,
    KICKED_OUT,
    TOKEN_EXPIRED,
    UNREGISTERED,
)

# These end a login for good: the SDK does not reconnect, and every call fails with 6000121 until a new login.
ENDS_LOGIN: Final = frozenset({KICKED_OUT, TOKEN_EXPIRED, UNREGISTERED})
# What a person would call a failure (a span of one of these has status ERROR).
FAILURES: Final = ENDS_LOGIN | {LOGIN_TIMEOUT}

_BOUNDARY = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[\s\-.]+")
# Dart's toString ("ZIMConnectionState.connected"), Objective-C and C++ name the type first.
_TYPE_NAME = re.compile(r"^ZIM_?CONNECTION_(STATE|EVENT)_")


def _spelled(value: str) -> str:
    """``kickedOut``, ``KickedOut``, ``kicked-out`` and ``KICKED_OUT`` as ``KICKED_OUT``."""
    return _BOUNDARY.sub("_", value.strip()).upper()


def _table(names: tuple[str, ...], aliases: dict[str, str]) -> dict[str, str]:
    known = {name: name for name in names}
    known |= {name.replace("_", ""): name for name in names}
    known |= {str(number): name for number, name in enumerate(names)}
    return known | aliases


_STATES = _table(STATES, {})
# Dart's code says ``interrupted`` where its documentation and every other platform say ``loginInterrupted``.
_EVENTS = _table(EVENTS, {"INTERRUPTED": LOGIN_INTERRUPTED})


def _canonical(value: int | str, known: dict[str, str]) -> str:
    text = str(value)
    return known.get(_TYPE_NAME.sub("", _spelled(text)), text)


@lru_cache(maxsize=1024)
def connection_state(value: int | str) -> str:
    """The state in upper snake case, or ``str(value)`` untouched where it is unknown."""
    return _canonical(value, _STATES)


@lru_cache(maxsize=1024)
def connection_event(value: int | str) -> str:
    """The event in upper snake case, or ``str(value)`` untouched where it is unknown."""
    return _canonical(value, _EVENTS)
