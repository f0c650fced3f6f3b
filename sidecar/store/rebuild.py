"""Builds every projection again from the event log. What heartbeats told, which the log does not hold, is kept."""

from __future__ import annotations

import sqlalchemy as sa

from sidecar.domain.lease import Leases
from sidecar.store import rows, tables
from sidecar.store.projections import Projections, UserId

_SLICE = 5_000


def rebuild(connection: sa.Connection, leases: Leases, now_us: int) -> int:
    """Throws clients, traces, user status and groups away and applies the log anew; how many events it holds.

    In the caller's transaction: either all of it is new, or nothing has changed.
    """
    heard = _heard(connection)
    for table in (tables.clients, tables.traces, tables.user_status, tables.user_groups):
        connection.execute(sa.delete(table))
    projections = Projections(connection, leases)
    position = count = 0
    every = rows.columns(tables.events)
    while True:
        sql = f"SELECT {every} FROM events WHERE position > ? ORDER BY position LIMIT {_SLICE}"
        stored = [rows.stored_event(row) for row in connection.exec_driver_sql(sql, (position,))]
        if not stored:
            return count
        projections.load(connection, [one.event for one in stored])
        for one in stored:
            projections.next_position = one.position
            projections.apply(one.event)
        projections.remember(heard)
        projections.write(now_us)
        position, count = stored[-1].position, count + len(stored)


def _heard(connection: sa.Connection) -> dict[tuple[bytes, UserId | None], int]:
    heard: dict[tuple[bytes, UserId | None], int] = {}
    sql = (
        "SELECT client_id, app_id, user_id, clients.last_seen_at_us FROM clients"
        " LEFT JOIN user_status USING (user_key) WHERE sends_heartbeats"
    )
    for row in connection.exec_driver_sql(sql):
        heard[row[0], None if row[1] is None else (row[1], row[2])] = row[3]
    for app_id, user_id, packed in connection.exec_driver_sql(
        "SELECT app_id, user_id, clients FROM user_status WHERE clients IS NOT NULL"
    ):
        for client in rows.unpack(packed):
            if client.sends_heartbeats:
                heard[client.client_id, (app_id, user_id)] = client.last_seen_at_us
    return heard
