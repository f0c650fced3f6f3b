"""``calls_failing``: the SDK refuses calls of the app, whatever the status says."""

from __future__ import annotations

from collections import Counter
from typing import Final

from sidecar.domain import error_codes
from sidecar.domain.events import API_ERROR, Event
from sidecar.domain.findings import sources
from sidecar.domain.findings.finding import HOLDS_US, Check, Finding
from sidecar.domain.findings.life import Life
from sidecar.domain.texts import Sentence, Text, duration, joined

FAILED_ONCE: Final = Sentence("finding.call_failed", "%(call)s failed with %(code)s")
FAILED: Final = Sentence("finding.calls_failed", "%(count)s calls failed within %(span)s: %(calls)s")
_TIMES: Final = Sentence("finding.calls_of_a_kind", "%(call)s %(count)s times (%(code)s)")
_A_CALL: Final = Sentence("finding.a_call", "a call")
# From so many on it is more than a slip.
_MANY: Final = 3
_NAMED: Final = 3


class CallsFailing(Check):
    """Counts refused calls by method and code."""

    kind = "calls_failing"
    severity = "warning"
    types = frozenset({API_ERROR})
    title = Sentence("finding.calls_failing", "Calls are failing")
    evidence = Sentence("finding.calls_failing.evidence", "Calls that the SDK refused, as api_error reports them.")
    threshold = Sentence("finding.calls_failing.threshold", "One (info); three or more (warning).")
    lifetime = Sentence("finding.calls_failing.lifetime", "Until the last one is 30 minutes old.")
    say = Sentence(
        "finding.calls_failing.say",
        "I see that the app could not send or fetch something, although you are signed in. Our engineers get the code.",
    )
    advice = (
        Sentence(
            "finding.calls_failing.advice",
            "Look the codes up: 6000104 is the network, 6000105 a connection that no longer answers, 6000121 a call "
            "without a login. Show the failure in the app, and let the user send again.",
        ),
    )
    source = sources.ERROR_CODES

    @classmethod
    def find(cls, life: Life) -> Finding | None:
        """The refused calls of the last half hour."""
        failed = [event for event in life.lately(HOLDS_US) if event.type == API_ERROR]
        if not failed:
            return None
        severity = cls.severity if len(failed) >= _MANY else "info"
        return cls.found(cls._summary(failed), failed, severity=severity)

    @staticmethod
    def _summary(failed: list[Event]) -> Text:
        if len(failed) == 1:
            return FAILED_ONCE(call=_call(failed[0]), code=_code(failed[0]))
        counts = Counter((event.details.get("method"), event.details.get("code")) for event in failed)
        first = {(event.details.get("method"), event.details.get("code")): event for event in reversed(failed)}
        calls = [
            _TIMES(count=count, call=_call(first[what]), code=_code(first[what]))
            for what, count in counts.most_common(_NAMED)
        ]
        span = duration(failed[-1].moment_us - failed[0].moment_us)
        return FAILED(count=len(failed), span=span, calls=joined(calls))


def _call(event: Event) -> Text | str:
    return str(event.details.get("method") or "") or _A_CALL()


def _code(event: Event) -> Text:
    return error_codes.in_words(event.details.get("code"), event.details.get("message"))
