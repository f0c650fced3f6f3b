"""A user's life, read from the store: what its findings are made from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa

from sidecar.alerting.tables import storm_rows
from sidecar.domain import findings
from sidecar.domain.alerts.alert import FIRING
from sidecar.domain.findings import Finding, Life
from sidecar.store.users import user_reads
from sidecar.store.values import StoredEvent, UserDetail

# The newest events that findings are made from.
EVENTS: Final = 200
_STORMS: Final = 3


def user_findings(connection: sa.Connection, detail: UserDetail, now_us: int) -> list[Finding]:
    """What is wrong with a user, from its newest :data:`EVENTS`."""
    user = detail.user
    stored = user_reads.timeline(connection, user.app_id, user.user_id, before=None, limit=EVENTS)
    return findings.find(life(connection, detail, stored, now_us))


def life(connection: sa.Connection, detail: UserDetail, stored: Sequence[StoredEvent], now_us: int) -> Life:
    """The life of a user at ``now_us``, from the events given."""
    user = detail.user
    # A clock that was set back: what was received has happened.
    now_us = max([now_us, *(one.event.received_at_us for one in stored)])
    storms = storm_rows.of_user(connection, user.app_id, user.user_id, _STORMS)
    return Life.of(
        now_us,
        user.user_id,
        [one.event for one in stored],
        devices=detail.sessions,
        status=user.status,
        since_us=user.since_us,
        reason=user.reason,
        unconfirmed=user.unconfirmed,
        disagreement=user.disagreement,
        storms=[storm for storm in storms if storm.state == FIRING],
    )
