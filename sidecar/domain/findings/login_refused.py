"""``login_refused``: a login failed with a code, or the SDK ended it at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sidecar.domain import error_codes
from sidecar.domain.alerts.alert import Severity
from sidecar.domain.events import API_ERROR, CONNECTION_STATE_CHANGED, LOGIN_RESULT, Event
from sidecar.domain.findings import sources
from sidecar.domain.findings.finding import HOLDS_US, Check, Finding
from sidecar.domain.findings.life import Life
from sidecar.domain.findings.login_codes import ADVICE, NOT_REPORTED, SAYS, UNKNOWN
from sidecar.domain.findings.refused_logins import code_of, is_of_plan, is_refusal, logged_in_after
from sidecar.domain.status import NOT_LOGGED_IN
from sidecar.domain.texts import Sentence, Text

REFUSED: Final = Sentence("finding.login_refused.once", "The login was refused with %(code)s")
REFUSED_OFTEN: Final = Sentence("finding.login_refused.often", "%(count)s logins were refused, the last with %(code)s")
UNREACHED: Final = Sentence("finding.login_refused.network", "The login did not reach ZIM: %(code)s")
UNREACHED_OFTEN: Final = Sentence(
    "finding.login_refused.network_often", "%(count)s logins failed, the last did not reach ZIM: %(code)s"
)
WITHOUT_CODE: Final = Sentence(
    "finding.login_refused.no_code", "The login was refused or interrupted, and no code was reported"
)
SAY_SINCE: Final = Sentence(
    "finding.login_refused.say_since", "An earlier attempt to sign in failed; since then you have been signed in."
)
# The advice is for the newest codes.
_CODES_ADVISED: Final = 3


class LoginRefused(Check):
    """The newest failure decides what is said. One that the plan causes is ``plan_limit``."""

    kind = "login_refused"
    severity = "critical"
    types = frozenset({LOGIN_RESULT, API_ERROR, CONNECTION_STATE_CHANGED})
    title = Sentence("finding.login_refused", "The login is refused")
    evidence = Sentence(
        "finding.login_refused.evidence",
        "login_result with a code other than 0, api_error of login, DISCONNECTED / LOGIN_INTERRUPTED without a code; "
        "but for the codes of the plan.",
    )
    threshold = Sentence(
        "finding.login_refused.threshold",
        "One (critical). Warning where it did not reach ZIM, or another device is logged in; info where a login has "
        "succeeded since.",
    )
    lifetime = Sentence(
        "finding.login_refused.lifetime",
        "While the user is not logged in and has not been since; else until the last one is 30 minutes old.",
    )
    say = Sentence(
        "finding.login_refused.say",
        "The chat service does not accept the app's sign-in. That is not your fault; our engineers get the reason.",
    )
    advice = (*dict.fromkeys(ADVICE.values()), UNKNOWN, NOT_REPORTED)
    source = sources.ERROR_CODES

    @classmethod
    def find(cls, life: Life) -> Finding | None:
        """The logins that failed since one succeeded; else those of the last half hour."""
        if not life.failed_logins or is_of_plan(life.failed_logins[-1]):
            return None
        failed = [event for event in life.failed_logins if not is_of_plan(event)]
        newest = failed[-1]
        recent = [event for event in failed if event.moment_us > life.now_us - HOLDS_US]
        if logged_in_after(life, newest):
            return cls._found(recent, "info") if recent else None
        if life.status == NOT_LOGGED_IN:
            severity = "warning" if code_of(newest) in error_codes.NETWORK else cls.severity
            return cls._found([event for event in failed if not logged_in_after(life, event)], severity)
        return cls._found(recent, "warning") if recent else None

    @classmethod
    def _found(cls, failed: Sequence[Event], severity: Severity) -> Finding:
        code = code_of(failed[-1])
        say = SAY_SINCE if severity == "info" else SAYS.get(code or 0, cls.say)
        advice = dict.fromkeys(_advice(event) for event in reversed(failed))
        return cls.found(
            _summary(failed),
            failed,
            say=say(),
            advice=[one() for one in list(advice)[:_CODES_ADVISED]],
            severity=severity,
        )


def _summary(failed: Sequence[Event]) -> Text:
    newest, count = failed[-1], len(failed)
    if is_refusal(newest):
        return WITHOUT_CODE()
    code = error_codes.in_words(newest.details.get("code"), newest.details.get("message"))
    if code_of(newest) in error_codes.NETWORK:
        return UNREACHED(code=code) if count == 1 else UNREACHED_OFTEN(count=count, code=code)
    return REFUSED(code=code) if count == 1 else REFUSED_OFTEN(count=count, code=code)


def _advice(event: Event) -> Sentence:
    return NOT_REPORTED if is_refusal(event) else ADVICE.get(code_of(event) or 0, UNKNOWN)
