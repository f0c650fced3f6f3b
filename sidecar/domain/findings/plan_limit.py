"""``plan_limit``: the users of the app's plan are used up, for the day or the month."""

from __future__ import annotations

from typing import ClassVar, Final

from sidecar.domain import error_codes
from sidecar.domain.events import API_ERROR, LOGIN_RESULT, TOKEN_RENEWED, Event
from sidecar.domain.findings import sources
from sidecar.domain.findings.finding import HOLDS_US, Check, Finding
from sidecar.domain.findings.life import Life
from sidecar.domain.findings.refused_calls import call_name
from sidecar.domain.findings.refused_logins import code_of, is_of_login, is_of_plan, logged_in_after
from sidecar.domain.status import NOT_LOGGED_IN
from sidecar.domain.texts import Sentence, Text
from sidecar.domain.units import DAY_US

CALL_REFUSED: Final = Sentence("finding.plan_limit.call", "ZIM refuses %(call)s: %(code)s")
LOGGED_IN_SINCE: Final = Sentence(
    "finding.plan_limit.logged_in_since", "ZIM refused %(call)s: %(code)s; a login has succeeded since"
)
FAILED_SINCE: Final = Sentence(
    "finding.plan_limit.failed_since", "ZIM refused %(call)s: %(code)s; a later login failed for another reason"
)
SAY_OVER: Final = Sentence(
    "finding.plan_limit.say_over",
    "Earlier the chat service had reached its limit of users. That is not what is wrong now.",
)
_RESULT_OF: Final = {LOGIN_RESULT: "login", TOKEN_RENEWED: "renewToken"}
# By then there is a new allowance.
_MONTH_US: Final = 31 * DAY_US


class PlanLimit(Check):
    """Nothing on the device or in the app's code is wrong."""

    kind = "plan_limit"
    severity = "critical"
    types: ClassVar[frozenset[str]] = frozenset({LOGIN_RESULT, API_ERROR, TOKEN_RENEWED})
    title = Sentence("finding.plan_limit", "The plan's users are used up")
    evidence = Sentence("finding.plan_limit.evidence", "6000015 or 6000016 as the result of login or of another call.")
    threshold = Sentence(
        "finding.plan_limit.threshold",
        "One (critical); info where a login has succeeded since, or has failed for another reason.",
    )
    lifetime = Sentence(
        "finding.plan_limit.lifetime",
        "While the user is not logged in and no later login has succeeded or failed for another reason, for a day "
        "(6000015) or 31 days (6000016) at most; else until the last one is 30 minutes old.",
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
        since = _since(life, newest)
        holds_us = HOLDS_US
        if life.status == NOT_LOGGED_IN and since is None:
            holds_us = DAY_US if code == error_codes.PLAN_OF_DAY else _MONTH_US
        recent = [event for event in refused if event.moment_us > life.now_us - holds_us]
        if not recent:
            return None
        if since is not None:
            summary = since(call=_call(newest), code=error_codes.in_words(code))
            return cls.found(summary, recent, say=SAY_OVER(), advice=[error_codes.RAISE_PLAN()], severity="info")
        return cls.found(_summary(newest), recent)


def _since(life: Life, refused: Event) -> Sentence | None:
    """What has become of the refusal; None while nothing newer is known."""
    if logged_in_after(life, refused):
        return LOGGED_IN_SINCE
    failed = life.failed_logins
    # The newest failure is what is wrong now: the plan may have let that login pass.
    is_newer = bool(failed) and not is_of_plan(failed[-1]) and _place(failed[-1]) > _place(refused)
    return FAILED_SINCE if is_newer else None


def _place(event: Event) -> tuple[int, int, bytes]:
    return event.moment_us, event.seq, event.id


def _summary(refused: Event) -> Text:
    code = code_of(refused)
    if refused.type == LOGIN_RESULT or is_of_login(refused):
        return error_codes.refused_by_plan(code)
    return CALL_REFUSED(call=_call(refused), code=error_codes.in_words(code))


def _call(refused: Event) -> Text | str:
    """The function that was refused."""
    return _RESULT_OF.get(refused.type) or call_name(refused)
