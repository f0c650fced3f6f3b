"""The rules of storms of alerts that open by time, not by an event.

A user about whom such an alert is due joins the window first. Its own alert is *held*: it opens on a later tick, once
it is clear that no storm begins, so that many that are due together are one alert. In a storm none of them opens: its
record has the users.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from sidecar.domain.alerts.alert import Kind, Subject
from sidecar.domain.alerts.rules.storm_rule import StormRule, StormThresholds
from sidecar.domain.alerts.watchlist import Due, Member


class DueStorm(StormRule[StormThresholds]):
    """``single`` is the kind of the users' own alerts; ``counted_by`` are storms that have the same users already."""

    single: ClassVar[Kind]
    counted_by: ClassVar[frozenset[Kind]] = frozenset()

    def take(self, due: Sequence[Due], now_us: int) -> list[Due]:
        """Takes these users into the window; returns those of them whose own alerts open now."""
        if not self.is_on(self._limits):
            return list(due)
        single_is_on = self.single not in self._limits.off
        counted: dict[int, bool] = {}
        held: dict[int, bool] = {}
        opening = []
        for one in due:
            app_id = one.who[0]
            if app_id not in counted:
                app = Subject(app_id)
                counted[app_id] = any(self._firing.about(kind, app) is not None for kind in self.counted_by)
                held[app_id] = single_is_on and self._firing.about(self.kind, app) is None
            is_watched = self._opening.is_watched(Subject(*one.who))
            if one.late or counted[app_id] or is_watched:
                opening.append(one)
            if not one.late and not counted[app_id]:
                member = Member(now_us, one.traits, held=held[app_id] and not is_watched)
                self._watch.member(self.kind, one.who, member)
        return opening

    def held_before_us(self, at_most: int, now_us: int) -> int:
        """The alerts of users that joined before this moment are held no longer.

        A window that may have enough users for a storm, where only their share is missing, holds them for its length.
        """
        return now_us - self._limits.storm_window_us if at_most >= self._size.users else now_us
