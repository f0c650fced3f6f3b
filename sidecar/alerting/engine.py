"""Where rules and tables meet: what events and people do to alerts, and whom they are told, in one transaction each.

Everything but the constructor runs in the writer's thread. The tables are the truth: what is held in memory is read
from them anew after a transaction that was not kept.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec
import sqlalchemy as sa
import structlog

from sidecar.alerting.views import message_body
from sidecar.domain.alerting import alert as states
from sidecar.domain.alerting import kinds
from sidecar.domain.alerting.alert import Alert, Subject
from sidecar.domain.alerting.book import About, Book, Entry
from sidecar.domain.alerting.grouping import SETTLE_US, Budget, Grouping, Planned, Waiting
from sidecar.domain.alerting.matching import Route, Silence, receivers_for
from sidecar.domain.alerting.rules import Rules
from sidecar.domain.alerting.storms import Member
from sidecar.domain.alerting.thresholds import Thresholds
from sidecar.domain.alerting.token_rules import Ending
from sidecar.domain.connection import KICKED_OUT
from sidecar.domain.status import OFFLINE
from sidecar.store import alert_log, notifications
from sidecar.store.alert_records import Message
from sidecar.store.notifications import Owed
from sidecar.store.reactions import Applied, Reacted, savepoint

_log = structlog.stdlib.get_logger(__name__)

_STORMS: Final = frozenset(kinds.HELD_BY_STORM)
# A tick ends, opens or repeats no more alerts than about this in one transaction, so that no event waits long for it.
AT_ONCE: Final = 500


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """Whom to call, and how often. ``receivers``: each one's most messages a minute; ``base``: the dashboard's URL.

    ``grace_us``: how long after a start silence says nothing, because senders wait before they try again.
    """

    thresholds: Thresholds = Thresholds()
    receivers: dict[str, int] = {}
    takes_acknowledgements: frozenset[str] = frozenset()
    routes: tuple[Route, ...] = ()
    group_by: tuple[str, ...] = ("kind", "app_id")
    group_wait_us: int = 0
    group_interval_us: int = 30_000_000
    group_alone: int = 5
    repeat_us: int = 0
    most_per_minute: int = 120
    grace_us: int = 45_000_000
    base: str = ""


class Gathered(msgspec.Struct, frozen=True, kw_only=True):
    """What was found out beside events since the last tick. ``stalled``: part → since when (None: works), and why."""

    tokens_ending: Mapping[int, Ending] | None = None
    stalled: Mapping[str, tuple[int | None, str]] = {}


class Engine:
    """A :class:`sidecar.store.reactions.Reaction`, and what people and the dispatcher do."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._rules: Rules | None = None
        self._silences: list[Silence] = []
        self._silences_end_us: int | None = None
        # What changed since the last commit: alerts by their ids, with what each is about; and whether anything else.
        self._touched: dict[int, Subject] = {}
        self._ledger_touched = False
        overall = Budget(policy.most_per_minute)
        self._grouping = {
            name: Grouping(
                alone=policy.group_alone, interval_us=policy.group_interval_us, own=Budget(most), overall=overall
            )
            for name, most in policy.receivers.items()
        }
        self._leases_seen_us: int | None = None
        # What does not deliver, as of the last tick. Never changed in place: it is read from another thread.
        self.stalled: Mapping[str, tuple[int | None, str]] = {}

    # The reaction.

    def react(self, connection: sa.Connection, applied: Sequence[Applied], now_us: int) -> None:
        """Never keeps an event from being accepted: an error of the rules is told in the log."""
        try:
            with savepoint(connection):
                rules = self._loaded(connection, now_us)
                kicked = [
                    (one.event.app_id, one.event.user_id, one.event.client_id)
                    for one in applied
                    if one.event.connection_event == KICKED_OUT and one.event.user_id is not None
                ]
                others = alert_log.other_devices(connection, kicked) if kicked else {}
                if rules.book.fires:
                    rules.book.fetch(_may_be_over(applied, rules.book))
                for one in applied:
                    event = one.event
                    other = others.get((event.app_id, event.user_id or "", event.client_id)) if others else None
                    rules.apply(event, one.position, one.effect.status, now_us, other)
                rules.storms.weigh(now_us, lambda app_id: alert_log.crowd(connection, app_id))
                self._settle(connection, now_us)
        except sa.exc.OperationalError:
            raise  # the disk or the file: nothing of this commit can be kept
        except Exception:  # noqa: BLE001 - same
            _log.exception("the alert rules failed; the events are kept, and alerts are read anew from the database")
            self.undone()

    def committed(self) -> Reacted | None:
        """What changed since the last commit."""
        touched, self._touched = self._touched, {}
        ledger, self._ledger_touched = self._ledger_touched, False
        if not touched and not ledger:
            return None
        users = {(one.app_id, one.user_id) for one in touched.values()}
        alerted = tuple((app_id, user_id) for app_id, user_id in users if app_id is not None and user_id is not None)
        return Reacted(tuple(sorted(touched)), alerted, ledger)

    def undone(self) -> None:
        """Forgets all that is held in memory."""
        self._rules = None
        self._leases_seen_us = None
        self._touched = {}
        self._ledger_touched = False

    # Time.

    def tick(self, connection: sa.Connection, now_us: int, gathered: Gathered) -> bool:
        """What time, and what was gathered, make of the alerts; call it every second.

        Whether there is more to do by now than was done: then call it again at once, in another transaction.
        """
        rules = self._loaded(connection, now_us)
        if rules.pass_time(now_us, lambda app_id: alert_log.crowd(connection, app_id), AT_ONCE):
            self._settle(connection, now_us)
            return True
        goes_on = self._look_for_life(connection, rules, now_us)
        if gathered.tokens_ending is not None:
            rules.tokens.expire_soon(gathered.tokens_ending, now_us)
        self.stalled = gathered.stalled
        for part, (since_us, why) in gathered.stalled.items():
            rules.stalled(part, since_us, why, now_us)
        if self._silences_end_us is not None and now_us >= self._silences_end_us:
            self._hear_again(connection, rules, now_us)
        if self.policy.repeat_us:
            for alert in rules.book.to_repeat(now_us, AT_ONCE):
                rules.book.repeat(alert, now_us + self.policy.repeat_us, now_us)
            repeat_us = rules.book.next_repeat_us
            goes_on |= repeat_us is not None and repeat_us <= now_us
        self._settle(connection, now_us)
        return goes_on

    def _look_for_life(self, connection: sa.Connection, rules: Rules, now_us: int) -> bool:
        """Whose lease has ended since the last look, and who of those lost before is heard of again.

        Whether there may be more of them than were looked at.
        """
        if self._leases_seen_us is None:
            # After a stop: what was told before, and what ran out long ago, is no news.
            oldest_us = now_us - self.policy.thresholds.max_age_us
            first_us = alert_log.newest_start_us(connection, kinds.CLIENT_LOST, oldest_us)
            self._leases_seen_us = alert_log.newest_lapse_us(connection, first_us)
        settled = now_us >= rules.began_us + self.policy.grace_us
        lost = alert_log.lost_users(connection, self._leases_seen_us, AT_ONCE) if settled else []
        if lost:
            rules.lost([(who, until_us) for who, until_us, _ in lost], now_us)
            self._leases_seen_us = max(lapsed_us for _, _, lapsed_us in lost)
        found = alert_log.heard_of(connection, kinds.CLIENT_LOST, AT_ONCE)
        rules.found(found, now_us)
        return len(lost) >= AT_ONCE or len(found) == AT_ONCE

    # People.

    def acknowledge(
        self, connection: sa.Connection, alert_id: int, who: str, now_us: int, app_id: int | None = None
    ) -> Alert | None:
        """The alert, acknowledged if it still fires; None where there is none (that a token of ``app_id`` may see)."""
        book = self._loaded(connection, now_us).book
        kept = alert_log.one(connection, alert_id)
        if kept is None or app_id not in {None, kept.subject.app_id}:
            return None
        alert = book.at_hand(kept)
        if alert.state == states.FIRING:
            book.acknowledge(alert, who, now_us)
            self._settle(connection, now_us)
        return alert

    def silence(self, connection: sa.Connection, wanted: Silence, now_us: int) -> Silence:
        """Keeps a silence; what it hides is not called for from now on."""
        self._loaded(connection, now_us)
        made = alert_log.add_silence(connection, wanted)
        self._ledger_touched = True
        self._read_silences(connection, now_us)
        return made

    def end_silence(self, connection: sa.Connection, silence_id: int, now_us: int, app_id: int | None = None) -> bool:
        """Ends it now, and calls for what it hid and still fires; whether there was one."""
        rules = self._loaded(connection, now_us)
        known = next((one for one in alert_log.silences(connection) if one.id == silence_id), None)
        if known is None or app_id not in {None, known.app_id}:
            return False
        done = alert_log.end_silence(connection, silence_id, now_us)
        self._read_silences(connection, now_us)
        self._hear_again(connection, rules, now_us)
        self._settle(connection, now_us)
        return done

    # The dispatcher.

    def plan(self, connection: sa.Connection, receiver: str, now_us: int) -> list[Message]:
        """Makes messages of the notifications that are due to a receiver; what nobody is called for is held."""
        rules = self._loaded(connection, now_us)
        due = notifications.waiting(connection, receiver, now_us)
        calls = self._not_held(connection, rules.book, due, now_us)
        settled = [one for one in calls if one.what != "firing" or one.due_us + SETTLE_US <= now_us]
        digests = {one.answers for one in settled if one.digest and one.answers is not None}
        ended = notifications.ended(connection, digests)
        made = [
            self._message(connection, rules.book, receiver, planned, now_us)
            for planned in self._grouping[receiver].plan(settled, ended, now_us)
        ]
        self._settle(connection, now_us)
        return made

    def _not_held(self, connection: sa.Connection, book: Book, due: Sequence[Waiting], now_us: int) -> list[Waiting]:
        told = {one.alert_id for one in due if one.fires and one.held is None}
        silenced = {
            alert.id: alert
            for silence in self._silences
            for alert in alert_log.hidden_by(connection, silence, told)
            if silence.hides(alert, now_us)
        }
        for alert in silenced.values():
            book.hold(book.at_hand(alert), states.HELD_SILENCED, now_us)
        calls, held = [], defaultdict(list)
        for one in due:
            reason = states.HELD_SILENCED if one.alert_id in silenced else one.held
            if one.what in {"firing", "repeat"} and reason is not None:
                held[reason].append(one.id)
            elif one.what == "repeat" and one.acknowledged:
                held["acknowledged"].append(one.id)
            elif not one.founded:
                held["its beginning was not told"].append(one.id)
            else:
                calls.append(one)
        for reason, ids in held.items():
            notifications.hold(connection, ids, reason)
        return calls

    def _message(self, connection: sa.Connection, book: Book, receiver: str, planned: Planned, now_us: int) -> Message:
        ids = sorted({one.alert_id for one in planned.notifications})
        alerts = [book.at_hand(alert) for alert in alert_log.several(connection, ids)]
        body = message_body(
            planned.what,
            alerts,
            self.policy.base,
            planned.notifications[0].group,
            is_digest=planned.is_digest,
            now_us=now_us,
        )
        message = notifications.make_message(
            connection, receiver, planned, body=body, alerts=len(alerts), now_us=now_us
        )
        for alert in alerts:
            self._touched[alert.id] = alert.subject
            if planned.what != "firing" or (alert.told and alert.repeat_us is not None):
                continue
            if alert.state != states.FIRING:
                alert.told = True
                alert_log.write(connection, [alert], ())
                continue
            repeat_us = None
            if alert.acknowledged_at_us is None and self.policy.repeat_us:
                # A storm tells once more when its window has passed: how many it was in the end.
                pause = self.policy.thresholds.storm_window_us if alert.kind in _STORMS else self.policy.repeat_us
                repeat_us = now_us + pause
            book.told(alert, repeat_us, now_us)
        return message

    def send_again(self, connection: sa.Connection, message_id: int, now_us: int) -> bool:
        """Tries a dead message again; whether there was one, and its receiver is in the settings."""
        self._ledger_touched = True
        return notifications.send_again(connection, message_id, self.policy.receivers.keys(), now_us)

    def serve_at(self, url: str) -> None:
        """Where the dashboard is, unless the settings say so."""
        if not self.policy.base:
            self.policy = msgspec.structs.replace(self.policy, base=url)

    @property
    def next_due_us(self) -> int | None:
        """When time alone may change something next, as far as it is known now."""
        if self._rules is None:
            return None
        known = (self._rules.next_due_us, self._silences_end_us)
        return min((due for due in known if due is not None), default=None)

    def touch(self, messages: Iterable[Message]) -> None:
        """What became of these messages changed in this transaction: it is shown with their alerts."""
        for message in messages:
            self._ledger_touched = True
            if message.alert_id is not None:
                alert = message.body["alert"]
                self._touched[message.alert_id] = Subject(alert["app_id"], alert["user_id"])

    # Inside.

    def _loaded(self, connection: sa.Connection, now_us: int) -> Rules:
        if self._rules is not None:
            self._rules.book.ledger = alert_log.Ledger(connection)
            return self._rules
        limits = self.policy.thresholds
        book = alert_log.load(connection, now_us - limits.flap_window_us, limits.flap_count)
        rules = Rules(book, limits, now_us)
        offline = {
            who: since_us
            for who, since_us in alert_log.offline_users(connection)
            if kinds.OFFLINE_TOO_LONG not in book.fires.get(who, ())
        }
        # An alert of this that has run its course does not begin anew.
        oldest_us = now_us - limits.offline_too_long_us - limits.resolve_after_us
        over_us = {
            who: ended_us
            for who, ended_us in alert_log.over_since(connection, kinds.OFFLINE_TOO_LONG, oldest_us)
            if who in offline
        }
        for who, since_us in offline.items():
            rules.remember_offline(who, since_us, told=since_us <= max(oldest_us, over_us.get(who, 0)))
        longest_us = max(limits.ping_pong_window_us, limits.storm_window_us)
        for alert in alert_log.opened_since(connection, now_us - longest_us, kinds.KICKED_OUT):
            app_id, user_id = alert.subject.app_id, alert.subject.user_id
            if app_id is None or user_id is None or alert.held == states.HELD_LATE:
                continue
            for device, at_us in alert.facts.get("kicks", [])[-alert.count :]:
                rules.remember_kick((app_id, user_id), device, at_us)
            if alert.opened_at_us > now_us - limits.storm_window_us:
                traits = (
                    alert.labels.get("platform"),
                    alert.labels.get("sdk_version"),
                    alert.labels.get("app_version"),
                )
                rules.remember_storm_member(kinds.KICK_STORM, (app_id, user_id), Member(alert.opened_at_us, traits))
        self._read_silences(connection, now_us)
        self._rules = rules
        return rules

    def _read_silences(self, connection: sa.Connection, now_us: int) -> None:
        self._silences = [one for one in alert_log.silences(connection) if one.ends_at_us > now_us]
        self._silences_end_us = min((one.ends_at_us for one in self._silences), default=None)

    def _is_silenced(self, alert: Alert, now_us: int) -> bool:
        return any(one.hides(alert, now_us) for one in self._silences)

    def _hear_again(self, connection: sa.Connection, rules: Rules, now_us: int) -> None:
        self._ledger_touched = True
        self._silences = [one for one in self._silences if one.ends_at_us > now_us]
        self._silences_end_us = min((one.ends_at_us for one in self._silences), default=None)
        held = alert_log.firing_held(connection, states.HELD_SILENCED)
        for start in range(0, len(held), AT_ONCE):
            alerts = rules.book.firing(held[start : start + AT_ONCE])
            rules.silence_ended(alerts, lambda alert: self._is_silenced(alert, now_us), now_us)
            self._settle(connection, now_us)

    def _settle(self, connection: sa.Connection, now_us: int) -> None:
        """Writes what changed, and owes the notifications that follow from it."""
        if self._rules is None:
            return
        changed, entries = self._rules.book.drain()
        if not changed and not entries:
            return
        owed: list[Owed] = []
        for entry in entries:
            owed += self._owed(connection, entry, owed, now_us)
        notifications.enqueue(connection, owed)
        alert_log.write(connection, changed, entries)
        self._touched.update((alert.id, alert.subject) for alert in changed)

    def _owed(self, connection: sa.Connection, entry: Entry, before: list[Owed], now_us: int) -> list[Owed]:
        alert = entry.alert
        due_us = now_us
        if entry.what in {"opened", "unheld"}:
            if alert.held is None and self._is_silenced(alert, now_us):
                alert.held = states.HELD_SILENCED
            if alert.held is not None:
                return []
            names = receivers_for(alert, self.policy.routes, tuple(self.policy.receivers), now_us)
            alert.owed = alert.owed or bool(names)
            what = "firing"
            due_us += self.policy.group_wait_us
        elif entry.what in {"resolved", "acknowledged", "repeat"} and alert.owed:
            notifications.enqueue(connection, before)
            before.clear()
            if entry.what == "resolved":
                notifications.withdraw(connection, alert.id, now_us)
            told = notifications.told_to(connection, alert.id)
            what = entry.what
            names = tuple(
                name
                for name in told
                if name in self.policy.receivers
                and (what != "acknowledged" or name in self.policy.takes_acknowledgements)
            )
        else:
            return []
        group = " ".join(f"{name}={alert.matched.get(name, '')}" for name in self.policy.group_by)
        return [Owed(alert.id, name, what, group, due_us) for name in names]


def _may_be_over(applied: Sequence[Applied], book: Book) -> set[About]:
    """Whom something fires about that their events may end: what is read once for all need not be read one by one."""
    fires = book.fires
    return {
        who
        for one in applied
        if one.effect.status != OFFLINE and (who := ((event := one.event).app_id, event.user_id)) in fires
    }
