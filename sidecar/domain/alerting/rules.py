"""What events, and time, make of the alerts. Pure: told the events, the time and what else is the case.

An event that touches no rule costs a few look-ups in dictionaries. Times of causes are the sender's, but never later
than we received them; windows and waits run by the time of receipt.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, Final

from sidecar.domain import connection, events
from sidecar.domain.alerting import alert as states
from sidecar.domain.alerting import kinds, words
from sidecar.domain.alerting.alert import Alert, Subject
from sidecar.domain.alerting.book import Book, UserId
from sidecar.domain.alerting.causes import Causes, labels_of, subject_of
from sidecar.domain.alerting.kinds import Kind
from sidecar.domain.alerting.offline import Offline
from sidecar.domain.alerting.storm_rules import Crowds, StormRules
from sidecar.domain.alerting.storms import Member
from sidecar.domain.alerting.thresholds import Thresholds
from sidecar.domain.alerting.token_rules import TokenRules
from sidecar.domain.alerting.words import Device
from sidecar.domain.events import Event
from sidecar.domain.status import OFFLINE, ONLINE

_SECOND_US: Final = 1_000_000


class Rules:
    """The rules over one :class:`Book`. ``began_us``: since when events are followed."""

    def __init__(self, book: Book, thresholds: Thresholds, began_us: int = 0) -> None:
        self.book = book
        self._limits = thresholds
        self._looks = thresholds.offline_too_long_us > 0
        self._causes = Causes(book, thresholds)
        self.tokens = TokenRules(self._causes)
        self._offline = Offline()
        self.storms = StormRules(self._causes, self._offline, began_us)
        self.began_us = began_us
        # Of whom of them we learned late.
        self._late: set[UserId] = set()
        self._kicks: dict[UserId, list[tuple[str, int]]] = defaultdict(list)
        self._sweep_us = 0

    # What was so before these rules began: read from what is kept.

    def remember_offline(self, who: UserId, since_us: int, *, told: bool) -> None:
        """The user is offline, and that does not fire; ``told``: that it has been for too long has had its alert."""
        self._offline.add(who, since_us, look=self._looks and not told)

    def remember_kick(self, who: UserId, device: str, at_us: int) -> None:
        """The user was kicked out before, on this device."""
        self._kicks[who].append((device, at_us))

    def remember_storm_member(self, kind: Kind, who: UserId, member: Member) -> None:
        """One of those whom it befell within the window."""
        self.storms.of(kind, who[0]).add(who[1], member)

    # Events.

    def apply(self, event: Event, position: int, status: str | None, now_us: int, other: Device | None = None) -> None:
        """Takes one event that was accepted; ``status`` is its user's after it, ``other`` the user's other device."""
        who = None if event.user_id is None else (event.app_id, event.user_id)
        if event.type == events.CONNECTION_STATE_CHANGED:
            kind = kinds.CAUSED_BY.get(event.connection_event or "")
            if kind is not None:
                self._logged_out(kind, event, position, status=status, now_us=now_us, other=other)
            if who is None:
                return
            if status == OFFLINE:
                if who not in self._offline and kinds.OFFLINE_TOO_LONG not in self.book.fires.get(who, ()):
                    self._went_offline(who, event, now_us)
            elif who in self._offline:
                self._not_offline(who)
            if who in self.book.fires:
                self._moved_on(who, event, position, status, now_us)
        elif who is not None and event.type in _TOKENS:
            _TOKENS[event.type](self.tokens, who, event, position, now_us)

    def _logged_out(
        self, kind: Kind, event: Event, position: int, *, status: str | None, now_us: int, other: Device | None
    ) -> None:
        at_us, late = self._causes.when(event)
        subject = subject_of(event)
        who = None if event.user_id is None else (event.app_id, event.user_id)
        device = event.device_id or event.client_id.hex()
        if kind == kinds.KICKED_OUT:
            summary = words.kicked_out(event, other)
        elif kind == kinds.TOKEN_EXPIRED:
            summary = words.token_expired(event, self.tokens.expired(who, event, position, now_us))
        elif kind == kinds.LOGIN_TIMEOUT:
            summary = words.LOGIN_TIMEOUT(who=words.who(event.user_id), device=words.device_of(event).words)
        else:
            summary = words.UNREGISTERED(who=words.who(event.user_id))
        # Online all along on another device: no login will tell that all is well again.
        elsewhere = status == ONLINE
        due_us = now_us + (self._limits.online_elsewhere_us if elsewhere else self._limits.resolve_after_us)
        facts: dict[str, Any] = {"elsewhere": elsewhere}
        if kind == kinds.KICKED_OUT and who is not None and not late:
            self.storms.member(kinds.KICK_STORM, who, event, now_us)
            self._kicks[who].append((device, now_us))
            facts["kicks"] = [list(kick) for kick in self._kicks[who]][-self._limits.ping_pong_kicks :]
        self._causes.cause(
            kind,
            subject,
            at_us,
            now_us,
            summary,
            labels=labels_of(event),
            position=position,
            due_us=due_us,
            late=late,
            facts=facts,
        )
        if kind == kinds.KICKED_OUT and who is not None and not late:
            self._ping_pong(who, event, position, now_us)

    def _ping_pong(self, who: UserId, event: Event, position: int, now_us: int) -> None:
        """Kicks count as mutual while each is of another device than the one before."""
        old_us = now_us - self._limits.ping_pong_window_us
        kicks = self._kicks[who] = [kick for kick in self._kicks[who] if kick[1] > old_us]
        mutual = 0
        before = None
        for device, _ in kicks:
            mutual = mutual + 1 if device != before else 1
            before = device
        found = self.book.of_user(who, kinds.KICK_PING_PONG)
        if found is None and mutual < self._limits.ping_pong_kicks:
            return
        span = words.long(now_us - kicks[0][1])
        summary = words.PING_PONG(who=words.who(who[1]), count=len(kicks), span=span)
        due_us = now_us + self._limits.ping_pong_window_us
        self._causes.cause(
            kinds.KICK_PING_PONG,
            subject_of(event),
            now_us,
            now_us,
            summary,
            labels=labels_of(event),
            position=position,
            due_us=due_us,
        )
        single = self.book.of_user(who, kinds.KICKED_OUT)
        if (
            single is not None
            and single.held is None
            and not single.told
            and kinds.KICK_PING_PONG not in self._limits.off
        ):
            self.book.hold(single, states.HELD_PING_PONG, now_us)

    def _went_offline(self, who: UserId, event: Event, now_us: int) -> None:
        at_us, late = self._causes.when(event)
        self._offline.add(who, at_us, look=self._looks)
        if late:
            self._late.add(who)
        else:
            self.storms.member(kinds.RECONNECT_STORM, who, event, now_us)

    def _not_offline(self, who: UserId) -> None:
        self._offline.remove(who)
        self._late.discard(who)

    def _moved_on(self, who: UserId, event: Event, position: int, status: str | None, now_us: int) -> None:
        at_us, _ = self._causes.when(event)
        is_cause = event.connection_event in kinds.CAUSED_BY
        is_connected = event.connection_state == connection.CONNECTED and status == ONLINE and not is_cause
        over: dict[Kind, str] = {}
        for kind in self.book.fires[who]:
            if kind in kinds.ENDED_ONLINE and is_connected:
                over[kind] = words.ONLINE_AGAIN()
            elif kind == kinds.OFFLINE_TOO_LONG and status != OFFLINE:
                over[kind] = words.ONLINE_AGAIN() if status == ONLINE else words.LOGGED_OUT()
        ending = [alert for kind in over if (alert := self.book.of_user(who, kind)) is not None]
        for alert in sorted(ending, key=lambda one: one.id):
            self.book.resolve(alert, at_us=at_us, now_us=now_us, reason=over[alert.kind], position=position)

    # Time.

    def pass_time(self, now_us: int, crowds: Crowds, most: int) -> bool:
        """What is due by now: call it every second or so, and with what events say in between.

        No more than ``most`` alerts end or open. Whether more are due: then it is to be called again.
        """
        due = self.book.due(now_us, most)
        for alert in due:
            reason = _TIME_ENDED.get(alert.kind, words.TOO_LONG)()
            if alert.facts.get("elsewhere"):
                reason = words.ONLINE_ELSEWHERE()
            self.book.resolve(alert, at_us=alert.due_us or now_us, now_us=now_us, reason=reason)
            app_id, user_id = alert.subject.app_id, alert.subject.user_id
            if alert.kind == kinds.OFFLINE_TOO_LONG and app_id is not None and user_id is not None:
                # Offline still: it does not begin anew.
                self._offline.add((app_id, user_id), alert.started_at_us, look=False)
        for who, since_us in self._offline.take(now_us - self._limits.offline_too_long_us, most - len(due)):
            self._offline_too_long(who, since_us, now_us)
        if (due_us := self._next_due_us) is not None and due_us <= now_us:
            return True
        self.storms.weigh(now_us, crowds, every=True)
        if now_us >= self._sweep_us:
            self._sweep_us = now_us + 60 * _SECOND_US
            self.book.forget_before(now_us - self._limits.flap_window_us)
            old_us = now_us - self._limits.ping_pong_window_us
            for who in [who for who, kicks in self._kicks.items() if kicks[-1][1] <= old_us]:
                del self._kicks[who]
        return False

    def _offline_too_long(self, who: UserId, since_us: int, now_us: int) -> None:
        opened = self._causes.cause(
            kinds.OFFLINE_TOO_LONG,
            Subject(*who),
            since_us,
            now_us,
            words.offline(who[1], now_us - since_us),
            due_us=now_us + self._limits.resolve_after_us,
            late=who in self._late,
        )
        if opened is not None:
            self._not_offline(who)

    def lost(self, users: Iterable[tuple[UserId, int]], now_us: int) -> None:
        """Every live client of these has been silent for longer than its lease, which ended at that moment."""
        for who, lease_until_us in users:
            if not self.book.does_fire(kinds.CLIENT_LOST, Subject(*who)):
                self._causes.cause(
                    kinds.CLIENT_LOST,
                    Subject(*who),
                    lease_until_us,
                    now_us,
                    words.LOST(who=words.who(who[1])),
                    due_us=now_us + self._limits.resolve_after_us,
                )

    def found(self, users: Iterable[UserId], now_us: int) -> None:
        """These gave a sign of life, or have logged out."""
        users = list(users)
        self.book.fetch(users)
        for who in users:
            alert = self.book.of_user(who, kinds.CLIENT_LOST)
            if alert is not None:
                self.book.resolve(alert, at_us=now_us, now_us=now_us, reason=words.FOUND())

    def stalled(self, part: str, since_us: int | None, why: str, now_us: int) -> None:
        """``part`` (``spans``, or a receiver's name) has delivered nothing since then; None: it delivers."""
        subject = Subject(other=part)
        alert = self.book.about(kinds.EXPORT_STALLED, subject)
        limit_us = self._limits.stalled_after_us
        if since_us is None:
            if alert is not None:
                self.book.resolve(alert, at_us=now_us, now_us=now_us, reason=words.DELIVERS())
        elif alert is None and limit_us and now_us - since_us >= limit_us:
            self._causes.cause(
                kinds.EXPORT_STALLED,
                subject,
                since_us,
                now_us,
                words.stalled(part, now_us - since_us, why),
                labels={"part": part},
            )

    def silence_ended(self, alerts: Iterable[Alert], is_silenced: Callable[[Alert], bool], now_us: int) -> None:
        """Calls for those of ``alerts`` that were held back for a silence and are silenced no longer."""
        for alert in alerts:
            if alert.held == states.HELD_SILENCED and not is_silenced(alert):
                self.book.unhold(alert, now_us)

    @property
    def next_due_us(self) -> int | None:
        """When time alone may change something next, as far as it is known now."""
        return _first(self._next_due_us, self.book.next_repeat_us, self.storms.next_due_us)

    @property
    def _next_due_us(self) -> int | None:
        """When time alone may end or open an alert next."""
        first_us = self._offline.next_us
        return _first(self.book.next_due_us, None if first_us is None else first_us + self._limits.offline_too_long_us)


def _first(*moments: int | None) -> int | None:
    return min((moment for moment in moments if moment is not None), default=None)


_TOKENS: Final = {
    events.TOKEN_WILL_EXPIRE: TokenRules.will_expire,
    events.TOKEN_RENEWED: TokenRules.renewed,
    events.LOGIN: TokenRules.logged_in,
}
_TIME_ENDED: Final = {
    kinds.TOKEN_EXPIRING: words.EXPIRED,
    kinds.KICK_PING_PONG: words.NO_MORE_KICKS,
}
