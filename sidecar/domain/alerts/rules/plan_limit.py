"""``plan_limit``: the users of an app's plan are used up, and ZIM refuses the logins of further ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sidecar.domain import error_codes, events
from sidecar.domain.alerts.alert import Alert, Subject
from sidecar.domain.alerts.opening import CommonThresholds
from sidecar.domain.alerts.rules.base_rule import Change, Rule
from sidecar.domain.events import Event
from sidecar.domain.texts import Sentence, Text, duration
from sidecar.domain.units import HOUR_US

NOBODY_REFUSED: Final = Sentence("nobody_refused", "nobody was refused for the plan for %(span)s")


@dataclass(frozen=True, kw_only=True)
class PlanThresholds(CommonThresholds):
    """After how long without a refusal the plan has room again."""

    plan_limit_window_us: int = HOUR_US


class PlanLimit(Rule[PlanThresholds]):
    """One for each app. Over when nobody was refused for a while: the day or the month is over, or the plan is larger.

    A successful login proves nothing: who was counted before is still let in.
    """

    kind = "plan_limit"
    severity = "critical"
    title = Sentence("kind.plan_limit", "The plan's users are used up")
    advice = (error_codes.LOGIN_CANNOT_HELP, error_codes.RAISE_PLAN)
    triggers = frozenset({events.LOGIN_RESULT, events.API_ERROR})

    @classmethod
    def concerns(cls, event: Event) -> bool:
        """Whether it was refused for the plan."""
        return event.details.get("code") in error_codes.PLAN_USED_UP

    def on_event(self, change: Change) -> None:
        """A refusal."""
        self.cause(
            Subject(change.event.app_id),
            change.at_us,
            change.now_us,
            error_codes.refused_by_plan(change.event.details["code"]),
            position=change.position,
            due_us=change.now_us + self._limits.plan_limit_window_us,
            late=change.late,
        )

    def over_by_time(self, alert: Alert) -> Text:  # noqa: ARG002 - as the base has it
        """Nobody was refused."""
        return NOBODY_REFUSED(span=duration(self._limits.plan_limit_window_us))
