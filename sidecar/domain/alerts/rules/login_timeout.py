"""``login_timeout``: a login got no answer in time."""

from __future__ import annotations

from typing import Final

from sidecar.domain import sdk_words
from sidecar.domain.alerts.naming import device_of, user_name
from sidecar.domain.alerts.rules.base_rule import Change
from sidecar.domain.alerts.rules.login_ended import LOG_IN_AGAIN, LoginEnded
from sidecar.domain.texts import Sentence, Text

LOGIN_TIMEOUT: Final = Sentence("login_timeout", "%(who)s: the login timed out on %(device)s")


class LoginTimeout(LoginEnded):
    """The summary names the device."""

    kind = "login_timeout"
    severity = "warning"
    title = Sentence("kind.login_timeout", "Login timed out")
    advice = (Sentence("advice.check_network", "Look at the network between the user and ZIM."), LOG_IN_AGAIN)
    connection_event = sdk_words.LOGIN_TIMEOUT

    def summary(self, change: Change) -> Text:
        """The user and the device."""
        return LOGIN_TIMEOUT(who=user_name(change.event.user_id), device=device_of(change.event).text)
