"""``duplicate_login_calls``: the app calls login while a login is pending."""

from __future__ import annotations

from typing import Final

from sidecar.domain.events import LOGIN, Event
from sidecar.domain.findings import sources
from sidecar.domain.findings.finding import HOLDS_US, Check, Finding
from sidecar.domain.findings.life import Life
from sidecar.domain.findings.logins import logins
from sidecar.domain.texts import Sentence

AGAIN_ONCE: Final = Sentence("finding.login_called_again", "login was called again while a login was pending")
AGAIN: Final = Sentence(
    "finding.login_called_again_often", "login was called %(count)s times while a login was pending"
)
_MANY: Final = 3


class DuplicateLoginCalls(Check):
    """Counts the calls that joined a pending login."""

    kind = "duplicate_login_calls"
    severity = "warning"
    title = Sentence("finding.duplicate_login_calls", "login called while logging in")
    types = frozenset({LOGIN})
    evidence = Sentence(
        "finding.duplicate_login_calls.evidence",
        "Calls of login on one device while the one before had no result and no callback, and that one.",
    )
    threshold = Sentence("finding.duplicate_login_calls.threshold", "One (info); three or more (warning).")
    lifetime = Sentence("finding.duplicate_login_calls.lifetime", "Until the last such call is 30 minutes old.")
    say = Sentence(
        "finding.duplicate_login_calls.say",
        "The app tried to sign you in several times at once. You need not do anything, and need not press the button "
        "again while it is signing in.",
    )
    advice = (
        Sentence(
            "finding.duplicate_login_calls.advice",
            "Call login once, and wait for its result: a further call for the same user only gets the result of the "
            "first, and one for another user is refused with 6000111. Look for a login in a component that is created "
            "twice, in a retry, or behind a button that stays active.",
        ),
    )
    source = sources.MANAGE_LOGIN

    @classmethod
    def find(cls, life: Life) -> Finding | None:
        """The recent calls."""
        after_us = life.now_us - HOLDS_US
        again: list[Event] = []
        evidence: list[Event] = []
        for own in life.of_client.values():
            for login in logins(own):
                recent = [event for event in login.joined if event.moment_us > after_us]
                if recent:
                    again += recent
                    evidence += [login.call, *recent]
        if not again:
            return None
        evidence.sort(key=lambda event: (event.moment_us, event.id))
        severity = cls.severity if len(again) >= _MANY else "info"
        summary = AGAIN_ONCE() if len(again) == 1 else AGAIN(count=len(again))
        return cls.found(summary, evidence, severity=severity)
