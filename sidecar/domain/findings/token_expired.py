"""``token_expired``: a token expired, and the app had no time to renew it."""

from __future__ import annotations

from typing import Final

from sidecar.domain import sdk_words
from sidecar.domain.alerts.naming import user_name
from sidecar.domain.alerts.rules.login_ended import LOG_IN_AGAIN
from sidecar.domain.alerts.rules.token_expired import RENEW_ON_WARNING, TOKEN_EXPIRED
from sidecar.domain.events import API_ERROR, CONNECTION_STATE_CHANGED, TOKEN_WILL_EXPIRE
from sidecar.domain.findings import login_end, sources
from sidecar.domain.findings.finding import Check, Finding
from sidecar.domain.findings.life import Life
from sidecar.domain.findings.refused_logins import refused_as_expired
from sidecar.domain.findings.token_endings import endings
from sidecar.domain.findings.token_not_renewed import SAY_AGAIN
from sidecar.domain.texts import Sentence

TOKEN_WAS_OLD: Final = Sentence(
    "finding.token_was_old",
    "%(who)s: the token had ended when the SDK warned of it (the device slept, or the app logged in with an old token)",
)
_FRESH_TOKEN: Final = Sentence(
    "finding.token_expired.fresh",
    "Get a new token from your server for each login, and do not keep one beyond its end.",
)


class TokenExpired(Check):
    """A TOKEN_EXPIRED without a warning in time, and what came of it."""

    kind = "token_expired"
    severity = "critical"
    title = Sentence("finding.token_expired", "Token expired")
    types = frozenset({TOKEN_WILL_EXPIRE, CONNECTION_STATE_CHANGED, API_ERROR})
    evidence = Sentence(
        "finding.token_expired.evidence",
        "TOKEN_EXPIRED with no token_will_expire reported before it, or one with at most two seconds left; and calls "
        "that failed with 6000121 since.",
    )
    threshold = Sentence(
        "finding.token_expired.threshold",
        "One: critical while the user is logged in nowhere because of it, warning while another device is logged in, "
        "info once the user has logged in again.",
    )
    lifetime = Sentence(
        "finding.token_expired.lifetime",
        "While the user is logged in nowhere because of it; otherwise until the last evidence is 30 minutes old.",
    )
    say = Sentence("finding.token_expired.say", "Your session has run out. Please sign in again.")
    advice = (LOG_IN_AGAIN, RENEW_ON_WARNING, _FRESH_TOKEN)
    source = sources.TOKENS

    @classmethod
    def find(cls, life: Life) -> Finding | None:
        """The last token that expired so."""
        ending = next((one for one in reversed(endings(life)) if one.expired and not one.could_be_renewed), None)
        if ending is None or ending.expired is None or refused_as_expired(life):
            return None  # or login_refused says it
        after = login_end.aftermath(life, ending.expired)
        summary = (TOKEN_EXPIRED if ending.warned is None else TOKEN_WAS_OLD)(who=user_name(life.user_id))
        return cls.found_while_it_holds(
            life,
            login_end.with_aftermath(summary, after),
            [*ending.events, *life.refused_after(sdk_words.TOKEN_EXPIRED)],
            is_lasting=after == "cut_off",
            say=SAY_AGAIN() if after == "again" else cls.say(),
            advice=[*login_end.to_log_in(after), RENEW_ON_WARNING(), _FRESH_TOKEN()],
            severity=login_end.SEVERITIES[after],
        )
