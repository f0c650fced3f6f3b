"""What the rules watch between events, and what one transaction changes of it. Nothing outlives the transaction.

Users that are offline and may be so for too long; kicks, several of which in turn are a ping-pong; and the users in the
windows of storms.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Literal, Protocol

import msgspec

from sidecar.domain.alerts.alert import Alert, Kind
from sidecar.domain.alerts.firing import UserId

Traits = tuple[str | None, str | None, str | None]
"""Platform, SDK version, app version."""


class WentOffline(msgspec.Struct, frozen=True, gc=False):
    """Since when a user is offline, and whether that was received too late to notify anybody."""

    since_us: int
    late: bool


class Kick(msgspec.Struct, frozen=True, gc=False):
    """A user was kicked out on a device, by an event at ``position``."""

    position: int
    device: str
    at_us: int


class Due(msgspec.Struct, frozen=True, gc=False):
    """A user about whom an alert is to open by time: since when its cause lasts, and what its device is.

    ``late``: that was received too late to notify anybody.
    """

    who: UserId
    since_us: int
    traits: Traits = (None, None, None)
    late: bool = False


class Member(msgspec.Struct, frozen=True, gc=False):
    """When it last happened to a user (as received), and what its device is.

    ``held``: the user's own alert is to open unless a storm begins. ``code`` is the SDK's error, where there is one.
    """

    at_us: int
    traits: Traits
    held: bool = False
    code: int | None = None


class Switches(msgspec.Struct, frozen=True):
    """What the rules that are switched on need. Nothing else is watched."""

    offline: bool
    kicks: bool
    storms: frozenset[Kind]


Measure = Literal["online", "offline", "heard", "silent"]


class Crowd(msgspec.Struct, frozen=True):
    """How many users of an app are online, and offline with a sign of life.

    Of those two together ``heard`` gave a sign of life within their lease; ``silent`` did not, online or offline.
    """

    online: int = 0
    offline: int = 0
    heard: int = 0
    silent: int = 0

    def of(self, measure: Measure) -> int:
        """One of the counts."""
        count: int = getattr(self, measure)
        return count


class Windows(Protocol):
    """The windows of storms: the users to whom something happened lately, each once. In the database."""

    def crowd(self, app_id: int, /) -> Crowd:
        """How many users the app has."""

    def newest_us(self, storm: Kind, app_id: int, /) -> int | None:
        """When it happened last."""

    def count(self, storm: Kind, app_id: int, since_us: int, /) -> int:
        """To how many users it happened after a moment."""

    def counted(self, storm: Kind, app_id: int, users: int, /) -> None:
        """The window has no more than so many."""

    def traits(self, storm: Kind, app_id: int, since_us: int, /) -> Mapping[Traits, int]:
        """What their devices are, and how many of each."""

    def codes(self, storm: Kind, app_id: int, since_us: int, /) -> Mapping[int, int]:
        """The error codes, and to how many of them each happened."""

    def affected(self, storm: Kind, app_id: int, since_us: int, measure: Measure, /) -> int:
        """How many of them are ``offline`` or ``silent`` now."""

    def singles(self, storm: Kind, app_id: int, since_us: int, kinds: Collection[Kind], /) -> Iterable[Alert]:
        """The firing alerts of these kinds about each of them of which no notification was sent."""

    def begin(self, alert: Alert, since_us: int, /) -> None:
        """A storm begins: its record has all of them, and none is held any more."""

    def record(self, alert: Alert, users: Collection[str], at_us: int, /) -> None:
        """These join the record of a storm that fires."""


class Watch:
    """``kicks`` is filled with those of the users that events kick out, oldest first."""

    def __init__(self, switches: Switches) -> None:
        self.switches = switches
        self.clear()

    def clear(self) -> None:
        """Forgets the changes, which are written."""
        # None: offline no longer.
        self.offline: dict[UserId, WentOffline | None] = {}
        self.alerted: list[UserId] = []
        self.kicks: dict[UserId, list[Kick]] = {}
        self.kicked: list[tuple[UserId, Kick]] = []
        self.members: dict[tuple[Kind, int], dict[str, Member]] = {}

    def went_offline(self, who: UserId, since_us: int, *, late: bool) -> None:
        """The user has been offline since then."""
        if self.switches.offline:
            self.offline[who] = WentOffline(since_us, late)

    def not_offline(self, who: UserId) -> None:
        """The user is offline no longer."""
        if self.switches.offline:
            self.offline[who] = None

    def had_alert(self, who: UserId) -> None:
        """Its being offline for too long was handled: an alert opened, or it was too late for one."""
        self.alerted.append(who)

    def kick(self, who: UserId, kick: Kick, since_us: int) -> list[Kick]:
        """One more kick of the user; all since then, oldest first."""
        if self.switches.kicks:
            self.kicked.append((who, kick))
        kicks = self.kicks[who] = [one for one in self.kicks.get(who, ()) if one.at_us > since_us] + [kick]
        return kicks

    def member(self, storm: Kind, who: UserId, member: Member) -> None:
        """The user joins the window of a storm."""
        if storm in self.switches.storms:
            self.members.setdefault((storm, who[0]), {})[who[1]] = member
