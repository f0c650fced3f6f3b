"""The rules of storms: one thing that happens to many users of an app at once is one alert.

A storm opens when enough users are in its window. It is over a window after its last growth, when few are left in the
window, unless :meth:`StormRule.lasts`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

from sidecar.domain.alerts import alert as states
from sidecar.domain.alerts.alert import Alert, Subject
from sidecar.domain.alerts.opening import CommonThresholds
from sidecar.domain.alerts.rules.base_rule import Change, Rule, Scope
from sidecar.domain.alerts.watchlist import Crowd, Member, Traits
from sidecar.domain.texts import Sentence, Text, duration, joined
from sidecar.domain.units import MINUTE_US, SECOND_US

# The placeholder's name is stored with each text.
CALM: Final = Sentence("calm", "it is calm again; %(told)s")
# What most users of a storm share.
SHARE: Final = Sentence("share", "%(share)s on %(name)s")
SHARE_OF_SDK: Final = Sentence("share_of_sdk", "%(share)s on SDK %(name)s")
SHARE_OF_APP: Final = Sentence("share_of_app", "%(share)s on app %(name)s")

_TRAITS: Final = ((SHARE_OF_SDK, 1), (SHARE_OF_APP, 2), (SHARE, 0))
# A trait that fewer than this share is not named.
_WORTH_NAMING: Final = 0.5
# How often a storm's row and text are brought up to date.
_UPDATED_EVERY_US: Final = SECOND_US


@dataclass(frozen=True, kw_only=True)
class StormThresholds(CommonThresholds):
    """How many users within the window, and what share of those online; the share below which it is calm again."""

    storm_window_us: int = MINUTE_US
    storm_users: int = 20
    storm_share: float = 0.05
    storm_share_down: float = 0.02


class StormRule(Rule[StormThresholds]):
    """``sentence`` is its summary, ``sentence_of`` that with what most users have in common."""

    sentence: ClassVar[Sentence]
    sentence_of: ClassVar[Sentence]

    def __init__(self, scope: Scope, limits: StormThresholds) -> None:
        super().__init__(scope, limits)
        self._windows = scope.windows
        self._began_us = scope.began_us

    @classmethod
    def is_on(cls, limits: StormThresholds) -> bool:
        """Whether there is a window."""
        return limits.storm_window_us > 0 and super().is_on(limits)

    @classmethod
    def summary(cls, users: int, window_us: int, share: float, common: Text | None) -> Text:
        """``50,000 users were kicked out within 1 min, 97% of those online; 96% on SDK 2.28.0``."""
        filled = {"count": f"{users:,}", "span": duration(window_us), "share": f"{share:.0%}"}
        return cls.sentence_of(**filled, common=common) if common else cls.sentence(**filled)

    def join(self, change: Change) -> None:
        """It happened to the event's user."""
        if change.who is not None and not change.late:
            event = change.event
            traits = (event.platform, event.sdk_version, event.app_version)
            self._watch.member(self.kind, change.who, Member(change.now_us, traits))

    def lasts(self, alert: Alert, users: int, crowd: Crowd, now_us: int) -> bool:  # noqa: ARG002 - for those that override it
        """Whether the storm lasts although few are left in its window."""
        return False

    def consider(self, app_id: int, at_most: int, now_us: int) -> None:
        """Opens a storm if one begins. Its window has ``at_most`` users: they are counted only if that is enough."""
        if at_most < self._limits.storm_users:
            return
        crowd = self._windows.crowd(app_id)
        if not begins(at_most, crowd, self._limits) or self._firing.about(self.kind, Subject(app_id)) is not None:
            return
        since_us = now_us - self._limits.storm_window_us
        users = self._windows.count(self.kind, app_id, since_us)
        self._windows.counted(self.kind, app_id, users)
        if begins(users, crowd, self._limits):
            self._begin(app_id, users, crowd, now_us)

    def _begin(self, app_id: int, users: int, crowd: Crowd, now_us: int) -> None:
        window_us = self._limits.storm_window_us
        since_us = now_us - window_us
        share = crowd.share(users)
        traits = common(self._windows.traits(self.kind, app_id, since_us))
        others = crowd.offline - self._windows.gone(self.kind, app_id, since_us)
        opened = self.cause(
            Subject(app_id),
            now_us,
            now_us,
            self.summary(users, window_us, share, traits),
            facts={"users": users, "share": share, "since_us": since_us, "last_us": now_us, "others_offline": others},
        )
        if opened is None:
            return
        covered = self.covers.kinds if self.covers else frozenset()
        stored = self._windows.singles(self.kind, app_id, since_us, covered)
        # Those that this transaction opened are not in the database yet.
        singles = [*self._firing.changed, *map(self._firing.own, stored)]
        for single in singles:
            if (
                single.kind in covered
                and single.subject.app_id == app_id
                and single.state == states.FIRING
                and single.suppressed_by is None
                and not single.notified
            ):
                self._firing.suppress(single, states.SUPPRESSED_STORM, now_us)

    def follow(self, alert: Alert, now_us: int) -> None:
        """Resolves a storm that is over, or updates its row and text. To be called about once a second."""
        app_id, facts = alert.subject.app_id or 0, alert.facts
        crowd = self._windows.crowd(app_id)
        recent = self._windows.count(self.kind, app_id, now_us - self._limits.storm_window_us)
        users = max(facts["users"], self._windows.count(self.kind, app_id, self.since_us(alert)))
        calm = is_calm(recent, crowd, self._limits) and not self.lasts(alert, users, crowd, now_us)
        settled_us = max(facts["last_us"], self._began_us) + self._limits.storm_window_us
        if calm and now_us >= settled_us:
            alert.count = users
            self._firing.resolve(alert, at_us=now_us, now_us=now_us, reason=CALM(told=alert.summary))
        elif users > facts["users"] and now_us >= facts["last_us"] + _UPDATED_EVERY_US:
            peak = max(facts["share"], crowd.share(recent))
            lasted_us = max(self._limits.storm_window_us, now_us - alert.started_at_us)
            traits = common(self._windows.traits(self.kind, app_id, self.since_us(alert)))
            alert.summary = self.summary(users, lasted_us, peak, traits)
            alert.count = users
            alert.facts = facts | {"users": users, "share": peak, "last_us": now_us}
            self._firing.touch(alert, now_us)

    def since_us(self, alert: Alert) -> int:
        """Since when a storm counts its users: a window before it began."""
        # One that an earlier version opened has no such fact.
        return int(alert.facts.get("since_us", alert.opened_at_us - self._limits.storm_window_us))

    def clock_set(self, alert: Alert, now_us: int, by_us: int) -> None:
        """The clock was set to ``now_us``: the times of the storm move with it."""
        moved = {"last_us": alert.facts["last_us"] + by_us, "since_us": self.since_us(alert) + by_us}
        alert.facts = alert.facts | moved
        self._firing.touch(alert, now_us)


def begins(users: int, crowd: Crowd, limits: StormThresholds) -> bool:
    """Whether so many users within the window are a storm."""
    return users >= limits.storm_users and crowd.share(users) >= limits.storm_share


def is_calm(users: int, crowd: Crowd, limits: StormThresholds) -> bool:
    """Whether so many users are no storm any more."""
    return users < max(1, limits.storm_users // 2) or crowd.share(users) < limits.storm_share_down


def common(counts: Mapping[Traits, int]) -> Text | None:
    """``96% on SDK 2.28.0, 91% on Android``: what most of them share; None where it is nothing."""
    total = sum(counts.values())
    shared = []
    for sentence, place in _TRAITS:
        of_kind: Counter[str] = Counter()
        for traits, count in counts.items():
            if value := traits[place]:
                of_kind[value] += count
        if not of_kind:
            continue
        ((value, count),) = of_kind.most_common(1)
        share = count / total
        if share > _WORTH_NAMING:
            shared.append(sentence(share=f"{share:.0%}", name=value))
    return joined(shared) if shared else None
