"""``plan_limit``: the users of the app's plan are used up, for the day or the month."""

from __future__ import annotations

from typing import ClassVar, Final

from sidecar.domain import error_codes
from sidecar.domain.events import API_ERROR, LOGIN_RESULT, TOKEN_RENEWED
from sidecar.domain.findings import sources
from sidecar.domain.findings.finding import HOLDS_US, Check, Finding
from sidecar.domain.findings.life import Life
from sidecar.domain.findings.refused_logins import code_of, connected_after, is_of_plan
from sidecar.domain.status import NOT_LOGGED_IN
from sidecar.domain.texts import Sentence
from sidecar.domain.units import DAY_US

# By then there is a new allowance.
_MONTH_US: Final = 31 * DAY_US


class PlanLimit(Check):
    """Nothing on the device or in the app's code is wrong."""

    kind = "plan_limit"
    severity = "critical"
    types: ClassVar[frozenset[str]] = frozenset({LOGIN_RESULT, API_ERROR, TOKEN_RENEWED})
    title = Sentence("finding.plan_limit", "The plan's users are used up")
    evidence = Sentence("finding.plan_limit.evidence", "6000015 or 6000016 as the result of login or of another call.")
    threshold = Sentence("finding.plan_limit.threshold", "One.")
    lifetime = Sentence(
        "finding.plan_limit.lifetime",
        "While the user is not logged in and has not been since, for a day (6000015) or 31 days (6000016) at most; "
        "else until the last one is 30 minutes old.",
    )
    say = Sentence(
        "finding.plan_limit.say",
        "The chat service has reached its limit of users, so signing in again will not help. I am passing it on now.",
    )
    advice = (error_codes.LOGIN_CANNOT_HELP, error_codes.RAISE_PLAN)
    source = sources.ERROR_CODES

    @classmethod
    def find(cls, life: Life) -> Finding | None:
        """The calls that the plan refused."""
        refused = [event for event in life.events if event.type in cls.types and is_of_plan(event)]
        if not refused:
            return None
        newest = refused[-1]
        code = code_of(newest)
        holds_us = HOLDS_US
        if life.status == NOT_LOGGED_IN and not connected_after(life, newest):
            holds_us = DAY_US if code == error_codes.PLAN_OF_DAY else _MONTH_US
        recent = [event for event in refused if event.moment_us > life.now_us - holds_us]
        return cls.found(error_codes.refused_by_plan(code), recent) if recent else None
