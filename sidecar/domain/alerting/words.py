"""What an alert says: one line that a person understands on a phone, and the advice of the SDK's page.

Source of the advice: ZEGOCLOUD, In-app Chat, "Manage user login", section "Handle user login exceptions".
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from sidecar.domain.alerting import kinds
from sidecar.domain.alerting.kinds import Kind
from sidecar.domain.events import Event

_LOG_IN_AGAIN: Final = "Ask the user to log in again; do not retry in code."

ADVICE: Final[dict[Kind, str]] = {
    kinds.KICKED_OUT: f"{_LOG_IN_AGAIN} If the other device is not theirs, they should change their password.",
    kinds.TOKEN_EXPIRING: "Get a new token from your server and pass it to renewToken before the old one ends.",
    kinds.TOKEN_EXPIRED: f"{_LOG_IN_AGAIN} Let the app call renewToken when onTokenWillExpire fires.",
    kinds.LOGIN_TIMEOUT: f"Look at the network between the user and ZIM. {_LOG_IN_AGAIN}",
    kinds.UNREGISTERED: f"Find out what unregistered the user. {_LOG_IN_AGAIN}",
    kinds.OFFLINE_TOO_LONG: "The SDK reconnects by itself: do not call login again. Ask the user to check the network.",
    kinds.KICK_PING_PONG: "Two devices log each other out, most often because the app calls login again when it is "
    "kicked out: lead back to the login page instead.",
    kinds.RECONNECT_STORM: "Look at the network and at ZIM's status first. The SDK reconnects by itself.",
    kinds.KICK_STORM: "Look for a release or a server job that logs users in a second time.",
    kinds.CLIENT_LOST: "No callback tells that a process died: the app may have been closed, or its device is off.",
    kinds.EXPORT_STALLED: "Nothing is lost, it waits in the database. Look at the address, the network and the log.",
}


class Device(msgspec.Struct, frozen=True):
    """What is known of a device of a user."""

    platform: str | None = None
    device_id: str | None = None
    app_version: str | None = None

    @property
    def words(self) -> str:
        """``Android (pixel-7)``, or less where less is known."""
        if self.platform and self.device_id:
            return f"{self.platform} ({self.device_id})"
        return self.platform or self.device_id or "an unnamed device"


def device_of(event: Event) -> Device:
    """The device that an event came from."""
    return Device(event.platform, event.device_id, event.app_version)


def who(user_id: str | None) -> str:
    """A user in a sentence, cut to what fits one."""
    if user_id is None:
        return "a client without a user"
    return user_id if len(user_id) <= _LONGEST_NAME else user_id[: _LONGEST_NAME - 1] + "…"


_LONGEST_NAME: Final = 60


def long(us: int) -> str:
    """``30 s``, ``5 min``, ``2 h``, ``3 d``: the largest unit that leaves a whole number of two at least, or one."""
    seconds = max(0, round(us / 1_000_000))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size and (seconds % size == 0 or seconds >= 2 * size):
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def kicked_out(event: Event, other: Device | None) -> str:
    """With the device that logged in last, where that is known."""
    by = f"; the other device is {other.words}" if other else ""
    return f"{who(event.user_id)} was kicked out on {device_of(event).words}{by}"


def token_expiring(event: Event, left_us: int) -> str:
    """From the SDK's warning."""
    return f"{who(event.user_id)}: the token ends in {long(left_us)} and is not renewed yet"


def token_expired(event: Event, warned: dict[str, Any] | None) -> str:
    """``warned`` is what the alert about the expiring token remembered of this client."""
    if warned is None:
        why = "no warning of it was reported"
    elif (code := warned.get("renewal_code")) is not None:
        why = f"warned {long(warned['left_us'])} before, renewToken failed with {code}"
    else:
        why = f"warned {long(warned['left_us'])} before, no renewToken call followed"
    return f"{who(event.user_id)}: the token expired ({why})"


def login_timeout(event: Event) -> str:
    """The SDK gave up."""
    return f"{who(event.user_id)}: the login timed out on {device_of(event).words}"


def unregistered(event: Event) -> str:
    """The account is gone."""
    return f"{who(event.user_id)} was unregistered from ZIM"


def offline(user_id: str, for_us: int) -> str:
    """Since it lost its connection."""
    return f"{who(user_id)} has been offline for {long(for_us)}"


def stalled(part: str, for_us: int, why: str) -> str:
    """Of a part of Zimwatch that should deliver."""
    return f"{part}: nothing was delivered for {long(for_us)} ({why})"


def storm(kind: Kind, users: int, window_us: int, share: float, common: str) -> str:
    """``50,000 users were kicked out within 1 min, 97% of those online; 96% on SDK 2.28.0``."""
    what = "were kicked out" if kind == kinds.KICK_STORM else "lost their connection"
    shared = f"; {common}" if common else ""
    return f"{users:,} users {what} within {long(window_us)}, {share:.0%} of those online{shared}"
