"""``export_stalled``: spans, or the messages to a receiver, are not delivered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sidecar.domain.alerts.alert import Subject
from sidecar.domain.alerts.opening import CommonThresholds
from sidecar.domain.alerts.rules.base_rule import Rule
from sidecar.domain.texts import Sentence, Text, duration
from sidecar.domain.units import MINUTE_US

STALLED: Final = Sentence("stalled", "%(part)s: nothing was delivered for %(span)s (%(why)s)")
SPANS_WAIT: Final = Sentence("spans_wait", "spans wait for the collector")
DELIVERS: Final = Sentence("delivers", "it delivers again")


@dataclass(frozen=True, kw_only=True)
class StalledThresholds(CommonThresholds):
    """How long nothing may be delivered; 0 switches the rule off."""

    stalled_after_us: int = 5 * MINUTE_US


class ExportStalled(Rule[StalledThresholds]):
    """About a part of Zimwatch: ``spans``, or a receiver. Over when that delivers again."""

    kind = "export_stalled"
    severity = "critical"
    title = Sentence("kind.export_stalled", "Spans or messages are stuck")
    advice = (
        Sentence("advice.nothing_lost", "Nothing is lost, it waits in the database."),
        Sentence("advice.check_delivery", "Look at the address, the network and the log."),
    )

    @classmethod
    def is_on(cls, limits: StalledThresholds) -> bool:
        """Whether there is a time that is too long."""
        return limits.stalled_after_us > 0 and super().is_on(limits)

    @staticmethod
    def summary(part: str, for_us: int, why: Text) -> Text:
        """The part, since when it delivers nothing, and why."""
        return STALLED(part=part, span=duration(for_us), why=why)

    def check(self, part: str, since_us: int | None, why: Text, now_us: int) -> None:
        """``part`` has delivered nothing since then; None: it delivers."""
        subject = Subject(other=part)
        alert = self._firing.about(self.kind, subject)
        if since_us is None:
            if alert is not None:
                self._firing.resolve(alert, at_us=now_us, now_us=now_us, reason=DELIVERS())
        elif alert is None and self.is_on(self._limits) and now_us - since_us >= self._limits.stalled_after_us:
            self.cause(subject, since_us, now_us, self.summary(part, now_us - since_us, why), labels={"part": part})
