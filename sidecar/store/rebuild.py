"""Builds every projection again from the event log. What the log does not hold is kept: it could not be had again.

That is what heartbeats told of clients, and, where retention has removed events, the users and clients that these were
of: they stay as they are, and all others are made anew.
"""

from __future__ import annotations

import sqlalchemy as sa

from sidecar.domain.events import Event
from sidecar.domain.lease import Leases
from sidecar.domain.lease_time import LeaseTime
from sidecar.store import rows, search, server_views, tables
from sidecar.store.projections import Projections, UserId, Who

_SLICE = 5_000


def rebuild(connection: sa.Connection, leases: Leases, time: LeaseTime) -> int:
    """Throws away what follows from events that are all in the log, and applies them anew; how many the log holds.

    In the caller's transaction: either all of it is new, or nothing has changed.
    """
    heard, differing = _heard(connection), server_views.differing_since(connection)
    kept = _throw_away(connection)
    search.anew(connection)
    projections = Projections(connection, leases)
    position = count = 0
    every = rows.columns(tables.events)
    while True:
        sql = f"SELECT {every} FROM events WHERE position > ? ORDER BY position LIMIT {_SLICE}"
        stored = [rows.stored_event(row) for row in connection.exec_driver_sql(sql, (position,))]
        if not stored:
            server_views.restore_since(connection, differing)
            return count
        projections.load(connection, [one.event for one in stored if _who(one.event) not in kept])
        projections.load_traces([one.event for one in stored if _who(one.event) in kept])
        for one in stored:
            projections.next_position = one.position
            if _who(one.event) in kept:
                projections.note_trace(one.event)
            else:
                projections.apply(one.event)
        projections.remember(heard)
        statuses = projections.write(time)
        server_views.follow(connection, [one.event for one in stored], statuses)
        position, count = stored[-1].position, count + len(stored)


def _who(event: Event) -> Who:
    return event.client_id if event.user_id is None else (event.app_id, event.user_id)


def _throw_away(connection: sa.Connection) -> set[Who]:
    """Deletes what can be made anew; the users, and clients of nobody, that cannot."""
    first = connection.exec_driver_sql("SELECT MIN(position) FROM events").scalar()
    if first is None:
        first = tables.LARGEST
    if first == 1:
        for table in (tables.clients, tables.traces, tables.user_status, tables.user_groups, tables.server_views):
            connection.execute(sa.delete(table))
        return set()
    users = (
        "SELECT app_id, user_id FROM user_status WHERE last_position < ?"
        " UNION SELECT app_id, user_id FROM events WHERE previous_user_position < ?"
    )
    nobody = f"user_key = {tables.NOBODY}"
    strays = (
        f"SELECT client_id FROM clients WHERE {nobody} AND last_position < ?"
        " UNION SELECT client_id FROM events WHERE user_id IS NULL AND previous_client_position < ?"
    )
    connection.exec_driver_sql("CREATE TEMP TABLE kept_users (app_id, user_id, PRIMARY KEY (app_id, user_id))")
    connection.exec_driver_sql("CREATE TEMP TABLE kept_strays (client_id PRIMARY KEY)")
    connection.exec_driver_sql(f"INSERT INTO kept_users {users}", (first, first))
    connection.exec_driver_sql(f"INSERT INTO kept_strays {strays}", (first, first))
    counted = "(SELECT COUNT(*) FROM user_status WHERE user_status.group_key = user_groups.group_key)"
    for sql in (
        "DELETE FROM user_status WHERE (app_id, user_id) NOT IN (SELECT app_id, user_id FROM kept_users)",
        "DELETE FROM server_views WHERE (app_id, user_id) NOT IN (SELECT app_id, user_id FROM kept_users)",
        f"DELETE FROM clients WHERE {nobody} AND client_id NOT IN (SELECT client_id FROM kept_strays)",
        f"DELETE FROM clients WHERE NOT {nobody} AND user_key NOT IN (SELECT user_key FROM user_status)",
        f"UPDATE user_groups SET users = {counted}",
    ):
        connection.exec_driver_sql(sql)
    connection.exec_driver_sql("DELETE FROM traces WHERE root_position >= ?", (first,))
    kept: set[Who] = {(row[0], row[1]) for row in connection.exec_driver_sql("SELECT * FROM kept_users")}
    kept |= {row[0] for row in connection.exec_driver_sql("SELECT * FROM kept_strays")}
    connection.exec_driver_sql("DROP TABLE kept_users")
    connection.exec_driver_sql("DROP TABLE kept_strays")
    return kept


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
