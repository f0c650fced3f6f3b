"""Applies events, time and what people do to the alerts, and plans messages; each in one transaction.

Everything but the constructor runs in the writer's thread. The rules keep their state in the tables alone, so that a
transaction that was rolled back needs no undoing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from random import Random
from typing import Final

import msgspec
import sqlalchemy as sa

from sidecar.alerting import due_alerts
from sidecar.alerting.payloads import message_body
from sidecar.alerting.policy import Gathered, Policy
from sidecar.alerting.tables import (
    alert_log,
    message_rows,
    notifications,
    rule_reads,
    silence_rows,
    storm_rows,
    user_watch_rows,
    watchlist_rows,
)
from sidecar.alerting.tables.alert_values import Message
from sidecar.alerting.unit_of_work import UnitOfWork
from sidecar.domain import app_ids
from sidecar.domain.alerts import alert as states
from sidecar.domain.alerts.alert import Alert
from sidecar.domain.alerts.message_plan import (
    ABOUT_FIRING,
    LONGEST_PAUSE_US,
    SETTLE_US,
    Caps,
    Grouping,
    Planned,
    Waiting,
)
from sidecar.domain.alerts.routing import Silence
from sidecar.domain.alerts.rule_set import ends_login, switches_of, touches_alerts
from sidecar.domain.alerts.rules import STORMS, is_storm
from sidecar.domain.alerts.rules.app_silent import AppSilent
from sidecar.domain.alerts.rules.backup_overdue import BackupOverdue
from sidecar.domain.alerts.rules.client_lost import ClientLost
from sidecar.domain.alerts.rules.edge_behind import EdgeBehind
from sidecar.domain.alerts.rules.export_stalled import ExportStalled
from sidecar.domain.alerts.rules.token_expiring import FORECAST, TokenExpiring
from sidecar.domain.app_ids import AppIds
from sidecar.domain.events import Event
from sidecar.domain.kick import Cause
from sidecar.domain.sdk_words import KICKED_OUT
from sidecar.domain.texts import Text
from sidecar.domain.units import MINUTE_US
from sidecar.store.access import pseudonyms
from sidecar.store.users import app_hours
from sidecar.store.values import Applied, Commit, Publishing
from sidecar.system.chance import CHANCE, random_uuid

__all__ = ["AT_ONCE", "AlertReaction", "Gathered", "Policy"]

# A tick resolves, opens or repeats about so many alerts in one transaction, so that no event waits long for it.
AT_ONCE: Final = 500
_STORMS: Final = tuple(STORMS)


class AlertReaction:
    """A :class:`sidecar.store.log.followers.Follower`, and the operations of people and of the dispatcher.

    ``began_us``: since when this process follows events; by default since the first call.
    """

    def __init__(self, policy: Policy, chance: Random = CHANCE, *, began_us: int | None = None) -> None:
        self.policy = policy
        self._chance = chance
        self._began_us = began_us
        # Up to where it was looked up whether lost users are back; None: from the first on.
        self._looked_up: tuple[int, int] | None = None
        # The parts that fail to deliver, as of the last tick. Never changed in place: it is read from another thread.
        self.stalled: Mapping[str, tuple[int | None, Text]] = {}

    def begin(self, connection: sa.Connection, now_us: int) -> None:
        """Brings what is watched in line with the settings and with who is offline. To be called at a start."""
        limits = self.policy.thresholds
        longest_us = limits.offline_too_long_us + limits.resolve_after_us
        watchlist_rows.begin(connection, switches_of(limits), now_us - longest_us)
        due_alerts.lapses_seen_us(connection, limits, now_us)

    def take_policy(self, connection: sa.Connection, policy: Policy, now_us: int) -> None:
        """Follows other settings from now on; as at a start."""
        self.policy = policy if policy.base else msgspec.structs.replace(policy, base=self.policy.base)
        self.begin(connection, now_us)

    # The follower.

    name = "rules"

    def follow(self, connection: sa.Connection, applied: Sequence[Applied], now_us: int) -> Commit | None:
        """See :class:`sidecar.store.log.followers.Follower`."""
        touching: list[Applied] = []
        alerting: list[Event] = []
        for one in applied:
            effect = one.effect
            if touches_alerts(one.event, effect.previous_status, effect.status):
                touching.append(one)
                alerting.append(one.event)
            elif effect.previous_status != effect.status:
                touching.append(one)
        return self._follow(connection, touching, alerting, now_us) if touching else None

    def _follow(
        self, connection: sa.Connection, applied: Sequence[Applied], alerting: Sequence[Event], now_us: int
    ) -> Commit | None:
        unit = self._unit(connection, now_us)
        unit.firing.fetch((event.app_id, event.user_id) for event in alerting if event.user_id is not None)
        caused = [event for event in alerting if ends_login(event)]
        causes = self._prepare(connection, unit, caused, now_us) if caused else {}
        for one in applied:
            event, effect = one.event, one.effect
            unit.rules.apply(
                event,
                one.position,
                now_us,
                before=effect.previous_status,
                status=effect.status,
                cause=causes.get(event.id),
            )
        unit.consider_storms()
        unit.settle()
        return unit.changes

    def _prepare(
        self, connection: sa.Connection, unit: UnitOfWork, caused: Sequence[Event], now_us: int
    ) -> dict[bytes, Cause]:
        """Reads at once what the rules need for events that open alerts. Gives the causes of those that are kicks."""
        unit.rules.expect(caused, now_us)
        kicks = [event for event in caused if event.connection_event == KICKED_OUT]
        users = {(event.app_id, event.user_id) for event in kicks if event.user_id is not None}
        if users and unit.watch.switches.kicks:
            since_us = now_us - self.policy.thresholds.ping_pong_window_us
            unit.watch.kicks = watchlist_rows.kicks_of(connection, users, since_us)
        return rule_reads.causes_of_kicks(connection, kicks)

    # Time.

    def tick(self, connection: sa.Connection, now_us: int, gathered: Gathered) -> Publishing[bool]:
        """Opens, resolves and repeats alerts by the time and by what was gathered. To be called every second.

        Whether more is due than was done: then it is to be called again at once, in another transaction.
        """
        unit = self._unit(connection, now_us)
        if self._pass_time(connection, unit, now_us):
            unit.settle()
            return Publishing(True, unit.changes)
        has_more = self._follow_storms(unit, now_us) | self._look_for_life(connection, unit, now_us)
        if gathered.tokens_ending is not None:
            firing = alert_log.apps_with(connection, TokenExpiring.kind, FORECAST)
            unit.rules.of(TokenExpiring).forecast(gathered.tokens_ending, firing, now_us)
        if (activity := gathered.activity) is not None:
            firing = alert_log.apps_with(connection, AppSilent.kind, "")
            unit.rules.of(AppSilent).follow(activity.missed_since_us, activity.sending, firing, now_us)
        self.stalled = gathered.stalled
        for part, (since_us, why) in gathered.stalled.items():
            unit.rules.of(ExportStalled).check(part, since_us, why, now_us)
        if gathered.backup is not None:
            unit.rules.of(BackupOverdue).check(gathered.backup, now_us)
        if gathered.edges is not None:
            behind = map(unit.firing.own, alert_log.firing_of_kinds(connection, (EdgeBehind.kind,)))
            unit.rules.of(EdgeBehind).check(gathered.edges, behind, now_us)
        unit.settle()
        if silence_rows.record_ends(connection, now_us):
            unit.end_silences(AT_ONCE)
        if self.policy.repeat_us:
            repeated = [unit.firing.own(one) for one in alert_log.to_repeat(connection, now_us, AT_ONCE)]
            for alert in repeated:
                unit.firing.repeat(alert, now_us + self.policy.repeat_us, now_us)
            has_more |= len(repeated) == AT_ONCE
        unit.settle()
        return Publishing(has_more, unit.changes)

    def _pass_time(self, connection: sa.Connection, unit: UnitOfWork, now_us: int) -> bool:
        """Resolves and opens the alerts that are due; whether more may be due."""
        limits = self.policy.thresholds
        due = [unit.firing.own(one) for one in alert_log.due(connection, now_us, AT_ONCE)]
        unit.rules.resolve_due(due, now_us)
        left = AT_ONCE - len(due)
        if not left or due_alerts.take_offline(unit, limits, now_us, left):
            return True
        settled = now_us >= self._since_us(now_us) + self.policy.grace_us
        if settled and due_alerts.take_lost(unit, limits, now_us, AT_ONCE):
            return True
        return due_alerts.open_held(unit, now_us, AT_ONCE)

    def _follow_storms(self, unit: UnitOfWork, now_us: int) -> bool:
        """Resolves and opens storms; whether more users have left the windows than were removed."""
        limits = self.policy.thresholds
        since_us = {}
        for alert in alert_log.firing_of_kinds(unit.connection, _STORMS):
            storm, rule = unit.firing.own(alert), unit.rules.storm(alert.kind)
            rule.follow(storm, now_us)
            if storm.state == states.FIRING:
                since_us[storm.kind, storm.subject.app_id] = rule.since_us(storm)
        has_more = False
        for window in unit.windows.all():
            unit.rules.storm(window.storm).consider(window.app_id, window.users_at_most, now_us)
            until_us = since_us.get((window.storm, window.app_id), now_us - limits.storm_window_us)
            has_more |= unit.windows.sweep(window, until_us, AT_ONCE)
        watchlist_rows.sweep_kicks(unit.connection, now_us - limits.ping_pong_window_us)
        return has_more

    def _look_for_life(self, connection: sa.Connection, unit: UnitOfWork, now_us: int) -> bool:
        """Resolves alerts about lost users that are back, some of them each second; whether more are due."""
        found, self._looked_up = rule_reads.with_lease_again(connection, ClientLost.kind, self._looked_up, AT_ONCE)
        unit.rules.of(ClientLost).found(found, now_us)
        return len(found) == AT_ONCE

    def clock_set(self, connection: sa.Connection, now_us: int, by_us: int) -> Commit:
        """The machine's clock was set by ``by_us``, to ``now_us``: deadlines move with it."""
        unit = self._unit(connection, now_us)
        for tables in (alert_log, notifications, message_rows, silence_rows, watchlist_rows, user_watch_rows):
            tables.clock_set(connection, by_us)
        before_us = now_us - by_us
        message_rows.clock_set_since(connection, by_us, before_us - self._counted_us, before_us)
        for alert in alert_log.firing_of_kinds(connection, _STORMS):
            unit.rules.storm(alert.kind).clock_set(unit.firing.own(alert), now_us, by_us)
        unit.settle()
        app_hours.clock_set(connection, now_us)
        # Idempotent: a transaction that was rolled back is tried again.
        self._began_us = min(self._since_us(now_us), now_us)
        return Commit(alert_log=True)

    def next_due_us(self, connection: sa.Connection, now_us: int) -> int | None:
        """When something is due next by time alone."""
        limits = self.policy.thresholds
        offline_us = watchlist_rows.next_offline_us(connection)
        moments = [
            alert_log.next_due_us(connection),
            silence_rows.next_end_us(connection),
            None if offline_us is None else offline_us + limits.offline_too_long_us,
            storm_rows.next_release_us(connection),
        ]
        windows = storm_rows.Windows(connection)
        for storm in alert_log.firing_of_kinds(connection, _STORMS):
            began_us = now_us - limits.storm_window_us
            leaves_us = windows.next_leaves_us(storm.kind, storm.subject.app_id or 0, began_us)
            settled_us = storm.facts["last_us"] + limits.storm_window_us
            too_long_us = storm.facts["last_us"] + limits.resolve_after_us
            if leaves_us is not None:
                moments.append(leaves_us + limits.storm_window_us)
            else:
                moments.append(settled_us if settled_us > now_us else too_long_us)
        return min((moment for moment in moments if moment is not None), default=None)

    # People.

    def acknowledge(
        self, connection: sa.Connection, alert_id: int, who: str, now_us: int, apps: AppIds = None
    ) -> Publishing[Alert | None]:
        """The alert, acknowledged if it fires; None where there is none of these apps."""
        alert = alert_log.one(connection, alert_id)
        if alert is None or not app_ids.has(apps, alert.subject.app_id):
            return Publishing(None, None)
        unit = self._unit(connection, now_us)
        if alert.state == states.FIRING:
            unit.firing.acknowledge(unit.firing.own(alert), who, now_us)
            unit.settle()
        return Publishing(alert, unit.changes)

    def silence(self, connection: sa.Connection, wanted: Silence) -> Publishing[Silence | None]:
        """Stores a silence: from now on it suppresses what it matches. None where too many have not ended."""
        if not silence_rows.has_room(connection):
            return Publishing(None, None)
        return Publishing(silence_rows.add(connection, wanted), Commit(alert_log=True))

    def end_silence(
        self, connection: sa.Connection, silence_id: int, now_us: int, apps: AppIds = None
    ) -> Publishing[bool]:
        """Ends a silence now, and notifies of what it hid and still fires; whether there was one."""
        if silence_rows.one(connection, silence_id, apps) is None:
            return Publishing(False, None)
        done = silence_rows.end(connection, silence_id, now_us)
        unit = self._unit(connection, now_us)
        silence_rows.record_ends(connection, now_us)
        unit.end_silences(AT_ONCE)
        return Publishing(done, unit.changes)

    # The dispatcher.

    def plan(self, connection: sa.Connection, receiver: str, now_us: int) -> Publishing[list[Message]]:
        """Creates messages from the notifications due to a receiver; suppressed ones are only recorded."""
        unit = self._unit(connection, now_us)
        due = notifications.waiting(connection, receiver, now_us)
        to_send = self._not_suppressed(connection, unit, due, now_us)
        settled = [one for one in to_send if one.what != "firing" or one.due_us + SETTLE_US <= now_us]
        digests = {one.answers for one in settled if one.digest and one.answers is not None}
        ended = notifications.ended_digests(connection, digests)
        # Where only messages are tried again, nothing is to be grouped.
        planned = self._grouping(connection, receiver, now_us).plan(settled, ended) if settled else []
        made = [self._message(connection, unit, receiver, one, now_us) for one in planned]
        unit.settle()
        return Publishing(made, unit.changes)

    def _grouping(self, connection: sa.Connection, receiver: str, now_us: int) -> Grouping:
        policy = self.policy
        caps = Caps(
            own=policy.receivers[receiver],
            overall=policy.most_per_minute,
            alone=policy.group_alone,
            interval_us=policy.group_interval_us,
        )
        lately = message_rows.counted(connection, now_us - self._counted_us, now_us + LONGEST_PAUSE_US)
        return Grouping(receiver, caps, lately, now_us)

    @property
    def _counted_us(self) -> int:
        """For how long limits count a message."""
        return max(MINUTE_US, self.policy.group_interval_us)

    def _not_suppressed(
        self, connection: sa.Connection, unit: UnitOfWork, due: Sequence[Waiting], now_us: int
    ) -> list[Waiting]:
        unsuppressed = {one.alert_id for one in due if one.fires and one.suppressed_by is None}
        silenced = silence_rows.silenced(connection, sorted(unsuppressed), now_us)
        for alert in silenced.values():
            unit.firing.suppress(unit.firing.own(alert), states.SUPPRESSED_SILENCED, now_us)
        to_send, suppressed = [], defaultdict(list)
        for one in due:
            reason = states.SUPPRESSED_SILENCED if one.alert_id in silenced else one.suppressed_by
            if one.what in ABOUT_FIRING and reason is not None:
                suppressed[reason].append(one.id)
            elif one.what == "repeat" and one.acknowledged:
                suppressed["acknowledged"].append(one.id)
            elif not one.firing_delivered:
                suppressed[notifications.NO_BEGINNING].append(one.id)
            else:
                to_send.append(one)
        for reason, ids in suppressed.items():
            notifications.suppress(connection, ids, reason)
        return to_send

    def _message(
        self, connection: sa.Connection, unit: UnitOfWork, receiver: str, planned: Planned, now_us: int
    ) -> Message:
        ids = sorted({one.alert_id for one in planned.notifications})
        alerts = [unit.firing.own(alert) for alert in alert_log.several(connection, ids)]
        body = message_body(
            planned.what,
            alerts,
            self.policy.base,
            self.policy.apps,
            planned.notifications[0].group,
            users=pseudonyms.naming(connection, self.policy.user_ids.get(receiver, "plain")),
            is_digest=planned.is_digest,
            now_us=now_us,
        )
        message = message_rows.create(
            connection,
            receiver,
            planned,
            public_id=f"msg_{random_uuid(self._chance).hex}",
            body=body,
            alerts=len(alerts),
            now_us=now_us,
        )
        for alert in alerts:
            unit.show(alert)
            if planned.what != "firing" or (alert.notified and alert.repeat_us is not None):
                continue
            repeat_us = None
            if alert.state == states.FIRING and alert.acknowledged_at_us is None and self.policy.repeat_us:
                # A storm is repeated when its window has passed, with the final number of users.
                pause = self.policy.thresholds.storm_window_us if is_storm(alert) else self.policy.repeat_us
                repeat_us = now_us + pause
            unit.firing.notified(alert, repeat_us, now_us)
        return message

    def send_again(self, connection: sa.Connection, message_id: int, now_us: int) -> Publishing[bool]:
        """Tries a dead message again; whether there was one, and its receiver is in the settings."""
        done = notifications.send_again(connection, message_id, self.policy.receivers.keys(), now_us)
        return Publishing(done, Commit(alert_log=True))

    def serve_at(self, url: str) -> None:
        """Sets where the dashboard is, unless the settings do."""
        if not self.policy.base:
            self.policy = msgspec.structs.replace(self.policy, base=url)

    # Inside.

    def _unit(self, connection: sa.Connection, now_us: int) -> UnitOfWork:
        return UnitOfWork(connection, self.policy, now_us, self._since_us(now_us))

    def _since_us(self, now_us: int) -> int:
        """Since when this process follows events."""
        if self._began_us is None:
            self._began_us = now_us
        return self._began_us
