"""Rebuilds every projection from the event log, and keeps what the log does not have.

That is the last heartbeat of clients, and, where retention has deleted events, the users and clients of these events:
they stay as they are, and all others are rebuilt.
"""

from __future__ import annotations

import sqlalchemy as sa

from sidecar.domain.lease import Leases, LeaseTime
from sidecar.store import database, mapping, schema
from sidecar.store.users import happenings, server_views
from sidecar.store.users.projections import Heartbeats, Projections
from sidecar.store.users.working_set import owner_of
from sidecar.store.values import Owner, UserId

_SLICE = 5_000
_EXISTS = "EXISTS (SELECT 1 FROM events WHERE position = {0})"
# Users and clients not all of whose events are in the log; for the time of a rebuild.
KEPT = sa.MetaData()
sa.Table(
    "kept_users",
    KEPT,
    sa.Column("app_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("user_id", sa.Text, primary_key=True),
    prefixes=["TEMPORARY"],
)
sa.Table("kept_strays", KEPT, sa.Column("client_id", sa.LargeBinary, primary_key=True), prefixes=["TEMPORARY"])


def rebuild(connection: sa.Connection, leases: Leases, time: LeaseTime) -> int:
    """Deletes what follows from events that are in the log, and applies these again; returns their number.

    In the caller's transaction: either everything is rebuilt, or nothing has changed.
    """
    (heartbeats, last_seen_us), differing = _heartbeats(connection), server_views.differing_since(connection)
    lapses = _lapses(connection)
    database.of(connection).changed(connection, None)
    kept = _delete(connection)
    connection.exec_driver_sql("DELETE FROM followers WHERE name = ?", (schema.OUTDATED,))
    database.of(connection).index_ids(connection, None)
    projections = Projections(connection, leases)
    position = count = 0
    every = mapping.columns(schema.events)
    while True:
        sql = f"SELECT {every} FROM events WHERE position > ? ORDER BY position LIMIT {_SLICE}"
        stored = [mapping.stored_event(row) for row in connection.exec_driver_sql(sql, (position,))]
        if not stored:
            server_views.restore_since(connection, differing)
            return count
        projections.load(connection, [one.event for one in stored if owner_of(one.event) not in kept], time)
        projections.load_traces([one.event for one in stored if owner_of(one.event) in kept])
        for one in stored:
            projections.next_position = one.position
            if owner_of(one.event) in kept:
                projections.begin_trace(one.event)
            else:
                projections.apply(one.event)
        projections.restore_heartbeats(heartbeats, last_seen_us)
        statuses = projections.write(time, lapses)
        events = [one.event for one in stored]
        server_views.follow(connection, events, statuses)
        happenings.follow(connection, events)
        position, count = stored[-1].position, count + len(stored)


def _delete(connection: sa.Connection) -> set[Owner]:
    """Deletes what can be rebuilt; returns the users, and the clients without a user, that cannot."""
    connection.execute(sa.delete(schema.happenings))
    first = connection.exec_driver_sql("SELECT MIN(position) FROM events").scalar()
    if first is None:
        first = schema.LARGEST
    apart = connection.exec_driver_sql("SELECT 1 FROM pruned_apps LIMIT 1").first()
    if first == 1 and apart is None:
        for table in (
            schema.clients,
            schema.client_blocks,
            schema.traces,
            schema.user_status,
            schema.user_groups,
            schema.server_views,
        ):
            connection.execute(sa.delete(table))
        return set()
    users = (
        f"SELECT app_id, user_id FROM user_status WHERE {_deleted('last_position', 'user_status')}"
        f" UNION SELECT app_id, user_id FROM events WHERE {_deleted('previous_user_position', 'events')}"
    )
    nobody = f"user_key = {schema.NOBODY}"
    without_last = f"(last_position < ? OR NOT {_EXISTS.format('last_position')})"
    without_previous = _deleted("previous_client_position", "events")
    strays = (
        f"SELECT client_id FROM clients WHERE {nobody} AND {without_last}"
        f" UNION SELECT client_id FROM events WHERE user_id IS NULL AND {without_previous}"
    )
    KEPT.create_all(connection, checkfirst=False)
    connection.exec_driver_sql(f"INSERT INTO kept_users {users}", (first, first))
    connection.exec_driver_sql(f"INSERT INTO kept_strays {strays}", (first, first))
    counted = "(SELECT COUNT(*) FROM user_status WHERE user_status.group_key = user_groups.group_key)"
    for sql in (
        "DELETE FROM user_status WHERE (app_id, user_id) NOT IN (SELECT app_id, user_id FROM kept_users)",
        "DELETE FROM server_views WHERE (app_id, user_id) NOT IN (SELECT app_id, user_id FROM kept_users)",
        f"DELETE FROM clients WHERE {nobody} AND client_id NOT IN (SELECT client_id FROM kept_strays)",
        f"DELETE FROM clients WHERE NOT {nobody} AND user_key NOT IN (SELECT user_key FROM user_status)",
        f"DELETE FROM client_blocks WHERE NOT {nobody} AND user_key NOT IN (SELECT user_key FROM user_status)",
        f"DELETE FROM client_blocks WHERE {nobody} AND client_id NOT IN (SELECT client_id FROM kept_strays)",
        f"UPDATE user_groups SET users = {counted}",
    ):
        connection.exec_driver_sql(sql)
    connection.exec_driver_sql(
        f"DELETE FROM traces WHERE root_position >= ? AND {_EXISTS.format('root_position')}", (first,)
    )
    kept: set[Owner] = {(row[0], row[1]) for row in connection.exec_driver_sql("SELECT * FROM kept_users")}
    kept |= {row[0] for row in connection.exec_driver_sql("SELECT * FROM kept_strays")}
    KEPT.drop_all(connection, checkfirst=False)
    return kept


def _deleted(position: str, table: str) -> str:
    """Whether the event at a position is deleted; the value is the position of the log's oldest event."""
    of_app = f"SELECT first_position FROM pruned_apps WHERE pruned_apps.app_id = {table}.app_id"
    return f"({position} < ? OR {position} < ({of_app}))"


def _lapses(connection: sa.Connection) -> dict[UserId, int]:
    """The users whose lease has ended, and when it did. After a crash lease time may be before that."""
    lapsed = "lease_lapsed = TRUE AND lease_check_us IS NOT NULL"
    sql = f"SELECT app_id, user_id, lease_check_us FROM user_status WHERE {lapsed}"
    return {(app_id, user_id): ended_us for app_id, user_id, ended_us in connection.exec_driver_sql(sql)}


def _heartbeats(
    connection: sa.Connection,
) -> tuple[dict[tuple[bytes, UserId | None], Heartbeats], dict[UserId, int]]:
    """The last signs of life of the clients that send heartbeats, and of their users."""
    heartbeats: dict[tuple[bytes, UserId | None], Heartbeats] = {}
    last_seen_us: dict[UserId, int] = {}
    sql = (
        "SELECT client_id, app_id, user_id, clients.last_seen_at_us, heartbeat_after_s, user_status.last_seen_at_us"
        " FROM clients LEFT JOIN user_status USING (user_key) WHERE sends_heartbeats"
    )
    for client_id, app_id, user_id, seen_us, after_s, user_seen_us in connection.exec_driver_sql(sql):
        heartbeats[client_id, None if app_id is None else (app_id, user_id)] = seen_us, after_s
        if app_id is not None:
            last_seen_us[app_id, user_id] = user_seen_us
    for app_id, user_id, packed, user_seen_us in connection.exec_driver_sql(
        "SELECT app_id, user_id, clients, last_seen_at_us FROM user_status WHERE NOT crowded"
    ):
        for client in mapping.unpack(packed):
            if client.sends_heartbeats:
                heartbeats[client.client_id, (app_id, user_id)] = client.last_seen_at_us, client.heartbeat_after_s
                last_seen_us[app_id, user_id] = user_seen_us
    return heartbeats, last_seen_us
