"""``client_lost``: no live client of a user has renewed its lease."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sidecar.domain.alerts.alert import Subject
from sidecar.domain.alerts.firing import UserId
from sidecar.domain.alerts.naming import user_name
from sidecar.domain.alerts.opening import CommonThresholds
from sidecar.domain.alerts.rules.base_rule import DueRule
from sidecar.domain.alerts.watchlist import Due
from sidecar.domain.texts import Sentence

LOST: Final = Sentence("lost", "%(who)s gave no sign of life: the app or its device may be gone")
FOUND: Final = Sentence("found", "there is a sign of life again")


class ClientLost(DueRule[CommonThresholds]):
    """Opens when the last lease has ended, and is over with a sign of life or a logout."""

    kind = "client_lost"
    severity = "info"
    title = Sentence("kind.client_lost", "No sign of life")
    advice = (
        Sentence(
            "advice.process_died",
            "No callback reports that a process died: the app may have been closed, or its device is off.",
        ),
    )

    def open(self, due: Sequence[Due], now_us: int) -> None:
        """Every live client of these has been silent for longer than its lease, which ended at that moment."""
        self.expect([one.who for one in due], now_us)
        for one in due:
            if self._firing.of_user(one.who, self.kind) is None:
                self.cause(
                    Subject(*one.who),
                    one.since_us,
                    now_us,
                    LOST(who=user_name(one.who[1])),
                    due_us=now_us + self._limits.resolve_after_us,
                )

    def found(self, users: Sequence[UserId], now_us: int) -> None:
        """These gave a sign of life, or have logged out."""
        self._firing.fetch(users)
        for who in users:
            alert = self._firing.of_user(who, self.kind)
            if alert is not None:
                self._firing.resolve(alert, at_us=now_us, now_us=now_us, reason=FOUND())
