"""``calls_failing``: the SDK refuses calls of the app, whatever the status says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from sidecar.domain import error_codes, sdk_words
from sidecar.domain.events import API_ERROR, TOKEN_WILL_EXPIRE, Event
from sidecar.domain.findings import sources
from sidecar.domain.findings.finding import Check, Finding
from sidecar.domain.findings.life import Life
from sidecar.domain.findings.refused_calls import RefusedCall, call_name, code_of, counted
from sidecar.domain.findings.refused_logins import is_of_login, is_of_plan
from sidecar.domain.texts import Sentence, Text, duration

FAILED_ONCE: Final = Sentence("finding.call_failed", "%(call)s failed with %(code)s")
FAILED: Final = Sentence("finding.calls_failed", "%(count)s calls failed within %(span)s: %(calls)s")
# From so many on it is more than a slip.
MANY: Final = 3

_SAY: Final[dict[int | None, Sentence]] = {
    error_codes.NO_NETWORK: Sentence(
        "finding.calls_failing.say_network",
        "I see that your device had no connection when the app tried to send or fetch something. Please check the "
        "network, and then try it again.",
    ),
    error_codes.NO_ANSWER: Sentence(
        "finding.calls_failing.say_silent",
        "I see that the app gets no answer from the chat server, although it looks connected. Please change to another "
        "network, such as from Wi-Fi to mobile data, and then try it again.",
    ),
}
_LOOK_UP: Final = Sentence(
    "finding.calls_failing.look_up",
    "Look the code up in the list of error codes. Show the failure in the app, and let the user send again.",
)
_TOO_OFTEN: Final = Sentence(
    "finding.calls_failing.too_often",
    "The app calls too often: leave a pause between calls, and do not call in a loop.",
)
_ADVICE: Final[dict[int | None, Sentence]] = {
    error_codes.NO_NETWORK: Sentence(
        "finding.calls_failing.network",
        "6000104 is the network: show the failure in the app, and let the user send again once the callback has "
        "reported CONNECTED.",
    ),
    error_codes.NO_ANSWER: Sentence(
        "finding.calls_failing.silent_socket",
        "6000105 is a connection that is open and no longer answers; no callback reports that. Show the failure in the "
        "app, and let the user send again. Where many users have it, look at proxies, VPNs and firewalls on the way to "
        "ZIM.",
    ),
    error_codes.NOT_LOGGED_IN: Sentence(
        "finding.calls_failing.no_login",
        "6000121 is a call without a login: call the SDK only while the last state was CONNECTED, and lead back to the "
        "login page after DISCONNECTED.",
    ),
    **dict.fromkeys(error_codes.TOO_OFTEN, _TOO_OFTEN),
}
# The calls that are explained by one of these are in the finding about it.
_EXPLAINED_BY: Final = frozenset({sdk_words.KICKED_OUT, sdk_words.TOKEN_EXPIRED, TOKEN_WILL_EXPIRE})


class CallsFailing(Check):
    """Counts refused calls by method and code."""

    kind = "calls_failing"
    severity = "warning"
    title = Sentence("finding.calls_failing", "Calls are failing")
    types = frozenset({API_ERROR})
    evidence = Sentence(
        "finding.calls_failing.evidence",
        "Calls that the SDK refused, as api_error reports them; but for login, those that the plan refused, and those "
        "before the login was finished or after a kick or an expired token ended it.",
    )
    threshold = Sentence("finding.calls_failing.threshold", "One (info); three or more (warning).")
    lifetime = Sentence("finding.calls_failing.lifetime", "Until the last one is 30 minutes old.")
    say = Sentence(
        "finding.calls_failing.say",
        "I see that the app could not send or fetch something. Our engineers get the error code. Please try it again.",
    )
    advice = tuple(dict.fromkeys([*_ADVICE.values(), _LOOK_UP]))
    source = sources.ERROR_CODES

    @classmethod
    def find(cls, life: Life) -> Finding | None:
        """The refused calls of the last half hour that nothing else explains."""
        failed = [one.call for one in life.refused if not is_explained(one)]
        if not failed:
            return None
        codes: Counter[int | None] = Counter(error_codes.number(call.details.get("code")) for call in failed)
        first = min(codes, key=lambda code: (-codes[code], code is None, code))
        advised = {_ADVICE.get(code, _LOOK_UP) for code in codes}
        return cls.found(
            cls._summary(failed),
            failed,
            severity=cls.severity if len(failed) >= MANY else "info",
            say=_SAY.get(first, cls.say)(),
            advice=[one() for one in cls.advice if one in advised],
        )

    @staticmethod
    def _summary(failed: Sequence[Event]) -> Text:
        first, *others = failed
        if not others:
            return FAILED_ONCE(call=call_name(first), code=code_of(first))
        span = duration(failed[-1].moment_us - first.moment_us)
        return FAILED(count=len(failed), span=span, calls=counted(failed))


def is_explained(refused: RefusedCall) -> bool:
    """Whether it is evidence of another finding."""
    if is_of_login(refused.call) or is_of_plan(refused.call):
        return True
    by = refused.ended_by
    return refused.is_early or (by is not None and not _EXPLAINED_BY.isdisjoint({by.connection_event, by.type}))
