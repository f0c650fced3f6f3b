"""The rules of storms: one thing that happens to many users of an app at once is one alert.

A storm opens when enough users are in its window. It is over a window after its last growth, when few are left in the
window and most of its users are no longer affected.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, TypeVar

import msgspec

from sidecar.domain.alerts import alert as states
from sidecar.domain.alerts.alert import Alert, Subject
from sidecar.domain.alerts.opening import CommonThresholds
from sidecar.domain.alerts.rules.base_rule import Change, Rule, Scope
from sidecar.domain.alerts.watchlist import Crowd, Measure, Member, Traits
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
# How often a storm's row and text are brought up to date: the more users are to be counted, the less often.
_UPDATED_EVERY_US: Final = SECOND_US
_UPDATED_FOR_EACH_US: Final = 50


@dataclass(frozen=True, kw_only=True)
class StormThresholds(CommonThresholds):
    """How many users within the window, and what share of those online; the share below which it is calm again."""

    storm_window_us: int = MINUTE_US
    storm_users: int = 20
    storm_share: float = 0.05
    storm_share_down: float = 0.02


class Size(msgspec.Struct, frozen=True):
    """How many users are a storm, and at least what share; and the share below which it is calm again."""

    users: int
    share: float
    share_down: float

    def begins(self, users: int, share: float) -> bool:
        """Whether so many users within the window, and such a share, are a storm."""
        return users >= self.users and share >= self.share

    def is_calm(self, users: int, share: float) -> bool:
        """Whether so many users, and such a share, are no storm any more."""
        return users < max(1, self.users // 2) or share < self.share_down


Limits = TypeVar("Limits", bound=StormThresholds)


class StormRule(Rule[Limits]):
    """``sentence`` is its summary, ``sentence_of`` that with what most users have in common.

    ``affected`` counts the users of an app that are in the state in which the storm leaves them, None where it leaves
    them in none that lasts; ``others`` those of which its share is estimated, to whom it did not happen.
    """

    sentence: ClassVar[Sentence]
    sentence_of: ClassVar[Sentence]
    affected: ClassVar[Measure | None] = None
    others: ClassVar[Measure] = "online"

    def __init__(self, scope: Scope, limits: Limits) -> None:
        super().__init__(scope, limits)
        self._windows = scope.windows
        self._began_us = scope.began_us
        self._size = self.size(limits)

    @classmethod
    def is_on(cls, limits: Limits) -> bool:
        """Whether there is a window."""
        return limits.storm_window_us > 0 and super().is_on(limits)

    @classmethod
    def size(cls, limits: Limits) -> Size:
        """What makes it a storm."""
        return Size(limits.storm_users, limits.storm_share, limits.storm_share_down)

    @classmethod
    def summary(cls, users: int, window_us: int, share: float, common: Text | None) -> Text:
        """``50,000 users were kicked out within 1 min, 97% of those online; 96% on SDK 2.28.0``."""
        filled = {"count": f"{users:,}", "span": duration(window_us), "share": f"{share:.0%}"}
        return cls.sentence_of(**filled, common=common) if common else cls.sentence(**filled)

    def join(self, change: Change, code: int | None = None) -> None:
        """It happened to the event's user, with this error code."""
        if change.who is not None and not change.late:
            event = change.event
            traits = (event.platform, event.sdk_version, event.app_version)
            self._watch.member(self.kind, change.who, Member(change.now_us, traits, code=code))

    def in_common(self, app_id: int, since_us: int) -> Text | None:
        """What most of the users in the window since then have in common; None where it is nothing."""
        shared = common(self._windows.traits(self.kind, app_id, since_us))
        return joined(shared) if shared else None

    @classmethod
    def share(cls, users: int, crowd: Crowd) -> float:
        """What share ``users`` are of those to whom it could have happened."""
        return users / max(1, users + crowd.of(cls.others))

    def lasts(self, alert: Alert, users: int, crowd: Crowd, now_us: int) -> bool:
        """Whether at least half of its ``users`` are affected, and that is a storm still.

        It is not known which users those are, but how many were affected before, who may be still.
        """
        facts = alert.facts
        if self.affected is None or now_us >= facts["last_us"] + self._limits.resolve_after_us:
            return False
        # Storms of earlier versions have the fact by the name of the only measure that there was, or not at all.
        others = facts.get("others", facts.get("others_offline", 0))
        still = crowd.of(self.affected) - others
        return 2 * still >= users and not self._size.is_calm(still, self.share(still, crowd))

    def consider(self, app_id: int, at_most: int, now_us: int) -> None:
        """Opens a storm if one begins, or adds its new users to the record of the one that fires.

        Its window has ``at_most`` users: they are counted only if that is enough.
        """
        if at_most < self._size.users:
            return
        fires = self._firing.about(self.kind, Subject(app_id))
        if fires is not None:
            if joined := self._watch.members.get((self.kind, app_id)):
                self._windows.record(fires, joined, now_us)
            return
        crowd = self._windows.crowd(app_id)
        if not self._size.begins(at_most, self.share(at_most, crowd)):
            return
        since_us = now_us - self._limits.storm_window_us
        users = self._windows.count(self.kind, app_id, since_us)
        self._windows.counted(self.kind, app_id, users)
        if self._size.begins(users, self.share(users, crowd)):
            self._begin(app_id, users, crowd, now_us)

    def _begin(self, app_id: int, users: int, crowd: Crowd, now_us: int) -> None:
        window_us = self._limits.storm_window_us
        since_us = now_us - window_us
        share = self.share(users, crowd)
        traits = self.in_common(app_id, since_us)
        facts = {"users": users, "share": share, "since_us": since_us, "last_us": now_us}
        if self.affected is not None:
            own = self._windows.affected(self.kind, app_id, since_us, self.affected)
            facts["others"] = crowd.of(self.affected) - own
        opened = self.cause(Subject(app_id), now_us, now_us, self.summary(users, window_us, share, traits), facts=facts)
        if opened is None:
            return
        opened.count = users
        self._windows.begin(opened, since_us)
        if self.covers is None:
            return
        covered = self.covers.kinds
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
        facts = alert.facts
        newest_us = self._windows.newest_us(self.kind, alert.subject.app_id or 0)
        counted_us = facts.get("counted_us", facts["last_us"])
        again_us = counted_us + max(_UPDATED_EVERY_US, _UPDATED_FOR_EACH_US * facts["users"])
        has_joined = newest_us is not None and newest_us >= counted_us and now_us >= again_us
        is_settled = now_us >= max(facts["last_us"], self._began_us) + self._limits.storm_window_us
        if has_joined or is_settled:  # else no count is another than it was
            self._count(alert, now_us, has_joined=has_joined, is_settled=is_settled)
        covered = alert.suppressed_by == states.SUPPRESSED_STORM and alert.state == states.FIRING
        if covered and self._opening.covered_by(self.kind, alert.subject) is None:
            self._firing.unsuppress(alert, now_us)  # the storm that covered it is over

    def _count(self, alert: Alert, now_us: int, *, has_joined: bool, is_settled: bool) -> None:
        app_id, facts = alert.subject.app_id or 0, alert.facts
        crowd = self._windows.crowd(app_id)
        recent = self._windows.count(self.kind, app_id, now_us - self._limits.storm_window_us)
        users = facts["users"]
        if has_joined:
            users = max(users, self._windows.count(self.kind, app_id, self.since_us(alert)))
        calm = self._size.is_calm(recent, self.share(recent, crowd))
        calm = calm and not self.lasts(alert, users, crowd, now_us)
        if calm and is_settled:
            alert.count = users
            self._firing.resolve(alert, at_us=now_us, now_us=now_us, reason=CALM(told=alert.summary))
        elif has_joined and users == facts["users"]:
            alert.facts = facts | {"counted_us": now_us}
            self._firing.touch(alert, now_us)
        elif has_joined:
            peak = max(facts["share"], self.share(users, crowd))
            lasted_us = max(self._limits.storm_window_us, now_us - alert.started_at_us)
            traits = self.in_common(app_id, self.since_us(alert))
            alert.summary = self.summary(users, lasted_us, peak, traits)
            alert.count = users
            alert.facts = facts | {"users": users, "share": peak, "last_us": now_us, "counted_us": now_us}
            self._firing.touch(alert, now_us)

    def since_us(self, alert: Alert) -> int:
        """Since when a storm counts its users: a window before it began."""
        # One that an earlier version opened has no such fact.
        return int(alert.facts.get("since_us", alert.opened_at_us - self._limits.storm_window_us))

    def clock_set(self, alert: Alert, now_us: int, by_us: int) -> None:
        """The clock was set to ``now_us``: the times of the storm move with it."""
        moments = {name: at_us for name, at_us in alert.facts.items() if name.endswith("_us")}
        moments["since_us"] = self.since_us(alert)
        alert.facts = alert.facts | {name: at_us + by_us for name, at_us in moments.items()}
        self._firing.touch(alert, now_us)


def common(counts: Mapping[Traits, int]) -> list[Text]:
    """``96% on SDK 2.28.0``, ``91% on Android``: what most of them share."""
    total = sum(counts.values())
    shared: list[Text] = []
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
    return shared
