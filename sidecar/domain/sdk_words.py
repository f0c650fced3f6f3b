"""The SDK's connection states and events, and how every platform's spelling maps to one name.

Source: ZIM API reference, ``ZIMConnectionState`` and ``ZIMConnectionEvent`` (Web, Flutter, Android, iOS, C++).
An unknown value is kept as sent, as text: a later SDK may add some.
"""

from __future__ import annotations

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

# Not an event of the SDK: the reason where a reported call of logout ended the login without a callback.
LOGOUT: Final = "LOGOUT"

# These end a login for good: the SDK does not reconnect, and every call fails with 6000121 until a new login.
ENDS_LOGIN: Final = frozenset({KICKED_OUT, TOKEN_EXPIRED, UNREGISTERED})
# Failures: their spans have status ERROR.
FAILURES: Final = ENDS_LOGIN | {LOGIN_TIMEOUT}

# Separates the words of a name, and the type before it, as in "ZIMConnectionEvent::KickedOut".
_SEPARATORS: Final = str.maketrans("", "", " \t_-.:#/")
# Dart, Objective-C, C++ and C# print the type before the value, ZEGOCLOUD's UI kits a type of their own that ends like
# this (ZegoSignalingPluginConnectionAction.kickedOut), and an early Dart plugin prints the type twice.
_TYPE_ENDS: Final = ("CONNECTIONSTATE", "CONNECTIONEVENT", "CONNECTIONACTION")
# Swift prints an Objective-C enumeration as ZIMConnectionState(rawValue: 2).
_RAW_VALUE: Final = "(rawvalue:"


def _plain(name: str) -> str:
    """``kickedOut``, ``KickedOut``, ``kicked-out`` and ``KICKED_OUT`` as ``KICKEDOUT``."""
    return name.translate(_SEPARATORS).upper()


def _by_plain_name(names: tuple[str, ...], aliases: dict[str, str]) -> dict[str, str]:
    """Names by their plain form."""
    return {_plain(name): name for name in names} | aliases


_STATES = _by_plain_name(STATES, {})
# Dart's code has ``interrupted`` where its documentation and every other platform have ``loginInterrupted``.
_EVENTS = _by_plain_name(EVENTS, {"INTERRUPTED": LOGIN_INTERRUPTED})


def _canonical(value: int | str, names: tuple[str, ...], by_plain_name: dict[str, str]) -> str:
    text = str(value)
    spelled = text.strip()
    _type, raw, number = spelled.lower().partition(_RAW_VALUE)
    if raw and number.endswith(")"):
        spelled = number[:-1].strip()
    for position, name in enumerate(names):
        if spelled == str(position):
            return name
    plain = _plain(spelled)
    for ending, name in by_plain_name.items():
        if plain.endswith(ending) and (plain == ending or plain.removesuffix(ending).endswith(_TYPE_ENDS)):
            return name
    return text


@lru_cache(maxsize=1024)
def connection_state(value: int | str) -> str:
    """The state in upper snake case, or ``str(value)`` if it is unknown."""
    return _canonical(value, STATES, _STATES)


@lru_cache(maxsize=1024)
def connection_event(value: int | str) -> str:
    """The event in upper snake case, or ``str(value)`` if it is unknown."""
    return _canonical(value, EVENTS, _EVENTS)
