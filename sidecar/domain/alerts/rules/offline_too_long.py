"""``offline_too_long``: a user lost its connection, and has been offline ever since."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sidecar.domain.alerts.alert import Subject
from sidecar.domain.alerts.firing import UserId
from sidecar.domain.alerts.naming import user_name
from sidecar.domain.alerts.opening import CommonThresholds
from sidecar.domain.alerts.rules.base_rule import ONLINE_AGAIN, Change, Rule
from sidecar.domain.alerts.watchlist import WentOffline
from sidecar.domain.status import OFFLINE, ONLINE
from sidecar.domain.texts import Sentence, Text, duration
from sidecar.domain.units import MINUTE_US

OFFLINE_TOO_LONG: Final = Sentence("offline_too_long", "%(who)s has been offline for %(span)s")
LOGGED_OUT: Final = Sentence("logged_out", "the user is logged out")


@dataclass(frozen=True, kw_only=True)
class OfflineThresholds(CommonThresholds):
    """How long is too long; 0 switches the rule off."""

    offline_too_long_us: int = 5 * MINUTE_US


class OfflineTooLong(Rule[OfflineThresholds]):
    """Users that go offline are watched; :meth:`check` opens the alerts. Over when the user is offline no longer."""

    kind = "offline_too_long"
    severity = "warning"
    title = Sentence("kind.offline_too_long", "Offline too long")
    advice = (
        Sentence("advice.sdk_reconnects_alone", "The SDK reconnects by itself: do not call login again."),
        Sentence("advice.ask_network", "Ask the user to check the network."),
    )

    @classmethod
    def is_on(cls, limits: OfflineThresholds) -> bool:
        """Whether there is a time that is too long."""
        return limits.offline_too_long_us > 0 and super().is_on(limits)

    @staticmethod
    def summary(user_id: str, for_us: int) -> Text:
        """The user, and how long it has been offline."""
        return OFFLINE_TOO_LONG(who=user_name(user_id), span=duration(for_us))

    def on_offline(self, change: Change) -> None:
        """The user is watched from now on."""
        if change.who is not None:
            self._watch.went_offline(change.who, change.at_us, late=change.late)

    def left_offline(self, change: Change) -> None:
        """The user is watched no longer."""
        if change.who is not None:
            self._watch.not_offline(change.who)

    def over_with(self, change: Change) -> Text | None:
        """The user is online or logged out."""
        if change.status == OFFLINE:
            return None
        return ONLINE_AGAIN() if change.status == ONLINE else LOGGED_OUT()

    def check(self, users: Sequence[tuple[UserId, WentOffline]], now_us: int) -> None:
        """These have been offline for too long."""
        self.expect([who for who, _ in users], now_us)
        longest_us = self._limits.offline_too_long_us + self._limits.resolve_after_us
        for who, gone in users:
            self._watch.had_alert(who)
            if not gone.late and gone.since_us <= now_us - longest_us:
                continue  # the rules did not run for as long as the alert would have fired
            self.cause(
                Subject(*who),
                gone.since_us,
                now_us,
                self.summary(who[1], now_us - gone.since_us),
                due_us=now_us + self._limits.resolve_after_us,
                late=gone.late,
            )
