"""``unregistered``: a user was unregistered from ZIM."""

from __future__ import annotations

from typing import Final

from sidecar.domain import sdk_words
from sidecar.domain.alerts.naming import user_name
from sidecar.domain.alerts.rules.base_rule import Change
from sidecar.domain.alerts.rules.login_ended import LOG_IN_AGAIN, LoginEnded
from sidecar.domain.texts import Sentence, Text

UNREGISTERED: Final = Sentence("unregistered", "%(who)s was unregistered from ZIM")


class Unregistered(LoginEnded):
    """The summary names the user."""

    kind = "unregistered"
    severity = "critical"
    title = Sentence("kind.unregistered", "Unregistered")
    advice = (Sentence("advice.find_unregistration", "Find out what unregistered the user."), LOG_IN_AGAIN)
    connection_event = sdk_words.UNREGISTERED

    def summary(self, change: Change) -> Text:
        """The user."""
        return UNREGISTERED(who=user_name(change.event.user_id))
