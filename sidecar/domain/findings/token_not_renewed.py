"""``token_not_renewed``: the SDK warned that a token ends, and the app did not renew it."""

from __future__ import annotations

from typing import Final

from sidecar.domain import error_codes, sdk_words
from sidecar.domain.alerts.naming import user_name
from sidecar.domain.alerts.rules.login_ended import LOG_IN_AGAIN
from sidecar.domain.alerts.rules.token_expired import (
    LOOK_UP_RENEWAL,
    RENEW_ON_WARNING,
    RENEWAL_FAILED,
    TOKEN_NOT_RENEWED,
)
from sidecar.domain.events import API_ERROR, CONNECTION_STATE_CHANGED, TOKEN_RENEWED, TOKEN_WILL_EXPIRE
from sidecar.domain.findings import login_end, sources
from sidecar.domain.findings.finding import Check, Finding
from sidecar.domain.findings.life import Life
from sidecar.domain.findings.login_codes import ADVICE
from sidecar.domain.findings.refused_logins import code_of
from sidecar.domain.findings.token_endings import TokenEnding, endings
from sidecar.domain.texts import Sentence, Text, duration

TOKEN_WAS_TO_END: Final = Sentence(
    "finding.token_was_to_end",
    "%(who)s: the token was to end %(span)s after the SDK's warning, and no renewToken call followed",
)
RENEWAL_FAILED_YET: Final = Sentence("finding.renewal_failed", "%(who)s: renewToken failed with %(code)s")
RENEWAL_FAILED_UNWARNED: Final = Sentence(
    "finding.renewal_failed_unwarned", "%(who)s: the token expired (renewToken failed with %(code)s)"
)
SAY_AGAIN: Final = Sentence(
    "finding.token.say_again",
    "Your session had run out and signed you out; you have signed in again since. You need not do anything more.",
)
_SAY_SOON: Final = Sentence(
    "finding.token.say_soon",
    "The app could not extend your session. If it signs you out, please sign in again.",
)
_SAY_SIGN_IN: Final = Sentence(
    "finding.token.say", "Your session has run out, and the app did not extend it. Please sign in again."
)
_TOKEN: Final = Sentence(
    "finding.token_not_renewed.token",
    "renewToken was called and failed: look at the token that your server issues for it, and after a failure get a new "
    "one and pass that on, before the old one ends.",
)
_UNREACHED: Final = Sentence(
    "finding.token_not_renewed.unreached",
    "renewToken was called and did not reach ZIM: that is the network, and not the token. Call it again while the old "
    "token lasts, once the callback has reported CONNECTED.",
)
# What is wrong with the token, for each code.
_OF_CODE: Final[dict[int | None, Sentence]] = {
    code: ADVICE[code] for code in (6_000_101, 6_000_103, error_codes.TOKEN_EXPIRED, 6_000_107, 6_000_108, 6_000_109)
}


class TokenNotRenewed(Check):
    """A warning without a renewal, or a renewal that failed; and what came of it."""

    kind = "token_not_renewed"
    severity = "critical"
    title = Sentence("finding.token_not_renewed", "Token not renewed")
    types = frozenset({TOKEN_WILL_EXPIRE, TOKEN_RENEWED, CONNECTION_STATE_CHANGED, API_ERROR})
    evidence = Sentence(
        "finding.token_not_renewed.evidence",
        "token_will_expire without a renewal, login or logout after it; renewToken with a code; the TOKEN_EXPIRED that "
        "followed; and calls that failed with 6000121 since.",
    )
    threshold = Sentence(
        "finding.token_not_renewed.threshold",
        "A renewal that failed, or half a minute after the token was to end: warning. After TOKEN_EXPIRED: critical "
        "while the user is logged in nowhere because of it, warning while another device is logged in, info once the "
        "user has logged in again. Calls that fail since: critical.",
    )
    lifetime = Sentence(
        "finding.token_not_renewed.lifetime",
        "While the user is logged in nowhere because of it; otherwise until the last evidence is 30 minutes old.",
    )
    say = _SAY_SIGN_IN
    advice = (RENEW_ON_WARNING, _TOKEN, *_OF_CODE.values(), _UNREACHED, LOOK_UP_RENEWAL, LOG_IN_AGAIN)
    source = sources.TOKENS

    @classmethod
    def find(cls, life: Life) -> Finding | None:
        """The last token that was not renewed."""
        ending = next((one for one in reversed(endings(life)) if one.could_be_renewed), None)
        if ending is None:
            return None
        advice = _advice(ending)
        if ending.expired is None:
            calls = life.refused_after(TOKEN_WILL_EXPIRE)
            return cls.found_while_it_holds(
                life,
                _summary(life, ending),
                [*ending.events, *calls],
                say=cls.say() if calls else _SAY_SOON(),
                advice=[*advice, LOG_IN_AGAIN()] if calls else advice,
                severity="critical" if calls else "warning",
            )
        after = login_end.aftermath(life, ending.expired)
        return cls.found_while_it_holds(
            life,
            login_end.with_aftermath(_summary(life, ending), after),
            [*ending.events, *life.refused_after(sdk_words.TOKEN_EXPIRED)],
            is_lasting=after == "cut_off",
            say=SAY_AGAIN() if after == "again" else cls.say(),
            advice=[*advice, *login_end.to_log_in(after)],
            severity=login_end.SEVERITIES[after],
        )


def _advice(ending: TokenEnding) -> list[Text]:
    """What to change: let the app try it, or mend what made it fail."""
    if not ending.failed:
        return [RENEW_ON_WARNING()]
    code = code_of(ending.failed[-1])
    if code in error_codes.NETWORK:
        return [_UNREACHED()]
    return [_TOKEN(), _OF_CODE[code]()] if code in _OF_CODE else [LOOK_UP_RENEWAL()]


def _summary(life: Life, ending: TokenEnding) -> Text:
    who, span = user_name(life.user_id), duration(ending.left_us)
    if not ending.failed:
        return (TOKEN_NOT_RENEWED if ending.expired else TOKEN_WAS_TO_END)(who=who, span=span)
    last = ending.failed[-1].details
    code = error_codes.in_words(last.get("code"), last.get("message"))
    if ending.expired is None:
        return RENEWAL_FAILED_YET(who=who, code=code)
    return (
        RENEWAL_FAILED_UNWARNED(who=who, code=code)
        if ending.warned is None
        else RENEWAL_FAILED(who=who, span=span, code=code)
    )
