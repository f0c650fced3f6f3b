"""The section ``alerts``: when rules fire, whom they call, and how."""

from __future__ import annotations

from datetime import time
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from sidecar.domain.alerting.kinds import KINDS, Kind
from sidecar.domain.alerting.matching import DAYS, MATCHED, Hours, Route
from sidecar.domain.alerting.thresholds import Thresholds
from sidecar.settings.values import (
    Addresses,
    AtLeastOne,
    CapabilityUrl,
    CapabilityUrlOrNone,
    Count,
    Duration,
    Host,
    Name,
    Port,
    Secret,
    Share,
    Text,
    Url,
    UrlOrNone,
    Wait,
    duration_us,
    wait_us,
)

Kinds = Annotated[tuple[Kind, ...], Meta(description=f"a list of kinds out of {', '.join(KINDS)}")]
Labels = Annotated[
    tuple[Literal[MATCHED], ...],  # type: ignore[valid-type]
    Meta(description=f"a list of labels out of {', '.join(MATCHED)}"),
]
Networks = Annotated[
    tuple[Annotated[str, Meta(pattern=r"^[^\s/]+(/[0-9]{1,3})?$")], ...],
    Meta(description="a list of host names, addresses and networks such as hooks.internal or 10.0.0.0/8"),
]
MatchValues = int | str | tuple[int | str, ...]
Match = Annotated[
    dict[Literal[MATCHED], MatchValues],  # type: ignore[valid-type]
    Meta(description=f"a table of {', '.join(MATCHED)}, each with a value or a list of values"),
]
HoursText = Annotated[
    str,
    Meta(
        pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]$",
        description="hours such as 09:00-17:30",
    ),
]
Days = Annotated[tuple[Literal[DAYS], ...], Meta(description=f"a list of days out of {', '.join(DAYS)}")]  # type: ignore[valid-type]
Scope = Annotated[Literal["read", "write"], Meta(description="one of read, write")]


class ReceiverSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What every receiver has. ``template`` takes the place of the default text (Jinja2)."""

    name: Name
    most_per_minute: AtLeastOne = 30
    template: Text | None = None


class WebhookSettings(ReceiverSettings, frozen=True, kw_only=True):
    """Any program of yours. Signed as Standard Webhooks has it where there is a secret."""

    url: CapabilityUrl
    secret: Secret | None = None


class SlackSettings(ReceiverSettings, frozen=True, kw_only=True):
    """A Slack app's bot, which needs the scope chat:write."""

    token: Secret
    channel: Text
    url: Url = "https://slack.com/api/"


class PagerDutySettings(ReceiverSettings, frozen=True, kw_only=True):
    """An integration of the type Events API v2."""

    routing_key: Secret
    url: Url = "https://events.pagerduty.com/v2/enqueue"


class AlertmanagerSettings(ReceiverSettings, frozen=True, kw_only=True):
    """A Prometheus Alertmanager: ``url`` is where its pages are."""

    url: Url


class EmailSettings(ReceiverSettings, frozen=True, kw_only=True):
    """A mail server. With a user name there must be a password, and TLS."""

    host: Host
    port: Port = 587
    sender: Text
    to: Addresses
    username: Text | None = None
    password: Secret | None = None
    tls: Annotated[Literal["starttls", "tls", "none"], Meta(description="one of starttls, tls, none")] = "starttls"


class AppriseSettings(ReceiverSettings, frozen=True, kw_only=True):
    """Whatever Apprise speaks to; its URLs hold credentials, so they are secret."""

    url: Secret


RECEIVERS: Final[dict[str, type[ReceiverSettings]]] = {
    "webhook": WebhookSettings,
    "apprise": AppriseSettings,
    "slack": SlackSettings,
    "pagerduty": PagerDutySettings,
    "alertmanager": AlertmanagerSettings,
    "email": EmailSettings,
}


class RouteSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What it matches, in its hours, goes to its receivers. With no ``hours``: at any time."""

    match: Match = {}
    receivers: Annotated[tuple[Name, ...], Meta(description="a list of the receivers' names")]
    hours: HoursText | None = None
    days: Days = DAYS
    timezone: Text = "UTC"

    def route(self) -> Route:
        """The same for the domain."""
        match = {
            str(name): tuple(str(value) for value in (values if isinstance(values, tuple) else (values,)))
            for name, values in self.match.items()
        }
        hours = None
        if self.hours is not None or self.days != DAYS:
            begin, end = (self.hours or "00:00-00:00").split("-")
            hours = Hours(
                begin=time.fromisoformat(begin), end=time.fromisoformat(end), days=self.days, timezone=self.timezone
            )
        return Route(match=match, receivers=self.receivers, hours=hours)


class AlertSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Every setting of alerts; ``docs/settings.md`` says what each does."""

    off: Kinds = ()
    max_age: Duration = "15m"
    resolve_after: Duration = "24h"
    online_elsewhere: Duration = "5m"
    offline_too_long: Wait = "5m"
    ping_pong_kicks: AtLeastOne = 3
    ping_pong_window: Duration = "10m"
    storm_users: AtLeastOne = 20
    storm_share: Share = 0.05
    storm_share_down: Share = 0.02
    storm_window: Duration = "1m"
    token_forecast: Wait = "1h"  # noqa: S105 - a duration
    token_forecast_users: AtLeastOne = 100
    stalled_after: Wait = "5m"
    flap_count: Count = 4
    flap_window: Duration = "15m"
    group_by: Labels = ("kind", "app_id")
    group_wait: Wait = "0s"
    group_interval: Duration = "30s"
    group_alone: Count = 5
    repeat_interval: Wait = "4h"
    most_per_minute: AtLeastOne = 120
    give_up_after: Duration = "24h"
    public_url: UrlOrNone = ""
    allowed_hosts: Networks = ()
    heartbeat_url: CapabilityUrlOrNone = ""
    heartbeat_interval: Duration = "1m"
    chatops_secret: Secret | None = None
    chatops_scope: Scope = "write"
    slack_signing_secret: Secret | None = None
    receivers: tuple[ReceiverSettings, ...] = ()
    routes: tuple[RouteSettings, ...] = ()

    def thresholds(self) -> Thresholds:
        """The rules' numbers."""
        return Thresholds(
            resolve_after_us=duration_us(self.resolve_after),
            max_age_us=duration_us(self.max_age),
            online_elsewhere_us=duration_us(self.online_elsewhere),
            offline_too_long_us=wait_us(self.offline_too_long),
            ping_pong_kicks=self.ping_pong_kicks,
            ping_pong_window_us=duration_us(self.ping_pong_window),
            storm_window_us=duration_us(self.storm_window),
            storm_users=self.storm_users,
            storm_share=self.storm_share,
            storm_share_down=self.storm_share_down,
            token_forecast_us=wait_us(self.token_forecast),
            token_forecast_users=self.token_forecast_users,
            stalled_after_us=wait_us(self.stalled_after),
            flap_count=self.flap_count,
            flap_window_us=duration_us(self.flap_window),
            off=frozenset(self.off),
        )
