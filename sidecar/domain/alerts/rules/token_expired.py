"""``token_expired``: a user was logged out because its token expired."""

from __future__ import annotations

from typing import Final

from sidecar.domain import error_codes, sdk_words
from sidecar.domain.alerts.naming import user_name
from sidecar.domain.alerts.rules.base_rule import Change
from sidecar.domain.alerts.rules.login_ended import LOG_IN_AGAIN, LoginEnded
from sidecar.domain.alerts.rules.token_expiring import take_warning
from sidecar.domain.texts import Sentence, Text, duration

TOKEN_EXPIRED: Final = Sentence("token_expired", "%(who)s: the token expired (no warning of it was reported)")
TOKEN_NOT_RENEWED: Final = Sentence(
    "token_not_renewed", "%(who)s: the token expired (warned %(span)s before, no renewToken call followed)"
)
RENEWAL_FAILED: Final = Sentence(
    "renewal_failed", "%(who)s: the token expired (warned %(span)s before, renewToken failed with %(code)s)"
)
RENEW_ON_WARNING: Final = Sentence(
    "advice.renew_on_warning", "Let the app call renewToken when onTokenWillExpire fires."
)
LOOK_UP_RENEWAL: Final = Sentence(
    "advice.look_up_renewal",
    "Look up the code of renewToken: after a failure get a new token from your server and pass that on, before the old "
    "one ends.",
)


class TokenExpired(LoginEnded):
    """The summary has what came of the SDK's warning. The client's ``token_expiring`` is over with it."""

    kind = "token_expired"
    severity = "critical"
    title = Sentence("kind.token_expired", "Token expired")
    advice = (LOG_IN_AGAIN, RENEW_ON_WARNING)
    connection_event = sdk_words.TOKEN_EXPIRED

    @classmethod
    def advice_for(cls, summary: Text | None) -> tuple[Sentence, ...]:
        """An app whose renewal failed did call renewToken."""
        failed = summary is not None and summary.sentence == RENEWAL_FAILED.id
        return (LOG_IN_AGAIN, LOOK_UP_RENEWAL) if failed else cls.advice

    def summary(self, change: Change) -> Text:
        """What is known of the warning."""
        name = user_name(change.event.user_id)
        warning = take_warning(self._firing, change)
        if warning is None:
            return TOKEN_EXPIRED(who=name)
        span = duration(warning["left_us"])
        if (code := warning.get("renewal_code")) is not None:
            return RENEWAL_FAILED(who=name, span=span, code=error_codes.in_words(code))
        return TOKEN_NOT_RENEWED(who=name, span=span)
