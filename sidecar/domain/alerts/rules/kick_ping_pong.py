"""``kick_ping_pong``: two devices of a user kick each other out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sidecar.domain import sdk_words
from sidecar.domain.alerts import alert as states
from sidecar.domain.alerts.alert import Alert
from sidecar.domain.alerts.naming import user_name
from sidecar.domain.alerts.opening import CommonThresholds, Covers
from sidecar.domain.alerts.rules.base_rule import Change, Rule
from sidecar.domain.alerts.rules.kicked_out import KickedOut
from sidecar.domain.alerts.watchlist import Kick
from sidecar.domain.texts import Sentence, Text, duration
from sidecar.domain.units import MINUTE_US

PING_PONG: Final = Sentence("ping_pong", "%(who)s: two devices kick each other out, %(count)s times within %(span)s")
KICKS_TO_AND_FRO: Final = Sentence(
    "advice.kicks_to_and_fro",
    "Two devices log each other out, most often because the app calls login again when it is kicked out: lead "
    "back to the login page instead.",
)
NO_MORE_KICKS: Final = Sentence("no_more_kicks", "no device was kicked out for a while")


@dataclass(frozen=True, kw_only=True)
class PingPongThresholds(CommonThresholds):
    """The number of kicks within the window, each kicking out another device than the previous one."""

    ping_pong_kicks: int = 3
    ping_pong_window_us: int = 10 * MINUTE_US


class KickPingPong(Rule[PingPongThresholds]):
    """Opens with the last of the kicks, and is over a window after the latest. Suppresses ``kicked_out``."""

    kind = "kick_ping_pong"
    severity = "critical"
    title = Sentence("kind.kick_ping_pong", "Two devices kick each other out")
    advice = (KICKS_TO_AND_FRO,)
    connection_events = frozenset({sdk_words.KICKED_OUT})
    covers = Covers(frozenset({KickedOut.kind}), states.SUPPRESSED_PING_PONG)

    @classmethod
    def is_on(cls, limits: PingPongThresholds) -> bool:
        """Whether there is a window."""
        return limits.ping_pong_window_us > 0 and super().is_on(limits)

    def on_event(self, change: Change) -> None:
        """A kick."""
        who, now_us = change.who, change.now_us
        if who is None or change.late:
            return
        kick = Kick(change.position, change.event.device_id or change.event.client_id.hex(), now_us)
        kicks = self._watch.kick(who, kick, now_us - self._limits.ping_pong_window_us)
        if self._firing.of_user(who, self.kind) is None and _mutual(kicks) < self._limits.ping_pong_kicks:
            return
        span = duration(now_us - kicks[0].at_us)
        opened = self.cause(
            change.subject,
            now_us,
            now_us,
            PING_PONG(who=user_name(who[1]), count=len(kicks), span=span),
            labels=change.labels,
            position=change.position,
            due_us=now_us + self._limits.ping_pong_window_us,
        )
        single = self._firing.of_user(who, KickedOut.kind)
        if opened is not None and single is not None and single.suppressed_by is None and not single.notified:
            self._firing.suppress(single, states.SUPPRESSED_PING_PONG, now_us)

    def over_by_time(self, alert: Alert) -> Text:  # noqa: ARG002 - as the base has it
        """No kick within the window."""
        return NO_MORE_KICKS()


def _mutual(kicks: Iterable[Kick]) -> int:
    """How many of the last kicks kicked out another device than the kick before."""
    mutual = 0
    before = None
    for kick in kicks:
        mutual = mutual + 1 if kick.device != before else 1
        before = kick.device
    return mutual
