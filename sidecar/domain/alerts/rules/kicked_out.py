"""``kicked_out``: a device of a user was logged out because of another login."""

from __future__ import annotations

from typing import Final

from sidecar.domain import sdk_words
from sidecar.domain.alerts.naming import device_of, user_name
from sidecar.domain.alerts.rules.base_rule import Change
from sidecar.domain.alerts.rules.login_ended import LOG_IN_AGAIN, LoginEnded
from sidecar.domain.events import Event
from sidecar.domain.kick import Cause
from sidecar.domain.sdk_version import is_before
from sidecar.domain.texts import Sentence, Text

KICKED_OUT: Final = Sentence("kicked_out", "%(who)s was kicked out on %(device)s")
KICKED_OUT_BY: Final = Sentence("kicked_out_by", "%(who)s was kicked out on %(device)s; the other device is %(other)s")
KICKED_OUT_ITSELF: Final = Sentence(
    "kicked_out_itself",
    "%(who)s was kicked out on %(device)s; this may be its own old connection (weak network; fixed in SDK 2.12.0)",
)
# From 2.12.0 on the SDK no longer takes a device's own old connection for another device: release notes of 2.12.0.
KICKED_OUT_ITSELF_STILL: Final = Sentence(
    "kicked_out_itself_still",
    "%(who)s was kicked out on %(device)s; this may be its own old connection (weak network)",
)
_MENDED: Final = (2, 12, 0)
_CHANGE_PASSWORD: Final = Sentence(
    "advice.change_password", "If the other device is not theirs, they should change their password."
)
UPDATE_SDK: Final = Sentence(
    "advice.update_sdk", "Update the app's ZIM SDK to 2.12.0 or newer; no other device need be involved."
)


class KickedOut(LoginEnded):
    """The summary names the other device where it is known."""

    kind = "kicked_out"
    severity = "critical"
    title = Sentence("kind.kicked_out", "Kicked out")
    advice = (
        LOG_IN_AGAIN,
        Sentence(
            "advice.ask_for_other_device",
            "Ask whether they have logged in on another device; if not, they should change their password.",
        ),
    )
    connection_event = sdk_words.KICKED_OUT

    @classmethod
    def advice_for(cls, summary: Text | None) -> tuple[Sentence, ...]:
        """By what the summary has of the other device."""
        sentence = None if summary is None else summary.sentence
        if sentence == KICKED_OUT_BY.id:
            return (LOG_IN_AGAIN, _CHANGE_PASSWORD)
        return (LOG_IN_AGAIN, UPDATE_SDK) if sentence == KICKED_OUT_ITSELF.id else cls.advice

    def summary(self, change: Change) -> Text:
        """With the device that logged in, or the guess that it was none, where there is one."""
        return kick_summary(change.event.user_id, change.event, change.cause or Cause())


def kick_summary(user_id: str | None, kick: Event, cause: Cause) -> Text:
    """Who was kicked out, where, and by what."""
    filled = {"who": user_name(user_id), "device": device_of(kick).text}
    if cause.login is not None:
        return KICKED_OUT_BY(**filled, other=device_of(cause.login).text)
    if not cause.may_be_itself:
        return KICKED_OUT(**filled)
    return (KICKED_OUT_ITSELF_STILL if kicks_itself_no_more(kick.sdk_version) else KICKED_OUT_ITSELF)(**filled)


def kicks_itself_no_more(sdk_version: str | None) -> bool:
    """Whether an SDK is known to have what mends that a device kicks itself."""
    return is_before(sdk_version, _MENDED) is False
