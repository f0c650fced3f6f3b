"""What is about to fire: the condition of a rule holds, and has not held for as long as the rule wants.

It is worked out from what the rules themselves go by, the users that are offline and what does not deliver, so that
nothing has to be kept and a restart loses nothing of it. An id, a row and a story it gets when it fires.
"""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from sidecar.alerting.engine import Engine
from sidecar.domain.alerting import kinds, words
from sidecar.domain.alerting.alert import Subject, fingerprint
from sidecar.domain.alerting.kinds import SEVERITY, Kind, Severity
from sidecar.store import alert_log
from sidecar.store.alert_records import AlertFilter

PENDING = "pending"


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """``started_at_us`` is since when the condition holds, ``fires_at_us`` when it will have held for long enough."""

    kind: Kind
    subject: Subject
    started_at_us: int
    fires_at_us: int
    summary: str
    labels: dict[str, str] = {}

    @property
    def fingerprint(self) -> str:
        """The one that the alert will have."""
        return fingerprint(self.kind, self.subject)

    @property
    def severity(self) -> Severity:
        """The one that the alert will have."""
        return SEVERITY[self.kind]


class PendingPage(msgspec.Struct, frozen=True):
    """Parts of Zimwatch first, then users, who went offline last first; ``next_cursor`` goes on from here."""

    pending: list[Pending]
    next_cursor: int | None


def page(connection: sa.Connection, engine: Engine, wanted: AlertFilter, now_us: int) -> PendingPage:
    """A page of what is about to fire; the filter's ``state`` is passed over."""

    def is_wanted(kind: Kind) -> bool:
        off = kind in engine.policy.thresholds.off
        return not off and wanted.kind in {None, kind} and wanted.severity in {None, SEVERITY[kind]}

    found: list[Pending] = []
    of_a_part = wanted.app_id is None and wanted.user_id is None and wanted.cursor is None
    if of_a_part and is_wanted(kinds.EXPORT_STALLED):
        found += _parts(engine, now_us)
    following = None
    if is_wanted(kinds.OFFLINE_TOO_LONG):
        users = _users(connection, engine, wanted, now_us)
        if len(users) > wanted.limit:
            users = users[: wanted.limit]
            following = users[-1][0]
        found += [one for _, one in users]
    return PendingPage(found, following)


def _parts(engine: Engine, now_us: int) -> list[Pending]:
    limit_us = engine.policy.thresholds.stalled_after_us
    return [
        Pending(
            kind=kinds.EXPORT_STALLED,
            subject=Subject(other=part),
            started_at_us=since_us,
            fires_at_us=since_us + limit_us,
            summary=words.stalled(part, now_us - since_us, why),
            labels={"part": part},
        )
        for part, (since_us, why) in engine.stalled.items()
        if since_us is not None and now_us < since_us + limit_us
    ]


def _users(connection: sa.Connection, engine: Engine, wanted: AlertFilter, now_us: int) -> list[tuple[int, Pending]]:
    """By the key of the user; one more than is wanted where there are more."""
    limit_us = engine.policy.thresholds.offline_too_long_us
    if not limit_us:
        return []
    found = []
    for user_key, who, since_us in alert_log.offline_since(connection, now_us - limit_us, wanted):
        started_us = min(since_us, now_us)
        pending = Pending(
            kind=kinds.OFFLINE_TOO_LONG,
            subject=Subject(*who),
            started_at_us=started_us,
            fires_at_us=started_us + limit_us,
            summary=words.offline(who[1], now_us - started_us),
        )
        found.append((user_key, pending))
    return found
