"""The rules of storms: when what befalls many users is one alert, and when it is calm again.

Of a kick storm it is calm when hardly anybody is kicked out any more; of a reconnect storm when most of those whom it
befell are back besides, because an outage is not over when there is nobody left to lose the connection.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from sidecar.domain.alerting import alert as states
from sidecar.domain.alerting import kinds, words
from sidecar.domain.alerting.alert import Alert, Subject
from sidecar.domain.alerting.book import UserId
from sidecar.domain.alerting.causes import Causes
from sidecar.domain.alerting.kinds import Kind
from sidecar.domain.alerting.offline import Offline
from sidecar.domain.alerting.storms import Member, Storm
from sidecar.domain.events import Event


class Crowd(msgspec.Struct, frozen=True):
    """How many users of an app are online, and offline with a sign of life."""

    online: int = 0
    offline: int = 0


Crowds = Callable[[int], Crowd]
"""Of an app, now."""

# How often a storm's row and words follow what goes on.
_TOLD_EVERY_US: Final = 1_000_000


class StormRules:
    """Used by :class:`sidecar.domain.alerting.rules.Rules`. ``began_us``: since when events are followed."""

    def __init__(self, causes: Causes, offline: Offline, began_us: int) -> None:
        self._causes = causes
        self._offline = offline
        self._book = causes.book
        self._limits = causes.limits
        self._began_us = began_us
        self._storms: dict[tuple[Kind, int], Storm] = {}
        # What the next events may begin or end: to which somebody was added, and what rages already.
        self._stirred: set[tuple[Kind, int]] = set()
        # One that fires already has no window: it was opened before a restart.
        for app_id, user_id, *_ in self._book.fires:
            if user_id is None:
                for kind in kinds.HELD_BY_STORM:
                    if self._book.does_fire(kind, Subject(app_id)):
                        self.of(kind, app_id or 0)

    def of(self, kind: Kind, app_id: int) -> Storm:
        """The window of one kind and app."""
        storm = self._storms.get((kind, app_id))
        if storm is None:
            storm = self._storms[kind, app_id] = Storm(self._limits.storm_window_us)
        return storm

    def member(self, kind: Kind, who: UserId, event: Event, now_us: int) -> None:
        """It befell one more user."""
        member = Member(now_us, (event.platform, event.sdk_version, event.app_version))
        self.of(kind, who[0]).add(who[1], member)
        self._stirred.add((kind, who[0]))

    def weigh(self, now_us: int, crowds: Crowds, *, every: bool = False) -> None:
        """Whether what was added to the windows since the last time (with ``every``: or left them) makes a storm.

        And whether one that rages is over.
        """
        weighed = [*self._storms] if every else [*self._stirred]
        self._stirred.clear()
        for key in weighed:
            kind, app_id = key
            storm = self._storms[key]
            storm.forget_before(now_us)
            subject = Subject(app_id)
            found = self._book.about(kind, subject)
            if found is not None:
                self._stirred.add(key)
                storm.rage()
                self._goes_on(found, storm, crowds(app_id), now_us)
                continue
            storm.calm()
            if not len(storm):
                del self._storms[key]
            elif len(storm) >= self._limits.storm_users:
                crowd = crowds(app_id)
                if storm.share(crowd.online) >= self._limits.storm_share:
                    self._begins(kind, subject, storm, crowd, now_us)

    def _begins(self, kind: Kind, subject: Subject, storm: Storm, crowd: Crowd, now_us: int) -> None:
        share = storm.share(crowd.online)
        gone = sum((subject.app_id or 0, user_id) in self._offline for user_id in storm.users)
        summary = words.storm(kind, storm.total, self._limits.storm_window_us, share, storm.common())
        alert = self._causes.cause(
            kind,
            subject,
            now_us,
            now_us,
            summary,
            facts={"users": storm.total, "share": share, "last_us": now_us, "others_offline": crowd.offline - gone},
        )
        if alert is None:
            return
        storm.rage()
        self._stirred.add((kind, subject.app_id or 0))
        self._book.fetch((subject.app_id, user_id) for user_id in storm.users)
        for user_id in storm.users:
            for single in kinds.HELD_BY_STORM[kind]:
                found = self._book.of_user((subject.app_id or 0, user_id), single)
                if found is not None and found.held is None and not found.told:
                    self._book.hold(found, states.HELD_STORM, now_us)

    def _goes_on(self, alert: Alert, storm: Storm, crowd: Crowd, now_us: int) -> None:
        facts, share = alert.facts, storm.share(crowd.online)
        # After a restart the window is empty for a while: what was counted before is not forgotten.
        users = max(facts["users"], storm.total)
        calm = self._is_calm(len(storm), crowd) and not self._lasts(alert, users, crowd, now_us)
        settled_us = max(facts["last_us"], self._began_us) + self._limits.storm_window_us
        if calm and now_us >= settled_us:
            alert.count = users
            self._book.resolve(alert, at_us=now_us, now_us=now_us, reason=words.CALM(told=alert.summary))
        elif users > facts["users"] and now_us >= facts["last_us"] + _TOLD_EVERY_US:
            peak = max(facts["share"], share)
            lasted_us = max(self._limits.storm_window_us, now_us - alert.started_at_us)
            alert.summary = words.storm(alert.kind, users, lasted_us, peak, storm.common())
            alert.count = users
            alert.facts = facts | {"users": users, "share": peak, "last_us": now_us}
            self._book.touch(alert, now_us)

    def _is_calm(self, users: int, crowd: Crowd) -> bool:
        """Whether so many, of those online and of these, are no storm any more."""
        few = max(1, self._limits.storm_users // 2)
        return users < few or users / max(1, users + crowd.online) < self._limits.storm_share_down

    def _lasts(self, alert: Alert, users: int, crowd: Crowd, now_us: int) -> bool:
        """Whether at least half of the ``users`` that lost their connection are without one, and that is a storm still.

        It is not known who they are, but how many were offline before, who may be still.
        """
        too_long = now_us >= alert.facts["last_us"] + self._limits.resolve_after_us
        if alert.kind != kinds.RECONNECT_STORM or too_long:
            return False
        gone = crowd.offline - alert.facts.get("others_offline", 0)
        return 2 * gone >= users and not self._is_calm(gone, crowd)

    @property
    def next_due_us(self) -> int | None:
        """When a window will be smaller."""
        known = [storm.next_leaves_us for storm in self._storms.values()]
        return min((due for due in known if due is not None), default=None)
