"""The rules of connection events that log a user out for a reason that somebody should know of.

Such an alert opens with the event. It resolves when the user is online again. Without further reports it resolves after
``resolve_after``, or after ``online_elsewhere`` where the user was online on another device all along, because then no
login follows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Final

from sidecar.domain import sdk_words
from sidecar.domain.alerts.alert import Alert
from sidecar.domain.alerts.opening import CommonThresholds
from sidecar.domain.alerts.rules.base_rule import ONLINE_AGAIN, Change, Rule
from sidecar.domain.status import ONLINE
from sidecar.domain.texts import Sentence, Text
from sidecar.domain.units import MINUTE_US

LOG_IN_AGAIN: Final = Sentence("advice.log_in_again", "Ask the user to log in again; do not retry in code.")
ONLINE_ELSEWHERE: Final = Sentence("online_elsewhere", "the user was online on another device")


@dataclass(frozen=True, kw_only=True)
class LoginEndedThresholds(CommonThresholds):
    """When such an alert is over although no login was reported."""

    online_elsewhere_us: int = 5 * MINUTE_US


class LoginEnded(Rule[LoginEndedThresholds], ABC):
    """``connection_event`` opens it."""

    connection_event: ClassVar[str]

    def __init_subclass__(cls) -> None:
        cls.connection_events = frozenset({cls.connection_event})

    @abstractmethod
    def summary(self, change: Change) -> Text:
        """What happened, in one line."""

    def on_event(self, change: Change) -> None:
        """Opens it, or counts."""
        elsewhere = change.status == ONLINE
        wait_us = self._limits.online_elsewhere_us if elsewhere else self._limits.resolve_after_us
        self.cause(
            change.subject,
            change.at_us,
            change.now_us,
            self.summary(change),
            labels=change.labels,
            position=change.position,
            due_us=change.now_us + wait_us,
            late=change.late,
            facts={"elsewhere": elsewhere},
        )

    def over_with(self, change: Change) -> Text | None:
        """The user is online again."""
        connected = change.event.connection_state == sdk_words.CONNECTED and change.status == ONLINE
        return ONLINE_AGAIN() if connected and not change.ends_login else None

    def over_by_time(self, alert: Alert) -> Text:
        """No login was reported."""
        return ONLINE_ELSEWHERE() if alert.facts.get("elsewhere") else super().over_by_time(alert)
