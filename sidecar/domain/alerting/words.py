"""What an alert says: one line that a person understands on a phone, its story, and the advice of the SDK's page.

Source of the advice: ZEGOCLOUD, In-app Chat, "Manage user login", section "Handle user login exceptions".
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from sidecar.domain.alerting import kinds
from sidecar.domain.alerting.kinds import Kind
from sidecar.domain.events import Event
from sidecar.domain.sentences import Sentence

_LOG_IN_AGAIN: Final = Sentence("Ask the user to log in again; do not retry in code.")

ADVICE_SENTENCES: Final[dict[Kind, tuple[Sentence, ...]]] = {
    kinds.KICKED_OUT: (
        _LOG_IN_AGAIN,
        Sentence("If the other device is not theirs, they should change their password."),
    ),
    kinds.TOKEN_EXPIRING: (
        Sentence("Get a new token from your server and pass it to renewToken before the old one ends."),
    ),
    kinds.TOKEN_EXPIRED: (_LOG_IN_AGAIN, Sentence("Let the app call renewToken when onTokenWillExpire fires.")),
    kinds.LOGIN_TIMEOUT: (Sentence("Look at the network between the user and ZIM."), _LOG_IN_AGAIN),
    kinds.UNREGISTERED: (Sentence("Find out what unregistered the user."), _LOG_IN_AGAIN),
    kinds.OFFLINE_TOO_LONG: (
        Sentence("The SDK reconnects by itself: do not call login again."),
        Sentence("Ask the user to check the network."),
    ),
    kinds.KICK_PING_PONG: (
        Sentence(
            "Two devices log each other out, most often because the app calls login again when it is kicked out: lead "
            "back to the login page instead."
        ),
    ),
    kinds.RECONNECT_STORM: (
        Sentence("Look at the network and at ZIM's status first."),
        Sentence("The SDK reconnects by itself."),
    ),
    kinds.KICK_STORM: (Sentence("Look for a release or a server job that logs users in a second time."),),
    kinds.CLIENT_LOST: (
        Sentence("No callback tells that a process died: the app may have been closed, or its device is off."),
    ),
    kinds.EXPORT_STALLED: (
        Sentence("Nothing is lost, it waits in the database."),
        Sentence("Look at the address, the network and the log."),
    ),
}
ADVICE: Final[dict[Kind, str]] = {kind: " ".join(one.text for one in told) for kind, told in ADVICE_SENTENCES.items()}

UNNAMED: Final = Sentence("an unnamed device")
NOBODY: Final = Sentence("a client without a user")

KICKED_OUT: Final = Sentence("%(who)s was kicked out on %(device)s")
KICKED_OUT_BY: Final = Sentence("%(who)s was kicked out on %(device)s; the other device is %(other)s")
TOKEN_EXPIRING: Final = Sentence("%(who)s: the token ends in %(span)s and is not renewed yet")
TOKENS_EXPIRING: Final = Sentence("The tokens of %(count)s users end within %(span)s, %(share)s of those in use")
TOKEN_EXPIRED: Final = Sentence("%(who)s: the token expired (no warning of it was reported)")
TOKEN_NOT_RENEWED: Final = Sentence("%(who)s: the token expired (warned %(span)s before, no renewToken call followed)")
RENEWAL_FAILED: Final = Sentence("%(who)s: the token expired (warned %(span)s before, renewToken failed with %(code)s)")
LOGIN_TIMEOUT: Final = Sentence("%(who)s: the login timed out on %(device)s")
UNREGISTERED: Final = Sentence("%(who)s was unregistered from ZIM")
OFFLINE_TOO_LONG: Final = Sentence("%(who)s has been offline for %(span)s")
PING_PONG: Final = Sentence("%(who)s: two devices kick each other out, %(count)s times within %(span)s")
LOST: Final = Sentence("%(who)s gave no sign of life: the app or its device may be gone")
STALLED: Final = Sentence("%(part)s: nothing was delivered for %(span)s (%(why)s)")
SPANS_WAIT: Final = Sentence("spans wait for the collector")
KICK_STORM: Final = Sentence("%(count)s users were kicked out within %(span)s, %(share)s of those online")
KICK_STORM_OF: Final = Sentence(
    "%(count)s users were kicked out within %(span)s, %(share)s of those online; %(common)s"
)
RECONNECT_STORM: Final = Sentence("%(count)s users lost their connection within %(span)s, %(share)s of those online")
RECONNECT_STORM_OF: Final = Sentence(
    "%(count)s users lost their connection within %(span)s, %(share)s of those online; %(common)s"
)
FLAPPING: Final = Sentence(
    "%(told)s (flapping: %(count)s times within %(span)s; you are not called again until it is stable)"
)

# Why an alert is over.
ONLINE_AGAIN: Final = Sentence("the user is online again")
LOGGED_OUT: Final = Sentence("the user is logged out")
ONLINE_ELSEWHERE: Final = Sentence("the user was online on another device")
RENEWED: Final = Sentence("the token was renewed")
NEW_LOGIN: Final = Sentence("a new login")
EXPIRED: Final = Sentence("the token has expired")
FEWER_EXPIRE: Final = Sentence("the tokens of no more than %(count)s users end within %(span)s")
NO_MORE_KICKS: Final = Sentence("no device was kicked out for a while")
FOUND: Final = Sentence("there is a sign of life again")
DELIVERS: Final = Sentence("it delivers again")
CALM: Final = Sentence("it is calm again; %(told)s")
TOO_LONG: Final = Sentence("nothing was heard of it for too long")

# What else is in an alert's story.
ACKNOWLEDGED: Final = Sentence("acknowledged")
STILL_FIRING: Final = Sentence("still firing")
UNHELD: Final = Sentence("no longer held back (%(held)s)")


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
        return self.platform or self.device_id or UNNAMED()


def device_of(event: Event) -> Device:
    """The device that an event came from."""
    return Device(event.platform, event.device_id, event.app_version)


def who(user_id: str | None) -> str:
    """A user in a sentence, cut to what fits one."""
    if user_id is None:
        return NOBODY()
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
    who_, device = who(event.user_id), device_of(event).words
    return KICKED_OUT_BY(who=who_, device=device, other=other.words) if other else KICKED_OUT(who=who_, device=device)


def token_expired(event: Event, warned: dict[str, Any] | None) -> str:
    """``warned`` is what the alert about the expiring token remembered of this client."""
    if warned is None:
        return TOKEN_EXPIRED(who=who(event.user_id))
    span = long(warned["left_us"])
    if (code := warned.get("renewal_code")) is not None:
        return RENEWAL_FAILED(who=who(event.user_id), span=span, code=code)
    return TOKEN_NOT_RENEWED(who=who(event.user_id), span=span)


def offline(user_id: str, for_us: int) -> str:
    """Since it lost its connection."""
    return OFFLINE_TOO_LONG(who=who(user_id), span=long(for_us))


def stalled(part: str, for_us: int, why: str) -> str:
    """Of a part of Zimwatch that should deliver."""
    return STALLED(part=part, span=long(for_us), why=why)


def storm(kind: Kind, users: int, window_us: int, share: float, common: str) -> str:
    """``50,000 users were kicked out within 1 min, 97% of those online; 96% on SDK 2.28.0``."""
    filled = {"count": f"{users:,}", "span": long(window_us), "share": f"{share:.0%}"}
    alone, of = (KICK_STORM, KICK_STORM_OF) if kind == kinds.KICK_STORM else (RECONNECT_STORM, RECONNECT_STORM_OF)
    return of(**filled, common=common) if common else alone(**filled)
