"""The alert rules: one file a kind. A new rule is a file here and its line in :data:`RULES`.

Source of the advice: ZEGOCLOUD, In-app Chat, "Manage user login", section "Handle user login exceptions".
"""

from __future__ import annotations

from typing import Any, Final

from sidecar.domain.alerts.alert import Alert, Kind
from sidecar.domain.alerts.rules.app_silent import AppSilent
from sidecar.domain.alerts.rules.backup_overdue import BackupOverdue
from sidecar.domain.alerts.rules.base_rule import DueRule, Rule
from sidecar.domain.alerts.rules.calls_failing import CallsFailing
from sidecar.domain.alerts.rules.client_lost import ClientLost
from sidecar.domain.alerts.rules.due_storm import DueStorm
from sidecar.domain.alerts.rules.edge_behind import EdgeBehind
from sidecar.domain.alerts.rules.export_stalled import ExportStalled
from sidecar.domain.alerts.rules.kick_ping_pong import KickPingPong
from sidecar.domain.alerts.rules.kick_storm import KickStorm
from sidecar.domain.alerts.rules.kicked_out import KickedOut
from sidecar.domain.alerts.rules.login_timeout import LoginTimeout
from sidecar.domain.alerts.rules.lost_storm import LostStorm
from sidecar.domain.alerts.rules.offline_storm import OfflineStorm
from sidecar.domain.alerts.rules.offline_too_long import OfflineTooLong
from sidecar.domain.alerts.rules.plan_limit import PlanLimit
from sidecar.domain.alerts.rules.reconnect_storm import ReconnectStorm
from sidecar.domain.alerts.rules.storm_rule import StormRule
from sidecar.domain.alerts.rules.token_expired import TokenExpired
from sidecar.domain.alerts.rules.token_expiring import TokenExpiring
from sidecar.domain.alerts.rules.unregistered import Unregistered
from sidecar.domain.texts import Sentence, Text

RULES: Final[tuple[type[Rule[Any]], ...]] = (
    KickedOut,
    TokenExpiring,
    TokenExpired,
    LoginTimeout,
    Unregistered,
    OfflineTooLong,
    KickPingPong,
    ReconnectStorm,
    KickStorm,
    LostStorm,
    OfflineStorm,
    CallsFailing,
    PlanLimit,
    AppSilent,
    ClientLost,
    ExportStalled,
    BackupOverdue,
    EdgeBehind,
)
KINDS: Final[dict[Kind, type[Rule[Any]]]] = {rule.kind: rule for rule in RULES}
STORMS: Final[dict[Kind, type[StormRule[Any]]]] = {rule.kind: rule for rule in RULES if issubclass(rule, StormRule)}
DUE: Final[dict[Kind, type[DueRule[Any]]]] = {rule.kind: rule for rule in RULES if issubclass(rule, DueRule)}
STORM_OF: Final[dict[Kind, type[DueStorm]]] = {rule.single: rule for rule in RULES if issubclass(rule, DueStorm)}
"""The storm of alerts of a kind that open by time."""


def is_storm(alert: Alert) -> bool:
    """Whether it is about many users of an app, and has a record of them."""
    return alert.kind in STORMS and alert.subject.user_id is None


def advice_sentences(kind: Kind, summary: Text | None = None) -> tuple[Sentence, ...]:
    """What to do about an alert of this kind with this summary."""
    while summary is not None and isinstance(wrapped := summary.parameters.get("told"), Text):
        summary = wrapped
    return KINDS[kind].advice_for(summary)


def advice(kind: Kind, summary: Text | None = None) -> str:
    """The same in English."""
    return " ".join(one.template for one in advice_sentences(kind, summary))
