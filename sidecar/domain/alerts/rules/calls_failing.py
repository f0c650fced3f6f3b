"""``calls_failing``: calls of many users of an app are refused at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sidecar.domain import error_codes, events
from sidecar.domain.alerts.alert import Alert
from sidecar.domain.alerts.naming import user_name
from sidecar.domain.alerts.rules.base_rule import Change
from sidecar.domain.alerts.rules.storm_rule import Size, StormRule, StormThresholds
from sidecar.domain.alerts.watchlist import Crowd
from sidecar.domain.events import Event
from sidecar.domain.texts import Sentence, Text, duration, joined
from sidecar.domain.units import MINUTE_US

CALLS_FAILING: Final = Sentence(
    "calls_failing", "Calls of %(count)s users failed within %(span)s, %(share)s of those logged in"
)
CALLS_FAILING_OF: Final = Sentence(
    "calls_failing_of", "Calls of %(count)s users failed within %(span)s, %(share)s of those logged in; %(common)s"
)
CALL_FAILED: Final = Sentence("watched_call_failed", "%(who)s: %(call)s failed with %(code)s")
NO_MORE_FAILURES: Final = Sentence("no_more_failures", "no call failed for %(span)s")
SHARE_WITH: Final = Sentence("share_with", "%(share)s with %(name)s")
# Of two shares, the one below which it is calm again is this part of the other.
_DOWN: Final = 0.4
# An alert about a user that is watched is over after so long without another failure.
_CALM_AFTER_US: Final = 30 * MINUTE_US


@dataclass(frozen=True, kw_only=True)
class FailingThresholds(StormThresholds):
    """How many users whose calls fail within the window of storms, and what share of those logged in.

    Few of those who are logged in call anything within a window, so this share is smaller than that of storms.
    """

    calls_failing_users: int = 20
    calls_failing_share: float = 0.01


class CallsFailing(StormRule[FailingThresholds]):
    """Over when hardly anybody's calls fail any more. A single user's failed calls are a finding, and no alert.

    About a user that is watched it is one: each failed call, and each refused login. Calls that are refused because the
    plan's users are used up are those of ``plan_limit``.
    """

    kind = "calls_failing"
    severity = "critical"
    title = Sentence("kind.calls_failing", "Calls of many users fail")
    advice = (
        Sentence(
            "advice.look_up_codes",
            "Look the code up: 6000104 is the network, 6000105 a connection that no longer answers, 6000121 a call "
            "without a login.",
        ),
        Sentence("advice.check_last_release", "Look at the last release of the app, and at ZIM's status."),
    )
    triggers = frozenset({events.API_ERROR, events.LOGIN_RESULT})
    sentence = CALLS_FAILING
    sentence_of = CALLS_FAILING_OF

    @classmethod
    def size(cls, limits: FailingThresholds) -> Size:
        """By thresholds of its own."""
        share = limits.calls_failing_share
        return Size(limits.calls_failing_users, share, share * _DOWN)

    @classmethod
    def advice_for(cls, summary: Text | None) -> tuple[Sentence, ...]:
        """Of one user the release is rarely the cause."""
        is_single = summary is not None and summary.sentence == CALL_FAILED.id
        return cls.advice[:1] if is_single else cls.advice

    @classmethod
    def concerns(cls, event: Event) -> bool:
        """Whether something failed."""
        return event.type == events.API_ERROR or bool(event.details.get("code"))

    @classmethod
    def share(cls, users: int, crowd: Crowd) -> float:
        """Of those who are logged in: a call that fails ends no login."""
        return users / max(1, users, crowd.online + crowd.offline)

    def on_event(self, change: Change) -> None:
        """A call or a login that failed."""
        event = change.event
        code = event.details.get("code")
        if event.type == events.API_ERROR and code not in error_codes.PLAN_USED_UP:
            self.join(change, code=code)
        if self._opening.is_watched(change.subject):
            call = "login" if event.type == events.LOGIN_RESULT else event.details.get("method") or ""
            told = error_codes.in_words(code, event.details.get("message"))
            self.cause(
                change.subject,
                change.at_us,
                change.now_us,
                CALL_FAILED(who=user_name(event.user_id), call=call, code=told),
                severity="warning",
                labels=change.labels,
                position=change.position,
                due_us=change.now_us + _CALM_AFTER_US,
                late=change.late,
                for_watch=True,
            )

    def over_by_time(self, alert: Alert) -> Text:  # noqa: ARG002 - as the base has it
        """No call of a watched user failed for a while."""
        return NO_MORE_FAILURES(span=duration(_CALM_AFTER_US))

    def in_common(self, app_id: int, since_us: int) -> Text | None:
        """The commonest code in words, and what else they share."""
        counts = self._windows.codes(self.kind, app_id, since_us)
        shared = super().in_common(app_id, since_us)
        if not counts:
            return shared
        code, count = max(counts.items(), key=lambda one: (one[1], -one[0]))
        told = SHARE_WITH(share=f"{count / sum(counts.values()):.0%}", name=error_codes.in_words(code))
        return joined([told, shared] if shared else [told])
