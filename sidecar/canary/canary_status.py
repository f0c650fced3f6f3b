"""The status of the canary, also as metrics."""

from __future__ import annotations

import msgspec
from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation

from sidecar.domain.texts import Text
from sidecar.domain.units import SECOND_US


class CanaryStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Whether ZIM can be reached from here.

    ``reachable`` None: not known, because the canary could not try. ``problem`` is the reason for None and False.
    ``since_us``: the last change of ``reachable``. ``login_duration_us``: of the newest successful login. ``errors``
    are counted by the SDK's code.
    """

    app_id: int
    user_id: str
    reachable: bool | None = None
    since_us: int | None = None
    problem: Text | None = None
    login_duration_us: int | None = None
    logins: int = 0
    reconnects: int = 0
    errors: dict[int, int] = {}


class _Read:
    """The last status of this process's canary, read by OpenTelemetry's callbacks."""

    status: CanaryStatus | None = None


def publish(status: CanaryStatus | None) -> None:
    """Sets the status of the metrics; None: there is no canary."""
    _Read.status = status


def _reachable(_options: CallbackOptions) -> list[Observation]:
    status = _Read.status
    return [] if status is None or status.reachable is None else [Observation(int(status.reachable))]


def _login_duration(_options: CallbackOptions) -> list[Observation]:
    status = _Read.status
    duration_us = status.login_duration_us if status else None
    return [] if duration_us is None else [Observation(duration_us / SECOND_US)]


def _logins(_options: CallbackOptions) -> list[Observation]:
    return [Observation(_Read.status.logins)] if _Read.status else []


def _reconnects(_options: CallbackOptions) -> list[Observation]:
    return [Observation(_Read.status.reconnects)] if _Read.status else []


def _errors(_options: CallbackOptions) -> list[Observation]:
    counts = _Read.status.errors if _Read.status else {}
    return [Observation(count, {"code": str(code)}) for code, count in counts.items()]


_meter = metrics.get_meter("zimwatch")
_meter.create_observable_gauge(
    "zimwatch.canary.reachable", [_reachable], description="1 while ZIM can be reached from here, 0 while it cannot"
)
_meter.create_observable_gauge(
    "zimwatch.canary.login.duration", [_login_duration], unit="s", description="How long the newest login took"
)
_meter.create_observable_counter("zimwatch.canary.logins", [_logins], description="Logins that succeeded")
_meter.create_observable_counter("zimwatch.canary.reconnects", [_reconnects], description="Connections that came back")
_meter.create_observable_counter("zimwatch.canary.errors", [_errors], description="The SDK's errors, by their code")
