"""Reads of the event log: in order, the newest event, an event by its id."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import sqlalchemy as sa

from sidecar.domain.app_ids import AppIds
from sidecar.store import database, mapping, schema
from sidecar.store.conditions import in_apps
from sidecar.store.log_positions import position_as_of
from sidecar.store.values import StoredEvent

_SLICE: Final = 2_000
# How many events are searched for the newest of one app: the log has no index by app.
NEWEST_OF_ALL: Final = 1_000


def events_since(connection: sa.Connection, since_us: int) -> Iterator[list[StoredEvent]]:
    """The events received since then, oldest first, in slices."""
    position = position_as_of(connection, since_us - 1)
    columns = mapping.columns(schema.events)
    sql = f"SELECT {columns} FROM events WHERE position > ? AND received_at_us >= ? ORDER BY position LIMIT {_SLICE}"
    while True:
        stored = [mapping.stored_event(row) for row in connection.exec_driver_sql(sql, (position, since_us))]
        if not stored:
            return
        yield stored
        position = stored[-1].position


def events_after(connection: sa.Connection, position: int, limit: int) -> list[StoredEvent]:
    """The next ``limit`` events behind a position, in their order."""
    sql = f"SELECT {mapping.columns(schema.events)} FROM events WHERE position > ? ORDER BY position LIMIT ?"
    return [mapping.stored_event(row) for row in connection.exec_driver_sql(sql, (position, limit))]


def newest_event(connection: sa.Connection, apps: AppIds = None) -> StoredEvent | None:
    """The newest event; of some apps, if it is among the newest :data:`NEWEST_OF_ALL` of all."""
    where = ""
    values: tuple[int, ...] = ()
    if apps is not None:
        own = in_apps(apps)
        where = f"WHERE position > (SELECT MAX(position) FROM events) - ? AND {own.sql}"
        values = (NEWEST_OF_ALL, *own.values)
    sql = f"SELECT {mapping.columns(schema.events)} FROM events {where} ORDER BY position DESC LIMIT 1"
    row = connection.exec_driver_sql(sql, values).first()
    return None if row is None else mapping.stored_event(row)


def event_by_id(connection: sa.Connection, app_id: int, event_id: bytes) -> StoredEvent | None:
    """The app's event with this id; None if it is not in the log."""
    position = f"SELECT position FROM {database.of(connection).expressions.event_ids} WHERE id = ? AND app_id = ?"
    sql = f"SELECT {mapping.columns(schema.events)} FROM events WHERE position = ({position})"
    found = connection.exec_driver_sql(sql, (event_id, app_id)).first()
    return None if found is None else mapping.stored_event(found)
