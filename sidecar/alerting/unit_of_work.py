"""The work of one transaction on alerts: what the rules decide, which receivers are notified, and what changed.

All state is read from the tables in this transaction, and written back by :meth:`UnitOfWork.settle`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property

import sqlalchemy as sa

from sidecar.alerting.policy import Policy
from sidecar.alerting.tables import (
    alert_log,
    notifications,
    silence_rows,
    storm_rows,
    user_watch_rows,
    watchlist_rows,
)
from sidecar.alerting.tables.alert_values import Message
from sidecar.alerting.tables.notifications import NewNotification
from sidecar.alerting.tables.storm_rows import Windows
from sidecar.domain.alerts import alert as states
from sidecar.domain.alerts.alert import Alert, Subject
from sidecar.domain.alerts.firing import Entry, Firing
from sidecar.domain.alerts.labels import WATCHED_BY
from sidecar.domain.alerts.opening import FOR_WATCH
from sidecar.domain.alerts.routing import Silences, receivers_for
from sidecar.domain.alerts.rule_set import RuleSet, switches_of
from sidecar.domain.alerts.user_watches import UserWatches
from sidecar.domain.alerts.watchlist import Watch
from sidecar.store.values import Commit


class UnitOfWork:
    """``began_us``: since when this process follows events."""

    def __init__(self, connection: sa.Connection, policy: Policy, now_us: int, began_us: int) -> None:
        self.connection = connection
        self._policy = policy
        self._now_us = now_us
        limits = policy.thresholds
        # One more than makes an alert flap: further ones change nothing.
        self.firing = Firing(alert_log.AlertLog(connection, limits.flap_count + 1))
        self.watch = Watch(switches_of(limits))
        self.windows = Windows(connection)
        self.watches = UserWatches(lambda: user_watch_rows.lasting(connection, now_us))
        self.rules = RuleSet(self.firing, limits, self.watch, self.windows, began_us, watches=self.watches)
        # What changed: alerts by their ids, with what each is about; and whether anything else did.
        self._changed: dict[int, Subject] = {}
        self.alert_log_changed = False

    @property
    def changes(self) -> Commit | None:
        """What changed of what is shown; None where nothing did."""
        return commit_of(self._changed, alert_log=self.alert_log_changed)

    def consider_storms(self) -> None:
        """Writes what is watched, and opens the storms that the new users in the windows begin."""
        watchlist_rows.write(self.connection, self.watch)
        for window in storm_rows.join(self.connection, self.watch.members, self._now_us):
            self.rules.storm(window.storm).consider(window.app_id, window.users_at_most, self._now_us)
        self.watch.clear()

    def settle(self) -> None:
        """Writes what changed, and enqueues the notifications of it."""
        if self.watch.alerted or self.watch.offline:
            watchlist_rows.write(self.connection, self.watch)
            self.watch.clear()
        changed, entries = self.firing.drain()
        new: list[NewNotification] = []
        for entry in entries:
            new += self._notifications(entry, new)
        notifications.enqueue(self.connection, new)
        alert_log.write(self.connection, changed, entries)
        self._changed.update((alert.id, alert.subject) for alert in changed)

    def show(self, alert: Alert) -> None:
        """Something changed that is shown with the alert."""
        self._changed[alert.id] = alert.subject

    # Silences.

    @cached_property
    def silences(self) -> Silences:
        """The silences that have not ended."""
        return Silences(silence_rows.not_ended(self.connection, self._now_us))

    def is_silenced(self, alert: Alert) -> bool:
        """Whether a silence hides the alert now."""
        return self.silences.hide(alert, self._now_us)

    def end_silences(self, at_once: int) -> None:
        """Silences have ended: notifies of what they hid and still fires."""
        self.alert_log_changed = True
        silenced = alert_log.firing_suppressed(self.connection, states.SUPPRESSED_SILENCED)
        for start in range(0, len(silenced), at_once):
            some = alert_log.by_ids(self.connection, silenced[start : start + at_once])
            for alert in map(self.firing.own, some):
                if alert.suppressed_by == states.SUPPRESSED_SILENCED and not self.is_silenced(alert):
                    self.firing.unsuppress(alert, self._now_us)
            self.settle()

    # Notifications.

    def _notifications(self, entry: Entry, before: list[NewNotification]) -> list[NewNotification]:
        alert = entry.alert
        due_us = self._now_us
        again = set()
        if entry.what in {"opened", "unheld", "again"}:
            if alert.suppressed_by is None and self.is_silenced(alert):
                alert.suppressed_by = states.SUPPRESSED_SILENCED
            if alert.suppressed_by is not None:
                return []
            names = self._receivers(alert)
            alert.routed = alert.routed or bool(names)
            what = "firing"
            if WATCHED_BY not in alert.labels:
                due_us += self._policy.group_wait_us
            if entry.what == "again":
                notifications.enqueue(self.connection, before)
                before.clear()
                again = set(notifications.notified_receivers(self.connection, alert.id))
        elif entry.what in {"resolved", "acknowledged", "repeat"} and alert.routed:
            notifications.enqueue(self.connection, before)
            before.clear()
            if entry.what == "resolved":
                notifications.withdraw(self.connection, alert.id, self._now_us)
            what = entry.what
            names = tuple(
                name
                for name in notifications.notified_receivers(self.connection, alert.id)
                if name in self._policy.receivers
                and (what != "acknowledged" or name in self._policy.takes_acknowledgements)
            )
        else:
            return []
        group = " ".join(f"{name}={alert.matched.get(name, '')}" for name in self._policy.group_by)
        return [NewNotification(alert.id, name, "repeat" if name in again else what, group, due_us) for name in names]

    def _receivers(self, alert: Alert) -> tuple[str, ...]:
        """Those of the routes, and of those who watch the user; of an alert for these alone, only theirs."""
        of_watches = tuple(
            dict.fromkeys(
                one.receiver for one in self.watches.of(alert.subject) if one.receiver in self._policy.receivers
            )
        )
        if of_watches and alert.facts.get(FOR_WATCH):
            return of_watches
        routed = receivers_for(alert, self._policy.routes, tuple(self._policy.receivers), self._now_us)
        return tuple(dict.fromkeys((*routed, *of_watches)))


def changes_of(messages: Iterable[Message]) -> Commit | None:
    """The alerts with which these messages, which changed, are shown."""
    messages = list(messages)
    about = {
        one.alert_id: Subject(one.body["alert"]["app_id"], one.body["alert"]["user_id"])
        for one in messages
        if one.alert_id is not None
    }
    return commit_of(about, alert_log=bool(messages))


def commit_of(about: Mapping[int, Subject], *, alert_log: bool) -> Commit | None:
    """The commit of changed alerts, by id with what each is about; None where nothing changed."""
    if not about and not alert_log:
        return None
    users = {(one.app_id, one.user_id): None for one in about.values()}
    alerted = tuple((app_id, user_id) for app_id, user_id in users if app_id is not None and user_id is not None)
    return Commit(alerts=tuple(sorted(about)), alerted=alerted, alert_log=alert_log)
