"""The section ``alerts``: thresholds of the rules, receivers, routes, and limits on messages."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Iterator, Mapping
from datetime import time
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta

from sidecar.domain.alerts.hours import DAYS, Hours
from sidecar.domain.alerts.labels import MATCHED
from sidecar.settings.value_kinds import (
    AtLeastOne,
    CapabilityUrlOrNone,
    Count,
    Duration,
    Name,
    Secret,
    Share,
    Text,
    UserIds,
    Wait,
    wait_us,
)

if TYPE_CHECKING:
    from sidecar.domain.alerts.routing import Route
    from sidecar.domain.alerts.thresholds import Thresholds

# Which kinds there are the rules say, and they are imported where some are named: see sidecar.settings.convert.
Kinds = Annotated[tuple[str, ...], Meta(description="a list of kinds of alerts")]
Labels = Annotated[
    tuple[Literal[MATCHED], ...],  # type: ignore[valid-type]
    Meta(description=f"a list of labels out of {', '.join(MATCHED)}"),
]
Networks = Annotated[
    tuple[Annotated[str, Meta(pattern=r"^[^\s/]+(/[0-9]{1,3})?\Z")], ...],
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
        pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]\Z",
        description="hours such as 09:00-17:30",
    ),
]
Days = Annotated[tuple[Literal[DAYS], ...], Meta(description=f"a list of days out of {', '.join(DAYS)}")]  # type: ignore[valid-type]
Scope = Annotated[Literal["read", "support", "write"], Meta(description="one of read, support, write")]


class ReceiverSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of every receiver. A type of receiver adds its own in a subclass, whose tag is the type's name.

    ``template`` (Jinja2) replaces the default text. ``user_ids``: how messages name users; None: as spans do.
    """

    name: Name
    most_per_minute: AtLeastOne = 30
    template: Text | None = None
    user_ids: UserIds | None = None

    @property
    def type_name(self) -> str:
        """The value of ``type`` in the settings."""
        return str(self.__struct_config__.tag or "")

    def problems(self) -> Iterator[str]:
        """Contradictions of valid settings: for each the name of a setting and the rest of a sentence."""
        yield from ()


ReceiverTypes = Mapping[str, type[ReceiverSettings]]
"""By the value of ``type``."""


def signing_secret_problem(secret: str | None) -> str | None:
    """Why this cannot be a secret of Standard Webhooks: the rest of a sentence that begins with its name."""
    if secret is None or not secret.startswith("whsec_"):
        return None
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:  # binascii.Error is one
        key = b""
    return None if key else "must be whsec_ and base64, or any text without whsec_."


class RouteSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Sends the alerts that it matches to its receivers, in its hours. Without ``hours``: at any time."""

    match: Match = {}
    receivers: Annotated[tuple[Name, ...], Meta(description="a list of the receivers' names")]
    hours: HoursText | None = None
    days: Days = DAYS
    timezone: Text = "UTC"

    def route(self) -> Route:
        """The route of the domain."""
        from sidecar.domain.alerts.routing import Route  # noqa: PLC0415 - only serving needs it

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
    """Every setting of alerts; ``docs/settings.md`` describes each."""

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
    calls_failing_users: AtLeastOne = 20
    calls_failing_share: Share = 0.01
    plan_limit_window: Duration = "1h"
    app_silent: Wait = "15m"
    app_silent_users: AtLeastOne = 10
    token_forecast: Wait = "1h"  # noqa: S105 - a duration
    token_forecast_users: AtLeastOne = 100
    stalled_after: Wait = "5m"
    backup_overdue: Wait = "48h"
    edge_behind: Wait = "5m"
    flap_count: Count = 4
    flap_window: Duration = "15m"
    group_by: Labels = ("kind", "app_id")
    group_wait: Wait = "0s"
    group_interval: Duration = "30s"
    group_alone: Count = 5
    repeat_interval: Wait = "4h"
    most_per_minute: AtLeastOne = 120
    give_up_after: Duration = "24h"
    allowed_hosts: Networks = ()
    heartbeat_url: CapabilityUrlOrNone = ""
    heartbeat_interval: Duration = "1m"
    chatops_secret: Secret | None = None
    chatops_scope: Scope = "write"
    slack_signing_secret: Secret | None = None
    receivers: tuple[ReceiverSettings, ...] = ()
    routes: tuple[RouteSettings, ...] = ()

    def thresholds(self) -> Thresholds:
        """The thresholds of the rules. Each has the name of its setting, with ``_us`` where that is a duration."""
        from sidecar.domain.alerts.thresholds import Thresholds  # noqa: PLC0415 - with all the rules

        found: dict[str, Any] = {"off": frozenset(self.off)}
        for name in {field.name for field in dataclasses.fields(Thresholds)} - {"off"}:
            setting = name.removesuffix("_us")
            value = getattr(self, setting)
            found[name] = value if setting == name else wait_us(value)
        return Thresholds(**found)
