"""Pending alerts: the condition of a rule holds, but not yet for as long as the rule requires.

They are computed from what the rules read, the users that are offline and the parts that do not deliver. Nothing is
stored: an alert gets its id, row and history when it fires.
"""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from sidecar.alerting.alert_reaction import AlertReaction
from sidecar.alerting.tables import rule_reads
from sidecar.alerting.tables.alert_values import AlertFilter
from sidecar.domain.alerts.alert import Kind, Severity, Subject, fingerprint
from sidecar.domain.alerts.rules import KINDS
from sidecar.domain.alerts.rules.export_stalled import ExportStalled
from sidecar.domain.alerts.rules.offline_too_long import OfflineTooLong
from sidecar.domain.texts import Text

PENDING = "pending"


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """The condition holds since ``started_at_us``; the alert fires at ``fires_at_us``."""

    kind: Kind
    subject: Subject
    started_at_us: int
    fires_at_us: int
    summary: Text
    labels: dict[str, str] = {}

    @property
    def fingerprint(self) -> str:
        """That of the alert that will fire."""
        return fingerprint(self.kind, self.subject)

    @property
    def severity(self) -> Severity:
        """That of the alert that will fire."""
        return KINDS[self.kind].severity


class PendingPage(msgspec.Struct, frozen=True):
    """Parts of Zimwatch first, then users, the last to go offline first. ``next_cursor``: that of the next page."""

    pending: list[Pending]
    next_cursor: int | None


def page(connection: sa.Connection, reaction: AlertReaction, wanted: AlertFilter, now_us: int) -> PendingPage:
    """A page of pending alerts; the filter's ``state`` is ignored."""

    def is_wanted(kind: Kind) -> bool:
        rule = KINDS[kind]
        is_on = rule.is_on(reaction.policy.thresholds)
        return is_on and wanted.kind in {None, kind} and wanted.severity in {None, rule.severity}

    found: list[Pending] = []
    following = None
    of_a_part = wanted.apps is None and wanted.user_id is None and wanted.cursor is None
    if of_a_part and is_wanted(ExportStalled.kind):
        found += _parts(reaction, now_us)
    if is_wanted(OfflineTooLong.kind):
        users, following = _users(connection, reaction, wanted, now_us)
        if len(users) > wanted.limit:
            users = users[: wanted.limit]
            following = users[-1][0]
        found += [one for _, one in users]
    return PendingPage(found, following)


def _parts(reaction: AlertReaction, now_us: int) -> list[Pending]:
    limit_us = reaction.policy.thresholds.stalled_after_us
    return [
        Pending(
            kind=ExportStalled.kind,
            subject=Subject(other=part),
            started_at_us=since_us,
            fires_at_us=since_us + limit_us,
            summary=ExportStalled.summary(part, now_us - since_us, why),
            labels={"part": part},
        )
        for part, (since_us, why) in reaction.stalled.items()
        if since_us is not None and now_us < since_us + limit_us
    ]


def _users(
    connection: sa.Connection, reaction: AlertReaction, wanted: AlertFilter, now_us: int
) -> tuple[list[tuple[int, Pending]], int | None]:
    """By the key of the user, one more than the limit where there are more; and the key of the last looked at."""
    limit_us = reaction.policy.thresholds.offline_too_long_us
    users, last = rule_reads.offline_since(connection, now_us - limit_us, wanted)
    found = []
    for user_key, who, since_us in users:
        started_us = min(since_us, now_us)
        pending = Pending(
            kind=OfflineTooLong.kind,
            subject=Subject(*who),
            started_at_us=started_us,
            fires_at_us=started_us + limit_us,
            summary=OfflineTooLong.summary(who[1], now_us - started_us),
        )
        found.append((user_key, pending))
    return found, last
