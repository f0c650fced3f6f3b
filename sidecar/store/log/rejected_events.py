"""Events that were rejected: the newest ones, kept for inspection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa

from sidecar.domain.app_ids import AppIds
from sidecar.store import schema
from sidecar.store.values import Rejected, RejectedCount

KEPT: Final = 10_000
COUNTED_MOST: Final = 1_000
ERROR_CHARACTERS: Final = 500
"""The error is in an index, and a centre's may be of any length."""


def keep(connection: sa.Connection, rejected: Sequence[Rejected]) -> None:
    """Inserts them, and deletes the oldest beyond :data:`KEPT`."""
    if not rejected:
        return
    insert = (
        "INSERT INTO rejected_events (received_at_us, batch_index, event_id, error, body, app_id) "
        "VALUES (?, ?, ?, ?, ?, ?)"
    )
    rows = [(r.received_at_us, r.index, r.event_id, r.error[:ERROR_CHARACTERS], r.body, r.app_id) for r in rejected]
    connection.exec_driver_sql(insert, rows)
    prune = "DELETE FROM rejected_events WHERE rejection <= (SELECT MAX(rejection) FROM rejected_events) - ?"
    connection.exec_driver_sql(prune, (KEPT,))


def newest(connection: sa.Connection, limit: int, apps: AppIds = None) -> list[Rejected]:
    """The newest ``limit``, of these apps, newest first."""
    kept = schema.rejected_events.c
    query = sa.select(kept.received_at_us, kept.batch_index, kept.event_id, kept.error, kept.body, kept.app_id)
    if apps is not None:
        query = query.where(kept.app_id.in_(apps))
    found = connection.execute(query.order_by(kept.rejection.desc()).limit(limit))
    return [Rejected(*row) for row in found]


def count_since(connection: sa.Connection, since_us: int, apps: AppIds = None) -> RejectedCount:
    """How many were rejected since a moment, and their most frequent error; of the newest :data:`COUNTED_MOST`."""
    kept = schema.rejected_events.c
    newest = sa.select(kept.received_at_us, kept.error, kept.app_id).order_by(kept.rejection.desc())
    looked_at = newest.limit(COUNTED_MOST).subquery("newest").c
    count = sa.func.count().label("rejected")
    query = sa.select(count, looked_at.error).where(looked_at.received_at_us >= since_us).group_by(looked_at.error)
    if apps is not None:
        query = query.where(looked_at.app_id.in_(apps))
    found = connection.execute(query.order_by(count.desc(), looked_at.error)).all()
    return RejectedCount(sum(one.rejected for one in found), found[0].error if found else None)
