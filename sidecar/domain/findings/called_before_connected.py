"""``called_before_connected``: the app calls the SDK before its login is finished."""

from __future__ import annotations

from typing import Final

from sidecar.domain.events import API_ERROR
from sidecar.domain.findings import sources
from sidecar.domain.findings.finding import Check, Finding
from sidecar.domain.findings.life import Life
from sidecar.domain.findings.refused_calls import call_name, counted
from sidecar.domain.status import ONLINE
from sidecar.domain.texts import Sentence

EARLY_ONCE: Final = Sentence(
    "finding.call_before_connected", "%(call)s was called before the login was finished (6000121: not logged in)"
)
EARLY: Final = Sentence(
    "finding.calls_before_connected", "%(count)s calls came before the login was finished: %(calls)s"
)


class CalledBeforeConnected(Check):
    """Calls refused with 6000121 while a login was pending, or up to a minute before one.

    Before the first login of a process no event names a user: what is refused then is in nobody's log.
    """

    kind = "called_before_connected"
    severity = "warning"
    title = Sentence("finding.called_before_connected", "Called before the login was finished")
    types = frozenset({API_ERROR})
    evidence = Sentence(
        "finding.called_before_connected.evidence",
        "Calls refused with 6000121 while a login was pending or the state was CONNECTING, or after an "
        "earlier login of the user on that client had ended and up to a minute before the next. Calls before the first "
        "login of a process name no user, and are not found.",
    )
    threshold = Sentence(
        "finding.called_before_connected.threshold", "One (info if the device has connected); two or more (warning)."
    )
    lifetime = Sentence("finding.called_before_connected.lifetime", "Until the last such call is 30 minutes old.")
    say = Sentence(
        "finding.called_before_connected.say",
        "The app tried to do something before it had signed you in. Please try it again now. It is an error in the "
        "app, and our engineers have what they need to mend it.",
    )
    advice = (
        Sentence(
            "finding.called_before_connected.advice",
            "login is asynchronous: wait until onConnectionStateChanged reports CONNECTED before the first call, also "
            "for callAccept, callReject and callEnd after the app was opened by a push.",
        ),
    )
    source = sources.MANAGE_LOGIN

    @classmethod
    def find(cls, life: Life) -> Finding | None:
        """The recent calls that came too early."""
        early = [one.call for one in life.refused if one.is_early]
        if not early:
            return None
        if len(early) > 1:
            return cls.found(EARLY(count=len(early), calls=counted(early)), early)
        (call,) = early
        is_over = life.status_of(call.client_id) == ONLINE
        return cls.found(EARLY_ONCE(call=call_name(call)), early, severity="info" if is_over else cls.severity)
