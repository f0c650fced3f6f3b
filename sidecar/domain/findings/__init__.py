"""What is wrong with a user, most important first. A new kind is a file here and its line in :data:`CHECKS`.

Findings follow from a user's events, devices and the time alone, whatever the order of arrival; ``part_of_storm`` and
``server_disagrees`` also from what is known beside the events. docs/findings.md explains each kind.
"""

from __future__ import annotations

from typing import Final

from sidecar.domain.alerts.alert import SEVERITIES
from sidecar.domain.findings.called_before_connected import CalledBeforeConnected
from sidecar.domain.findings.calls_failing import CallsFailing
from sidecar.domain.findings.clock_wrong import ClockWrong
from sidecar.domain.findings.duplicate_login_calls import DuplicateLoginCalls
from sidecar.domain.findings.finding import HOLDS_US, Check, Finding, FindingKind
from sidecar.domain.findings.kicked_by_other_device import KickedByOtherDevice
from sidecar.domain.findings.life import Life
from sidecar.domain.findings.login_refused import LoginRefused
from sidecar.domain.findings.never_logged_in import NeverLoggedIn
from sidecar.domain.findings.old_sdk import OldSdk
from sidecar.domain.findings.part_of_storm import PartOfStorm
from sidecar.domain.findings.plan_limit import PlanLimit
from sidecar.domain.findings.server_disagrees import ServerDisagrees
from sidecar.domain.findings.silent_device import SilentDevice
from sidecar.domain.findings.token_expired import TokenExpired
from sidecar.domain.findings.token_not_renewed import TokenNotRenewed
from sidecar.domain.findings.unstable_network import UnstableNetwork

# Of one severity, the first here comes first: a cause before what follows from it.
CHECKS: Final[tuple[type[Check], ...]] = (
    PartOfStorm,
    PlanLimit,
    ClockWrong,
    LoginRefused,
    KickedByOtherDevice,
    TokenNotRenewed,
    TokenExpired,
    NeverLoggedIn,
    UnstableNetwork,
    CallsFailing,
    CalledBeforeConnected,
    DuplicateLoginCalls,
    SilentDevice,
    ServerDisagrees,
    OldSdk,
)
KINDS: Final[dict[FindingKind, type[Check]]] = {check.kind: check for check in CHECKS}


def find(life: Life) -> list[Finding]:
    """All findings, the most severe first."""
    types = {event.type for event in life.events}
    possible = [check for check in CHECKS if check.types is None or not types.isdisjoint(check.types)]
    found = [finding for check in possible if (finding := check.find(life)) is not None]
    return sorted(found, key=lambda finding: -SEVERITIES.index(finding.severity))


__all__ = ["CHECKS", "HOLDS_US", "KINDS", "Check", "Finding", "FindingKind", "Life", "find"]
