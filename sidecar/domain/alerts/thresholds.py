"""The thresholds of all alert rules: each is declared in the file of its rule."""

from __future__ import annotations

from dataclasses import dataclass

from sidecar.domain.alerts.rules.app_silent import SilentThresholds
from sidecar.domain.alerts.rules.backup_overdue import BackupThresholds
from sidecar.domain.alerts.rules.calls_failing import FailingThresholds
from sidecar.domain.alerts.rules.edge_behind import EdgeThresholds
from sidecar.domain.alerts.rules.export_stalled import StalledThresholds
from sidecar.domain.alerts.rules.kick_ping_pong import PingPongThresholds
from sidecar.domain.alerts.rules.login_ended import LoginEndedThresholds
from sidecar.domain.alerts.rules.offline_too_long import OfflineThresholds
from sidecar.domain.alerts.rules.plan_limit import PlanThresholds
from sidecar.domain.alerts.rules.token_expiring import ForecastThresholds


@dataclass(frozen=True, kw_only=True)
class Thresholds(
    LoginEndedThresholds,
    OfflineThresholds,
    PingPongThresholds,
    FailingThresholds,
    PlanThresholds,
    SilentThresholds,
    ForecastThresholds,
    StalledThresholds,
    BackupThresholds,
    EdgeThresholds,
):
    """``docs/alerts.md`` says what each means. A duration of 0 switches off what it is the duration of."""

    @property
    def looks_back_us(self) -> int:
        """How old an alert may be that a rule still reads after a start."""
        offline_us = self.offline_too_long_us + self.resolve_after_us
        return max(offline_us, self.max_age_us, self.ping_pong_window_us, self.storm_window_us, self.flap_window_us)
