"""Opens the alerts that time alone opens, some in each transaction, so that no event waits for many.

Users about whom an alert is due join the window of its storm, and alerts that are held open on a later tick: see
:mod:`sidecar.domain.alerts.rules.due_storm`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa

from sidecar.alerting.tables import alert_log, rule_reads, storm_rows, watchlist_rows
from sidecar.alerting.unit_of_work import UnitOfWork
from sidecar.domain.alerts.rules.base_rule import DueRule
from sidecar.domain.alerts.rules.client_lost import ClientLost
from sidecar.domain.alerts.rules.offline_too_long import OfflineTooLong
from sidecar.domain.alerts.thresholds import Thresholds
from sidecar.domain.alerts.watchlist import Due

# The name of the cursor over leases that ran out.
_LAPSED: Final = "lapsed_leases"


def take_offline(unit: UnitOfWork, limits: Thresholds, now_us: int, limit: int) -> bool:
    """Takes users that have been offline for too long; whether more may be due."""
    if not unit.watch.switches.offline:
        return False
    rule = unit.rules.of(OfflineTooLong)
    still, gone = watchlist_rows.offline_since(unit.connection, now_us - limits.offline_too_long_us, limit)
    for who in gone:
        unit.watch.not_offline(who)  # the rules failed when the user came back
    _take(unit, rule, rule.due(still, now_us), now_us)
    return len(still) + len(gone) == limit


def take_lost(unit: UnitOfWork, limits: Thresholds, now_us: int, limit: int) -> bool:
    """Takes users whose leases ended; whether more may be due."""
    seen_us = lapses_seen_us(unit.connection, limits, now_us)
    lost, through_us = rule_reads.lost_users(unit.connection, seen_us, limit)
    if lost:
        alert_log.move_cursor(unit.connection, _LAPSED, through_us)
        _take(unit, unit.rules.of(ClientLost), lost, now_us)
    return len(lost) >= limit


def open_held(unit: UnitOfWork, now_us: int, limit: int) -> bool:
    """Opens alerts that need not be held any longer, unless their cause is over; whether more may be."""
    for holds in storm_rows.holding(unit.connection):
        before_us = unit.rules.storm_of(holds.single).held_before_us(holds.users_at_most, now_us)
        held = storm_rows.release(unit.connection, holds, before_us, limit)
        due = [Due(one.who, one.since_us, late=one.late) for one in held if one.since_us is not None]
        unit.rules.due(holds.single).open(due, now_us)
        limit -= len(held)
        if limit <= 0:
            return True
    return False


def lapses_seen_us(connection: sa.Connection, limits: Thresholds, now_us: int) -> int:
    """Up to which moment, in lease time, ended leases were read."""
    seen_us = alert_log.cursor(connection, _LAPSED)
    if seen_us is None:
        # Leases that ended long before the first read open no alert.
        seen_us = rule_reads.newest_lapse_us(connection, now_us - limits.max_age_us)
        alert_log.move_cursor(connection, _LAPSED, seen_us)
    return seen_us


def _take(unit: UnitOfWork, rule: DueRule[Any], due: Sequence[Due], now_us: int) -> None:
    opening = unit.rules.storm_of(rule.kind).take(due, now_us)
    unit.consider_storms()
    rule.open(opening, now_us)
