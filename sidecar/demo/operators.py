"""What the people on call did in the made-up day: alerts acknowledged, and silences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from sidecar.alerting import AlertReaction
from sidecar.alerting.tables import alert_log
from sidecar.alerting.tables.alert_values import AlertFilter
from sidecar.domain.alerts.alert import FIRING, Kind
from sidecar.domain.alerts.routing import Silence
from sidecar.domain.alerts.rules.kick_ping_pong import KickPingPong
from sidecar.domain.alerts.rules.kick_storm import KickStorm
from sidecar.domain.alerts.rules.kicked_out import KickedOut
from sidecar.domain.alerts.rules.reconnect_storm import ReconnectStorm
from sidecar.domain.units import HOUR_US
from sidecar.store.values import Publishing

Work = Callable[[sa.Connection, AlertReaction, int], Publishing[Any]]


class Deed(msgspec.Struct, frozen=True):
    """Done so many minutes before the present."""

    minutes_ago: float
    work: Work


def _acknowledges(kind: Kind, who: str) -> Work:
    """The newest alert of the kind, if one fires."""

    def acknowledge(connection: sa.Connection, reaction: AlertReaction, now_us: int) -> Publishing[Any]:
        firing = alert_log.page(connection, AlertFilter(state=FIRING, kind=kind)).alerts
        newest = max((alert.id for alert in firing), default=0)
        return reaction.acknowledge(connection, newest, who, now_us)

    return acknowledge


def _silences(who: str, reason: str, hours: float, *, in_hours: float = 0.0, **matchers: tuple[str, ...]) -> Work:
    def silence(connection: sa.Connection, reaction: AlertReaction, now_us: int) -> Publishing[Any]:
        starts_us = now_us + round(in_hours * HOUR_US)
        ends_us = starts_us + round(hours * HOUR_US)
        wanted = Silence(
            id=0, matchers=matchers, starts_at_us=starts_us, ends_at_us=ends_us, author=who, reason=reason,
            created_at_us=now_us,
        )  # fmt: skip
        return reaction.silence(connection, wanted)

    return silence


DEEDS: Final = (
    Deed(297, _acknowledges(ReconnectStorm.kind, "noor")),
    Deed(150, _acknowledges(KickStorm.kind, "sam")),
    Deed(
        149,
        _silences(
            "sam",
            "4.2.0 opens two connections; being rolled back",
            1.5,
            kind=(KickedOut.kind, KickPingPong.kind),
            app_version=("4.2.0",),
        ),
    ),
    Deed(70, _silences("noor", "walter tests two phones", 8, user_id=("walter",))),
    Deed(
        40,
        _silences("sam", "the load balancer is replaced tonight", 1, in_hours=6, kind=(ReconnectStorm.kind,)),
    ),
    Deed(15, _acknowledges(KickPingPong.kind, "noor")),
)
