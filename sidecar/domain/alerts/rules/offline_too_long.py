"""``offline_too_long``: a user lost its connection, and has been offline ever since."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sidecar.domain.alerts.alert import Subject
from sidecar.domain.alerts.naming import user_name
from sidecar.domain.alerts.opening import CommonThresholds
from sidecar.domain.alerts.rules.base_rule import ONLINE_AGAIN, Change, DueRule
from sidecar.domain.alerts.watchlist import Due
from sidecar.domain.status import OFFLINE, ONLINE
from sidecar.domain.texts import Sentence, Text, duration
from sidecar.domain.units import MINUTE_US

OFFLINE_TOO_LONG: Final = Sentence("offline_too_long", "%(who)s has been offline for %(span)s")
WENT_OFFLINE: Final = Sentence("went_offline", "%(who)s went offline")
LOGGED_OUT: Final = Sentence("logged_out", "the user is logged out")


@dataclass(frozen=True, kw_only=True)
class OfflineThresholds(CommonThresholds):
    """How long is too long; 0 switches the rule off."""

    offline_too_long_us: int = 5 * MINUTE_US


class OfflineTooLong(DueRule[OfflineThresholds]):
    """Users that go offline are watched; :meth:`due` says whose alert is due. Over when a user is offline no longer."""

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
        """From now on it is measured for how long. Those who watch the user are notified at once."""
        if change.who is None:
            return
        self._watch.went_offline(change.who, change.at_us, late=change.late)
        if self.is_on(self._limits) and self._opening.is_watched(change.subject):
            self.cause(
                change.subject,
                change.at_us,
                change.now_us,
                WENT_OFFLINE(who=user_name(change.who[1])),
                labels=change.labels,
                position=change.position,
                due_us=change.now_us + self._limits.resolve_after_us,
                late=change.late,
                for_watch=True,
            )

    def left_offline(self, change: Change) -> None:
        """It is measured no longer."""
        if change.who is not None:
            self._watch.not_offline(change.who)

    def over_with(self, change: Change) -> Text | None:
        """The user is online or logged out."""
        if change.status == OFFLINE:
            return None
        return ONLINE_AGAIN() if change.status == ONLINE else LOGGED_OUT()

    def due(self, offline: Sequence[Due], now_us: int) -> list[Due]:
        """Of these, which have been offline for too long, those whose alert is to open. Each is due once."""
        longest_us = self._limits.offline_too_long_us + self._limits.resolve_after_us
        for one in offline:
            self._watch.had_alert(one.who)
        # The rules did not run for as long as the alert of the others would have fired.
        return [one for one in offline if one.late or one.since_us > now_us - longest_us]

    def open(self, due: Sequence[Due], now_us: int) -> None:
        """These have been offline for too long."""
        self.expect([one.who for one in due], now_us)
        for one in due:
            self.cause(
                Subject(*one.who),
                one.since_us,
                now_us,
                self.summary(one.who[1], now_us - one.since_us),
                due_us=now_us + self._limits.resolve_after_us,
                late=one.late,
            )
