"""The settings of alerts in the units of the domain, and what a tick brings with it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from sidecar.domain.alerts.routing import Route
from sidecar.domain.alerts.rules.backup_overdue import LastBackup
from sidecar.domain.alerts.rules.edge_behind import KnownEdges
from sidecar.domain.alerts.rules.token_expiring import Ending
from sidecar.domain.alerts.thresholds import Thresholds
from sidecar.domain.apps import Apps
from sidecar.domain.texts import Text
from sidecar.domain.units import SECOND_US
from sidecar.domain.user_naming import Mode
from sidecar.store.users.app_hours import Activity


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """Which receivers are notified, and how often. ``base``: the dashboard's URL; ``apps``: what the apps are called.

    ``receivers``: the most messages a minute of each; ``user_ids``: how those to each name users, if not by the id.
    ``grace_us``: for so long after a start no client counts as lost, because senders wait before they try again.
    """

    thresholds: Thresholds = Thresholds()
    receivers: dict[str, int] = {}
    user_ids: Mapping[str, Mode] = {}
    takes_acknowledgements: frozenset[str] = frozenset()
    routes: tuple[Route, ...] = ()
    group_by: tuple[str, ...] = ("kind", "app_id")
    group_wait_us: int = 0
    group_interval_us: int = 30 * SECOND_US
    group_alone: int = 5
    repeat_us: int = 0
    most_per_minute: int = 120
    grace_us: int = 45 * SECOND_US
    base: str = ""
    apps: Apps = Apps()


class Gathered(msgspec.Struct, frozen=True, kw_only=True):
    """What a tick reads beside events. ``stalled``: part → since when (None: it delivers), and why.

    ``tokens_ending``, ``activity``, ``backup`` and ``edges`` are None on the ticks on which they are not read.
    """

    tokens_ending: Mapping[int, Ending] | None = None
    activity: Activity | None = None
    stalled: Mapping[str, tuple[int | None, Text]] = {}
    backup: LastBackup | None = None
    edges: KnownEdges | None = None
