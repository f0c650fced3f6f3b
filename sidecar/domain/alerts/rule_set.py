"""All alert rules in one transaction. Pure: decides what events, time and what is watched open and resolve."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, TypeVar, cast

from sidecar.domain import events, sdk_words
from sidecar.domain.alerts.alert import Alert, Kind
from sidecar.domain.alerts.firing import Firing
from sidecar.domain.alerts.opening import Opening
from sidecar.domain.alerts.rules import DUE, KINDS, RULES, STORM_OF, STORMS
from sidecar.domain.alerts.rules.base_rule import TOO_LONG, Change, DueRule, Rule, Scope, subject_of
from sidecar.domain.alerts.rules.due_storm import DueStorm
from sidecar.domain.alerts.rules.kick_ping_pong import KickPingPong
from sidecar.domain.alerts.rules.login_ended import LoginEnded
from sidecar.domain.alerts.rules.offline_too_long import OfflineTooLong
from sidecar.domain.alerts.rules.storm_rule import StormRule
from sidecar.domain.alerts.thresholds import Thresholds
from sidecar.domain.alerts.user_watches import UserWatches
from sidecar.domain.alerts.watchlist import Switches, Watch, Windows
from sidecar.domain.events import Event
from sidecar.domain.kick import Cause
from sidecar.domain.status import OFFLINE, ONLINE, Status

# The types after which a user's status may be another.
_STATUS: Final = frozenset({events.CONNECTION_STATE_CHANGED, events.LOGOUT})
# Two maps, because a sender may name a connection event like a type.
_BY_TYPE: Final = {
    name: tuple(rule for rule in RULES if name in rule.triggers)
    for name in frozenset[str]().union(*(rule.triggers for rule in RULES))
}
_BY_CONNECTION_EVENT: Final = {
    name: tuple(rule for rule in RULES if name in rule.connection_events)
    for name in frozenset[str]().union(*(rule.connection_events for rule in RULES))
}
# Most rules do not follow who is offline.
_ON_OFFLINE: Final = tuple(rule for rule in RULES if rule.on_offline is not Rule.on_offline)
_LEFT_OFFLINE: Final = tuple(rule for rule in RULES if rule.left_offline is not Rule.left_offline)
_LOGIN_ENDED: Final = {rule.connection_event: rule.kind for rule in RULES if issubclass(rule, LoginEnded)}
# What covers a whole app comes first: its reason counts.
_COVERS: Final = dict(
    sorted(
        ((rule.kind, rule.covers) for rule in RULES if rule.covers is not None), key=lambda one: not one[1].whole_app
    )
)

AnyRule = TypeVar("AnyRule", bound=Rule[Any])


def touches_alerts(event: Event, before: Status | None, status: Status | None) -> bool:
    """Whether the event may open or end an alert: only then are the firing alerts of its user read.

    ``before`` and ``status`` are its user's status before and after it.
    """
    if event.type not in _STATUS:
        return event.user_id is not None and any(rule.concerns(event) for rule in _BY_TYPE.get(event.type, ()))
    if event.connection_event in _BY_CONNECTION_EVENT:
        return True
    if event.user_id is None or status == OFFLINE:
        return False
    return before == OFFLINE or (status == ONLINE and event.connection_state == sdk_words.CONNECTED)


def ends_login(event: Event) -> bool:
    """Whether an alert opens because the event logged its user out."""
    return event.connection_event in _LOGIN_ENDED


def switches_of(limits: Thresholds) -> Switches:
    """What is to be watched under these thresholds."""
    return Switches(
        offline=OfflineTooLong.is_on(limits),
        kicks=KickPingPong.is_on(limits),
        storms=frozenset(kind for kind, rule in STORMS.items() if rule.is_on(limits)),
    )


class RuleSet:
    """One object of each rule that is used. ``began_us``: since when this process follows events."""

    def __init__(
        self,
        firing: Firing,
        limits: Thresholds,
        watch: Watch,
        windows: Windows,
        began_us: int,
        *,
        watches: UserWatches | None = None,
    ) -> None:
        self._firing = firing
        self._limits = limits
        self._opening = Opening(firing, limits, _COVERS, watches)
        self._scope = Scope(firing=firing, opening=self._opening, watch=watch, windows=windows, began_us=began_us)
        self._rules: dict[type[Rule[Any]], Rule[Any]] = {}

    def of(self, rule: type[AnyRule]) -> AnyRule:
        """The rule of this class."""
        found = self._rules.get(rule)
        if found is None:
            found = self._rules[rule] = rule(self._scope, self._limits)
        return cast("AnyRule", found)

    def storm(self, kind: Kind) -> StormRule[Any]:
        """The rule of a kind of storm."""
        return self.of(STORMS[kind])

    def due(self, single: Kind) -> DueRule[Any]:
        """The rule of a kind whose alerts open by time."""
        return self.of(DUE[single])

    def storm_of(self, single: Kind) -> DueStorm:
        """The rule of the storm of alerts of a kind that open by time."""
        return self.of(STORM_OF[single])

    def expect(self, ending_logins: Iterable[Event], now_us: int) -> None:
        """Reads at once what the opening of alerts by these events takes."""
        alerts = [(_LOGIN_ENDED[event.connection_event or ""], subject_of(event)) for event in ending_logins]
        self._opening.expect(alerts, now_us)

    def apply(
        self,
        event: Event,
        position: int,
        now_us: int,
        *,
        before: Status | None,
        status: Status | None,
        cause: Cause | None = None,
    ) -> None:
        """Takes one accepted event; ``cause`` is that of a kick. See :func:`touches_alerts`."""
        change = Change(
            event=event,
            position=position,
            now_us=now_us,
            before=before,
            status=status,
            late=event.received_at_us - event.moment_us > self._limits.max_age_us,
            ends_login=ends_login(event),
            cause=cause,
        )
        has_status = event.type in _STATUS
        if has_status:
            triggered = _BY_CONNECTION_EVENT.get(event.connection_event or "", ())
        else:
            by_type = () if event.user_id is None else _BY_TYPE.get(event.type, ())
            triggered = tuple(rule for rule in by_type if rule.concerns(event))
        for rule in triggered:
            self.of(rule).on_event(change)
        if event.user_id is None:
            return
        if change.went_offline:
            for rule in _ON_OFFLINE:
                self.of(rule).on_offline(change)
        elif change.left_offline:
            for rule in _LEFT_OFFLINE:
                self.of(rule).left_offline(change)
        if has_status and touches_alerts(event, before, status):
            self._resolve(change)

    def _resolve(self, change: Change) -> None:
        if change.who is None:
            return
        over = []
        for kind, alert in self._firing.about_user(change.who).items():
            rule = KINDS.get(kind)
            if rule is not None and (reason := self.of(rule).over_with(change)) is not None:
                over.append((alert, reason))
        for alert, reason in sorted(over, key=lambda one: one[0].id):
            self._firing.resolve(
                alert, at_us=change.at_us, now_us=change.now_us, reason=reason, position=change.position
            )

    def resolve_due(self, due: Iterable[Alert], now_us: int) -> None:
        """Resolves these alerts, which have reached their ``due_us``."""
        for alert in due:
            rule = KINDS.get(alert.kind)
            reason = TOO_LONG() if rule is None else self.of(rule).over_by_time(alert)
            self._firing.resolve(alert, at_us=alert.due_us or now_us, now_us=now_us, reason=reason)
