"""Builds every projection again from the event log. What heartbeats told, which the log does not hold, is kept."""

from __future__ import annotations

import sqlalchemy as sa

from sidecar.domain.lease import Leases
from sidecar.store import rows, server_views, tables
from sidecar.store.projections import Projections, UserId

_SLICE = 5_000


def rebuild(connection: sa.Connection, leases: Leases) -> int:
    """Throws clients, traces, user status and counts away and applies the log anew; how many events it holds.

    In the caller's transaction: either all of it is new, or nothing has changed.
    """
    heard, differing = _heard(connection), server_views.differing_since(connection)
    projected = (tables.clients, tables.traces, tables.user_status, tables.user_counts, tables.server_views)
    for table in projected:
        connection.execute(sa.delete(table))
    position = count = 0
    every = rows.columns(tables.events)
    while True:
        sql = f"SELECT {every} FROM events WHERE position > ? ORDER BY position LIMIT {_SLICE}"
        stored = [rows.stored_event(row) for row in connection.exec_driver_sql(sql, (position,))]
        if not stored:
            server_views.restore_since(connection, differing)
            return count
        projections = Projections(connection, leases)
        projections.load([one.event for one in stored])
        for one in stored:
            projections.apply(one.position, one.event)
        projections.remember(heard)
        projections.write()
        server_views.follow(connection, [one.event for one in stored], projections.statuses)
        position, count = stored[-1].position, count + len(stored)


def _heard(connection: sa.Connection) -> dict[tuple[bytes, UserId | None], int]:
    sql = (
        "SELECT client_id, app_id, user_id, clients.last_seen_at_us FROM clients"
        " LEFT JOIN user_status USING (user_key) WHERE sends_heartbeats"
    )
    found = connection.exec_driver_sql(sql)
    return {(row[0], None if row[1] is None else (row[1], row[2])): row[3] for row in found}
