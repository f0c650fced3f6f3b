"""What events, and time, make of the alerts. Pure: told the events, the time and what else is the case.

An event that touches no rule costs a few look-ups in dictionaries. Times of causes are the sender's, but never later
than we received them; windows and waits run by the time of receipt.
"""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from typing import Any, Final

from sidecar.domain import connection, events
from sidecar.domain.alerting import alert as states
from sidecar.domain.alerting import kinds, words
from sidecar.domain.alerting.alert import Alert, Subject
from sidecar.domain.alerting.book import Book, UserId
from sidecar.domain.alerting.kinds import Kind
from sidecar.domain.alerting.storms import Member, Storm
from sidecar.domain.alerting.thresholds import Thresholds
from sidecar.domain.alerting.words import Device
from sidecar.domain.events import Event
from sidecar.domain.status import OFFLINE, ONLINE

Online = Callable[[int], int]
"""How many users of an app are online now."""

_SECOND_US: Final = 1_000_000
# How often a storm's row and words follow what goes on.
_STORM_TOLD_EVERY_US: Final = _SECOND_US


class Rules:
    """The rules over one :class:`Book`. ``began_us``: since when events are followed."""

    def __init__(self, book: Book, thresholds: Thresholds, began_us: int = 0) -> None:
        self.book = book
        self._limits = thresholds
        self.began_us = began_us
        # Users that are offline, since when, and whether we learned of it late.
        self._offline: dict[UserId, tuple[int, bool]] = {}
        # Each user at most once, by when to look at them next: they may come and go many times before that.
        self._offline_due: list[tuple[int, UserId]] = []
        self._queued: set[UserId] = set()
        self._kicks: dict[UserId, deque[tuple[str, int]]] = defaultdict(deque)
        self._storms: dict[tuple[Kind, int], Storm] = {}
        self._stirred: set[tuple[Kind, int]] = set()
        self._sweep_us = 0

    # What was so before these rules began: read from what is kept.

    def remember_offline(self, who: UserId, since_us: int) -> None:
        """The user is offline already."""
        self._is_offline(who, since_us, late=False)

    def remember_kick(self, who: UserId, device: str, at_us: int) -> None:
        """The user was kicked out before, on this device."""
        self._kicks[who].append((device, at_us))

    def remember_storm_member(self, kind: Kind, who: UserId, member: Member) -> None:
        """One of those whom it befell within the window."""
        self._storm(kind, who[0]).add(who[1], member)

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
                if who not in self._offline:
                    self._went_offline(who, event, now_us)
            elif who in self._offline:
                del self._offline[who]
            if kind is None and who in self.book.by_user:
                self._moved_on(who, event, position, status, now_us)
        elif who is not None and event.type in _TOKENS:
            _TOKENS[event.type](self, who, event, position, now_us)

    def _logged_out(
        self, kind: Kind, event: Event, position: int, *, status: str | None, now_us: int, other: Device | None
    ) -> None:
        at_us, late = self._when(event)
        subject = _subject(event)
        who = None if event.user_id is None else (event.app_id, event.user_id)
        device = event.device_id or event.client_id.hex()
        if kind == kinds.KICKED_OUT:
            summary = words.kicked_out(event, other)
        elif kind == kinds.TOKEN_EXPIRED:
            summary = words.token_expired(event, self._warned(who, event, position, now_us))
        elif kind == kinds.LOGIN_TIMEOUT:
            summary = words.login_timeout(event)
        else:
            summary = words.unregistered(event)
        # Online all along on another device: no login will tell that all is well again.
        due_us = now_us + (self._limits.online_elsewhere_us if status == ONLINE else self._limits.resolve_after_us)
        facts: dict[str, Any] = {}
        if kind == kinds.KICKED_OUT and who is not None and not late:
            self._storm_member(kinds.KICK_STORM, who, event, now_us)
            self._kicks[who].append((device, now_us))
            facts["kicks"] = [list(kick) for kick in self._kicks[who]][-self._limits.ping_pong_kicks :]
        self._cause(
            kind, subject, at_us, now_us, summary, labels=_labels(event), position=position, due_us=due_us, late=late,
            facts=facts,
        )  # fmt: skip
        if kind == kinds.KICKED_OUT and who is not None and not late:
            self._ping_pong(who, event, position, now_us)

    def _ping_pong(self, who: UserId, event: Event, position: int, now_us: int) -> None:
        """Kicks count as mutual while each is of another device than the one before."""
        kicks = self._kicks[who]
        while kicks and kicks[0][1] <= now_us - self._limits.ping_pong_window_us:
            kicks.popleft()
        mutual = 0
        before = None
        for device, _ in kicks:
            mutual = mutual + 1 if device != before else 1
            before = device
        found = self.book.of_user(who, kinds.KICK_PING_PONG)
        if found is None and mutual < self._limits.ping_pong_kicks:
            return
        span = words.long(now_us - kicks[0][1])
        summary = f"{words.who(who[1])}: two devices kick each other out, {len(kicks)} times within {span}"
        due_us = now_us + self._limits.ping_pong_window_us
        self._cause(
            kinds.KICK_PING_PONG, _subject(event), now_us, now_us, summary, labels=_labels(event), position=position,
            due_us=due_us,
        )  # fmt: skip
        single = self.book.of_user(who, kinds.KICKED_OUT)
        if (
            single is not None
            and single.held is None
            and not single.told
            and kinds.KICK_PING_PONG not in self._limits.off
        ):
            self.book.hold(single, states.HELD_PING_PONG, now_us)

    def _went_offline(self, who: UserId, event: Event, now_us: int) -> None:
        at_us, late = self._when(event)
        self._is_offline(who, at_us, late=late)
        if not late:
            self._storm_member(kinds.RECONNECT_STORM, who, event, now_us)

    def _is_offline(self, who: UserId, since_us: int, *, late: bool) -> None:
        self._offline[who] = (since_us, late)
        if self._limits.offline_too_long_us and who not in self._queued:
            self._queued.add(who)
            heapq.heappush(self._offline_due, (since_us + self._limits.offline_too_long_us, who))

    def _moved_on(self, who: UserId, event: Event, position: int, status: str | None, now_us: int) -> None:
        at_us, _ = self._when(event)
        is_connected = event.connection_state == connection.CONNECTED and status == ONLINE
        for kind, alert in list(self.book.by_user.get(who, {}).items()):
            if kind in kinds.ENDED_ONLINE and is_connected:
                reason = "the user is online again"
            elif kind == kinds.OFFLINE_TOO_LONG and status != OFFLINE:
                reason = "the user is online again" if status == ONLINE else "the user is logged out"
            else:
                continue
            self.book.resolve(alert, at_us=at_us, now_us=now_us, reason=reason, position=position)

    def _will_expire(self, who: UserId, event: Event, position: int, now_us: int) -> None:
        at_us, late = self._when(event)
        left_us = int(event.details.get("second") or 0) * _SECOND_US
        expires_us = at_us + left_us
        held = self.book.of_user(who, kinds.TOKEN_EXPIRING)
        clients = dict(held.facts.get("clients", {})) if held else {}
        session = event.session_id.hex() if event.session_id else None
        clients[event.client_id.hex()] = {"expires_us": expires_us, "left_us": max(0, left_us), "session": session}
        due_us = max(one["expires_us"] for one in clients.values())
        alert = self._cause(
            kinds.TOKEN_EXPIRING, _subject(event), at_us, now_us, words.token_expiring(event, left_us),
            labels=_labels(event), position=position, due_us=max(due_us, now_us), late=late or expires_us <= now_us,
            facts={"clients": clients},
        )  # fmt: skip
        if alert is not None and due_us <= now_us:
            self.book.resolve(alert, at_us=due_us, now_us=now_us, reason="the token has expired", position=position)

    def _renewed(self, who: UserId, event: Event, position: int, now_us: int) -> None:
        alert = self.book.of_user(who, kinds.TOKEN_EXPIRING)
        if alert is None:
            return
        clients = dict(alert.facts.get("clients", {}))
        session = event.session_id.hex() if event.session_id else None
        own = [
            client
            for client, one in clients.items()
            if client == event.client_id.hex() or (session is not None and one["session"] == session)
        ]
        code = event.details.get("code", 0)
        for client in own:
            if code == 0:
                del clients[client]
            else:
                clients[client] = clients[client] | {"renewal_code": code}
        alert.facts = alert.facts | {"clients": clients}
        if clients:
            self.book.touch(alert, now_us)
        else:
            at_us, _ = self._when(event)
            self.book.resolve(alert, at_us=at_us, now_us=now_us, reason="the token was renewed", position=position)

    def _logged_in(self, who: UserId, event: Event, position: int, now_us: int) -> None:
        alert = self.book.of_user(who, kinds.TOKEN_EXPIRING)
        if alert is not None:
            at_us, _ = self._when(event)
            self.book.resolve(alert, at_us=at_us, now_us=now_us, reason="a new login", position=position)

    def _warned(self, who: UserId | None, event: Event, position: int, now_us: int) -> dict[str, Any] | None:
        """What the warning of this client said; with it the alert about the expiring token is over."""
        alert = None if who is None else self.book.of_user(who, kinds.TOKEN_EXPIRING)
        if alert is None:
            return None
        clients = dict(alert.facts.get("clients", {}))
        warned: dict[str, Any] | None = clients.pop(event.client_id.hex(), None)
        if warned is not None:
            alert.facts = alert.facts | {"clients": clients}
            if clients:
                self.book.touch(alert, now_us)
            else:
                at_us, _ = self._when(event)
                reason = "the token has expired"
                self.book.resolve(alert, at_us=at_us, now_us=now_us, reason=reason, position=position)
        return warned

    # Storms.

    def _storm(self, kind: Kind, app_id: int) -> Storm:
        storm = self._storms.get((kind, app_id))
        if storm is None:
            storm = self._storms[kind, app_id] = Storm(self._limits.storm_window_us)
        return storm

    def _storm_member(self, kind: Kind, who: UserId, event: Event, now_us: int) -> None:
        member = Member(now_us, (event.platform, event.sdk_version, event.app_version))
        self._storm(kind, who[0]).add(who[1], member)
        self._stirred.add((kind, who[0]))

    def weigh_storms(self, now_us: int, online: Online, *, every: bool = False) -> None:
        """Whether what was added to the windows since the last time (with ``every``: or left them) makes a storm."""
        for key in [*self._storms] if every else [*self._stirred]:
            kind, app_id = key
            storm = self._storms[key]
            storm.forget_before(now_us)
            subject = Subject(app_id)
            found = self.book.about(kind, subject)
            share = storm.share(online(app_id)) if found is not None or len(storm) >= self._limits.storm_users else 0.0
            if found is not None:
                self._storm_goes_on(found, storm, share, now_us)
            elif len(storm) >= self._limits.storm_users and share >= self._limits.storm_share:
                self._storm_begins(kind, subject, storm, share, now_us)
            elif every and len(storm.total) > len(storm):
                storm.calm()
            if not len(storm) and found is None:
                del self._storms[key]
        self._stirred.clear()

    def _storm_begins(self, kind: Kind, subject: Subject, storm: Storm, share: float, now_us: int) -> None:
        summary = words.storm(kind, len(storm.total), self._limits.storm_window_us, share, storm.common())
        alert = self._cause(
            kind, subject, now_us, now_us, summary, facts={"users": len(storm.total), "share": share, "last_us": now_us}
        )
        if alert is None:
            return
        for user_id in storm.users:
            for single in kinds.HELD_BY_STORM[kind]:
                found = self.book.of_user((subject.app_id or 0, user_id), single)  # type: ignore[arg-type]
                if found is not None and found.held is None and not found.told:
                    self.book.hold(found, states.HELD_STORM, now_us)

    def _storm_goes_on(self, alert: Alert, storm: Storm, share: float, now_us: int) -> None:
        facts = alert.facts
        # After a restart the window is empty for a while: what was counted before is not forgotten.
        users = max(facts["users"], len(storm.total))
        calm = len(storm) < max(1, self._limits.storm_users // 2) or share < self._limits.storm_share_down
        settled_us = max(facts["last_us"], self.began_us) + self._limits.storm_window_us
        if calm and now_us >= settled_us:
            storm.calm()
            alert.count = users
            self.book.resolve(alert, at_us=now_us, now_us=now_us, reason=f"it is calm again; {alert.summary}")
        elif users > facts["users"] and now_us >= facts["last_us"] + _STORM_TOLD_EVERY_US:
            peak = max(facts["share"], share)
            lasted_us = max(self._limits.storm_window_us, now_us - alert.started_at_us)
            alert.summary = words.storm(alert.kind, users, lasted_us, peak, storm.common())
            alert.count = users
            alert.facts = {"users": users, "share": peak, "last_us": now_us}
            self.book.touch(alert, now_us)

    # Time.

    def pass_time(self, now_us: int, online: Online) -> None:
        """What is due by now: call it every second or so, and with what events say in between."""
        for alert in self.book.due(now_us):
            self.book.resolve(alert, at_us=alert.due_us or now_us, now_us=now_us, reason=_TIME_ENDED[alert.kind])
        while self._offline_due and self._offline_due[0][0] <= now_us:
            _, who = heapq.heappop(self._offline_due)
            self._queued.discard(who)
            since = self._offline.get(who)
            if since is None:
                continue
            if since[0] + self._limits.offline_too_long_us > now_us:
                self._is_offline(who, since[0], late=since[1])
            else:
                self._offline_too_long(who, since[0], now_us, late=since[1])
        self.weigh_storms(now_us, online, every=True)
        if now_us >= self._sweep_us:
            self._sweep_us = now_us + 60 * _SECOND_US
            self.book.forget_before(now_us - self._limits.flap_window_us)
            old_us = now_us - self._limits.ping_pong_window_us
            for who in [who for who, kicks in self._kicks.items() if kicks[-1][1] <= old_us]:
                del self._kicks[who]

    def _offline_too_long(self, who: UserId, since_us: int, now_us: int, *, late: bool) -> None:
        summary = f"{words.who(who[1])} has been offline for {words.long(now_us - since_us)}"
        self._cause(
            kinds.OFFLINE_TOO_LONG, Subject(*who), since_us, now_us, summary,
            due_us=now_us + self._limits.resolve_after_us, late=late,
        )  # fmt: skip

    def lost(self, users: Iterable[tuple[UserId, int]], now_us: int) -> None:
        """Every live client of these has been silent for longer than its lease, which ended at that moment."""
        for who, lease_until_us in users:
            if self.book.of_user(who, kinds.CLIENT_LOST) is None:
                self._cause(
                    kinds.CLIENT_LOST, Subject(*who), lease_until_us, now_us,
                    f"{words.who(who[1])} gave no sign of life: the app or its device may be gone",
                    due_us=now_us + self._limits.resolve_after_us,
                )  # fmt: skip

    def found(self, users: Iterable[UserId], now_us: int) -> None:
        """These gave a sign of life, or have logged out."""
        for who in users:
            alert = self.book.of_user(who, kinds.CLIENT_LOST)
            if alert is not None:
                self.book.resolve(alert, at_us=now_us, now_us=now_us, reason="there is a sign of life again")

    def expire_soon(self, ending: dict[int, int], now_us: int) -> None:
        """How many users' tokens end soon, by app: every app that has any."""
        apps = {alert.subject.app_id for alert in self.book.firing.values() if alert.subject.other == _FORECAST}
        for app_id in {*ending, *(app_id for app_id in apps if app_id is not None)}:
            count = ending.get(app_id, 0)
            alert = self.book.about(kinds.TOKEN_EXPIRING, Subject(app_id, None, _FORECAST))
            span = words.long(self._limits.token_forecast_us)
            if alert is None and count >= self._limits.token_forecast_users:
                opened = self._cause(
                    kinds.TOKEN_EXPIRING, Subject(app_id, None, _FORECAST), now_us, now_us,
                    f"The tokens of {count:,} users end within {span}",
                )  # fmt: skip
                if opened is not None:
                    opened.severity = "info"
            elif alert is not None and count < self._limits.token_forecast_users // 2:
                reason = f"the tokens of no more than {count:,} users end within {span}"
                self.book.resolve(alert, at_us=now_us, now_us=now_us, reason=reason)

    def stalled(self, part: str, since_us: int | None, why: str, now_us: int) -> None:
        """``part`` (``spans``, or a receiver's name) has delivered nothing since then; None: it delivers."""
        subject = Subject(other=part)
        alert = self.book.about(kinds.EXPORT_STALLED, subject)
        limit_us = self._limits.stalled_after_us
        if since_us is None:
            if alert is not None:
                self.book.resolve(alert, at_us=now_us, now_us=now_us, reason="it delivers again")
        elif alert is None and limit_us and now_us - since_us >= limit_us:
            self._cause(
                kinds.EXPORT_STALLED, subject, since_us, now_us,
                f"{part}: nothing was delivered for {words.long(now_us - since_us)} ({why})",
                labels={"part": part},
            )  # fmt: skip

    def silence_ended(self, is_silenced: Callable[[Alert], bool], now_us: int) -> None:
        """Calls for what fires, was held back for a silence, and is silenced no longer."""
        for alert in list(self.book.firing.values()):
            if alert.held == states.HELD_SILENCED and not is_silenced(alert):
                self.book.unhold(alert, now_us)

    @property
    def next_due_us(self) -> int | None:
        """When time alone may change something next, as far as it is known now."""
        known = [self.book.next_due_us, self._offline_due[0][0] if self._offline_due else None]
        known += [storm.next_leaves_us for storm in self._storms.values()]
        return min((due for due in known if due is not None), default=None)

    def _when(self, event: Event) -> tuple[int, bool]:
        """When it happened, and whether that was so long ago that nobody is called for it."""
        at_us = min(event.occurred_at_us, event.received_at_us)
        return at_us, event.received_at_us - at_us > self._limits.max_age_us

    def _cause(
        self,
        kind: Kind,
        subject: Subject,
        at_us: int,
        now_us: int,
        summary: str,
        *,
        late: bool = False,
        **more: Any,  # noqa: ANN401 - as Book.cause has it
    ) -> Alert | None:
        """Opens or counts, unless the kind is switched off; an opened one is held back where another speaks for it."""
        if kind in self._limits.off:
            return None
        held = states.HELD_LATE if late else self._spoken_for(kind, subject)
        known = self.book.about(kind, subject)
        alert = self.book.cause(kind, subject, at_us=at_us, now_us=now_us, summary=summary, held=held, **more)
        if known is None and held is None and self._limits.flap_count:
            times = self.book.times_opened(alert.fingerprint, now_us - self._limits.flap_window_us)
            if times > self._limits.flap_count:
                self.book.hold(alert, states.HELD_FLAPPING, now_us)
            elif times == self._limits.flap_count:
                span = words.long(self._limits.flap_window_us)
                alert.summary += (
                    f" (flapping: {times} times within {span}; you are not called again until it is stable)"
                )
                alert.labels = alert.labels | {"flapping": "true"}
        return alert

    def _spoken_for(self, kind: Kind, subject: Subject) -> str | None:
        storm = kinds.STORM_OVER.get(kind)
        if storm is not None and self.book.about(storm, Subject(subject.app_id)) is not None:  # type: ignore[arg-type]
            return states.HELD_STORM
        if kind == kinds.KICKED_OUT and self.book.about(kinds.KICK_PING_PONG, subject) is not None:
            return states.HELD_PING_PONG
        return None


_FORECAST: Final = "forecast"
_TOKENS: Final = {
    events.TOKEN_WILL_EXPIRE: Rules._will_expire,  # noqa: SLF001 - the class's own table
    events.TOKEN_RENEWED: Rules._renewed,  # noqa: SLF001
    events.LOGIN: Rules._logged_in,  # noqa: SLF001
}
_TIME_ENDED: Final[dict[str, str]] = defaultdict(
    lambda: "nothing was heard of it for too long",
    {
        kinds.TOKEN_EXPIRING: "the token has expired",
        kinds.KICK_PING_PONG: "no device was kicked out for a while",
    },
)


def _subject(event: Event) -> Subject:
    if event.user_id is None:
        return Subject(event.app_id, None, event.client_id.hex())
    return Subject(event.app_id, event.user_id)


def _labels(event: Event) -> dict[str, str]:
    told = {
        "platform": event.platform,
        "sdk_version": event.sdk_version,
        "app_version": event.app_version,
        "device_id": event.device_id,
    }
    return {name: value for name, value in told.items() if value}
