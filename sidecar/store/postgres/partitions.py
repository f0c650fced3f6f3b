"""The event log in partitions by position, each of about a day's events, and the ids of all events.

Events are read by position everywhere, and positions are given in the order of receipt: a range of positions is a time
of receipt, and a read by position looks into one partition. A partition cannot know the ids of the others, so that
``event_ids`` decides what was sent twice. Triggers keep it, whoever inserts or deletes events.

A partition is made when the one before is half full, or by whoever inserts an event that has none. Who writes has the
lock of commits, so that nobody else makes one at the same time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import psycopg
import sqlalchemy as sa

from sidecar.domain.units import DAY_US
from sidecar.store.log_partitions import Detached, Partition
from sidecar.store.log_positions import position_as_of
from sidecar.store.schema import LARGEST
from sidecar.store.values import UserId

LEAST_EVENTS: Final = 100_000
"""A partition has room for so many at least: not every small database needs one for each day."""
LOCK_MS: Final = 100
"""Readers and commits wait so long at most for a partition that cannot be detached, because of a longer read."""
_HASHED: Final = 8

_FIRST: Final = f"events_0_{LEAST_EVENTS + 1}"
DDL: Final = (
    # Of the table that was made as on any engine.
    f"ALTER TABLE events RENAME TO {_FIRST}",
    f"ALTER TABLE {_FIRST} RENAME CONSTRAINT events_pkey TO {_FIRST}_pkey",
    "DROP INDEX events_by_id",
    f"CREATE TABLE events (LIKE {_FIRST} INCLUDING DEFAULTS) PARTITION BY RANGE (position)",
    "ALTER TABLE events ADD PRIMARY KEY (position)",
    "ALTER SEQUENCE events_position_seq OWNED BY events.position",
    f"ALTER TABLE events ATTACH PARTITION {_FIRST} FOR VALUES FROM (MINVALUE) TO ({LEAST_EVENTS + 1})",
    (
        "CREATE TABLE event_ids (app_id BIGINT NOT NULL, id BYTEA NOT NULL, position BIGINT NOT NULL,"
        " PRIMARY KEY (id, app_id)) PARTITION BY HASH (id)"
    ),
    *(
        f"CREATE TABLE event_ids_{part} PARTITION OF event_ids FOR VALUES WITH (MODULUS {_HASHED}, REMAINDER {part})"
        for part in range(_HASHED)
    ),
    (
        "CREATE FUNCTION add_event_ids() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO event_ids"
        " (app_id, id, position) SELECT app_id, id, position FROM added; RETURN NULL; END $$"
    ),
    (
        "CREATE TRIGGER add_event_ids AFTER INSERT ON events REFERENCING NEW TABLE AS added"
        " FOR EACH STATEMENT EXECUTE FUNCTION add_event_ids()"
    ),
    (
        "CREATE FUNCTION remove_event_ids() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM event_ids"
        " USING removed WHERE event_ids.id = removed.id AND event_ids.app_id = removed.app_id; RETURN NULL; END $$"
    ),
    (
        "CREATE TRIGGER remove_event_ids AFTER DELETE ON events REFERENCING OLD TABLE AS removed"
        " FOR EACH STATEMENT EXECUTE FUNCTION remove_event_ids()"
    ),
    'CREATE TABLE detached_partitions (name TEXT COLLATE "C" PRIMARY KEY, through BIGINT NOT NULL)',
)
"""``detached_partitions``: partitions that are about to be dropped, see :class:`Detached`."""
# A name has the bounds: events_FIRST_END.
_NAMES: Final = (
    "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid"
    " WHERE inhparent = 'events'::regclass ORDER BY split_part(relname, '_', 2)::bigint"
)
_NEWEST: Final = "SELECT position, received_at_us FROM events ORDER BY position DESC LIMIT 1"
_OLDEST: Final = "SELECT position, received_at_us FROM events ORDER BY position LIMIT 1"
_EVENT: Final = "position, received_at_us, starts_trace, app_id, user_id, client_id, session_id, type"


class Partitions:
    """A :class:`sidecar.store.log_partitions.LogPartitions`.

    It keeps the end of the last partition in memory, which no other node makes smaller.
    """

    def __init__(self) -> None:
        self._end = 0
        self._half = 0

    def look_again(self) -> None:
        """To be called after a transaction that was undone: partitions that it made are not there."""
        self._end = self._half = 0

    def make_room(self, connection: sa.Connection, position: int) -> None:
        """Makes the partition of this position, where there is none."""
        if position >= self._end:
            self._look(connection)
            if position >= self._end:
                self._make(connection, position)

    def make_ahead(self, connection: sa.Connection) -> None:
        """See :class:`sidecar.store.log_partitions.LogPartitions`."""
        newest = connection.exec_driver_sql(_NEWEST).first()
        if newest is not None and newest[0] >= self._half:
            self._look(connection)
            if newest[0] >= self._half and self._end <= LARGEST:
                self._make(connection, self._end)

    def oldest(self, connection: sa.Connection) -> Partition | None:
        """See :class:`sidecar.store.log_partitions.LogPartitions`."""
        name = self._names(connection)[0]
        _, end = _bounds(name)
        if (
            end > LARGEST
            or connection.exec_driver_sql("SELECT 1 FROM events WHERE position >= ? LIMIT 1", (end,)).first() is None
        ):
            return None
        first, last = (
            connection.exec_driver_sql(f"SELECT position, received_at_us FROM {name} ORDER BY position {order} LIMIT 1")
            for order in ("ASC", "DESC")
        )
        begins, ends = first.first() or (end - 1, 0), last.first() or (end - 1, 0)
        return Partition(name, begins[0], ends[0], begins[1], ends[1])

    def lock(self, connection: sa.Connection) -> bool:
        """See :class:`sidecar.store.log_partitions.LogPartitions`."""
        before = connection.exec_driver_sql("SELECT current_setting('lock_timeout')").scalar_one()
        connection.exec_driver_sql("SAVEPOINT unlocked")
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_MS}ms'")
        try:
            connection.exec_driver_sql("LOCK TABLE events IN ACCESS EXCLUSIVE MODE")
        except sa.exc.OperationalError as error:
            if not isinstance(error.orig, psycopg.errors.LockNotAvailable):
                raise
            connection.exec_driver_sql("ROLLBACK TO SAVEPOINT unlocked")
            return False
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{before}'")
        connection.exec_driver_sql("RELEASE SAVEPOINT unlocked")
        return True

    def detach(self, connection: sa.Connection, partition: Partition) -> None:
        """See :class:`sidecar.store.log_partitions.LogPartitions`."""
        connection.exec_driver_sql(f"ALTER TABLE events DETACH PARTITION {partition.name}")
        connection.exec_driver_sql("INSERT INTO detached_partitions (name, through) VALUES (?, -1)", (partition.name,))

    def detached(self, connection: sa.Connection) -> Detached | None:
        """See :class:`sidecar.store.log_partitions.LogPartitions`."""
        row = connection.exec_driver_sql("SELECT name, through FROM detached_partitions ORDER BY name LIMIT 1").first()
        return None if row is None else Detached(*row)

    def events(self, connection: sa.Connection, partition: Detached, limit: int) -> Sequence[Any]:
        """See :class:`sidecar.store.log_partitions.LogPartitions`."""
        sql = f"SELECT {_EVENT} FROM {partition.name} WHERE position > ? ORDER BY position LIMIT ?"
        return connection.exec_driver_sql(sql, (partition.through, limit)).all()

    def forget(self, connection: sa.Connection, partition: Detached, through: int) -> None:
        """See :class:`sidecar.store.log_partitions.LogPartitions`."""
        gone = f"SELECT app_id, id FROM {partition.name} WHERE position > ? AND position <= ?"
        sql = (
            f"DELETE FROM event_ids USING ({gone}) AS gone"
            " WHERE event_ids.id = gone.id AND event_ids.app_id = gone.app_id"
        )
        connection.exec_driver_sql(sql, (partition.through, through))
        connection.exec_driver_sql(
            "UPDATE detached_partitions SET through = ? WHERE name = ?", (through, partition.name)
        )

    def drop(self, connection: sa.Connection, partition: Detached) -> None:
        """See :class:`sidecar.store.log_partitions.LogPartitions`."""
        connection.exec_driver_sql(f"DROP TABLE {partition.name}")
        connection.exec_driver_sql("DELETE FROM detached_partitions WHERE name = ?", (partition.name,))

    def erase(
        self, connection: sa.Connection, user: UserId, user_key: int | None, client_ids: Sequence[bytes]
    ) -> Sequence[Any]:
        """See :class:`sidecar.store.log_partitions.LogPartitions`."""
        gone: list[Any] = []
        own = "client_id IN (SELECT client_id FROM clients WHERE user_key = ?)"
        if client_ids:
            own = f"({own} OR client_id IN ({', '.join('?' * len(client_ids))}))"
        values = (*user, user_key, *client_ids)
        for (name,) in connection.exec_driver_sql("SELECT name FROM detached_partitions").all():
            which = f"app_id = ? AND (user_id = ? OR (user_id IS NULL AND {own}))"
            sql = f"DELETE FROM {name} WHERE {which} RETURNING app_id, position, id, type, client_id, session_id"
            gone += connection.exec_driver_sql(sql, values).all()
        if gone:
            keys = [(row.id, row.app_id) for row in gone]
            connection.exec_driver_sql("DELETE FROM event_ids WHERE id = ? AND app_id = ?", keys)
        return gone

    def _look(self, connection: sa.Connection) -> None:
        first, self._end = _bounds(self._names(connection)[-1])
        self._half = (first + self._end) // 2

    def _make(self, connection: sa.Connection, position: int) -> None:
        """The next partition, which has room for this position and about a day's events."""
        first = self._end
        end = max(position + 1, first + max(LEAST_EVENTS, _of_a_day(connection)))
        bound = end if end <= LARGEST else "MAXVALUE"
        name = f"events_{first}_{end}"
        connection.exec_driver_sql(f"CREATE TABLE {name} (LIKE events INCLUDING ALL)")
        connection.exec_driver_sql(f"ALTER TABLE events ATTACH PARTITION {name} FOR VALUES FROM ({first}) TO ({bound})")
        self._end, self._half = end, (first + end) // 2

    @staticmethod
    def _names(connection: sa.Connection) -> list[str]:
        return [row[0] for row in connection.exec_driver_sql(_NAMES)]


def _bounds(name: str) -> tuple[int, int]:
    _, first, end = name.split("_")
    return int(first), int(end)


def _of_a_day(connection: sa.Connection) -> int:
    """How many events were received within a day before the newest; twice as many as there are in less than a day."""
    newest, oldest = (connection.exec_driver_sql(sql).first() for sql in (_NEWEST, _OLDEST))
    if newest is None or oldest is None:
        return 0
    since_us = newest[1] - DAY_US
    if oldest[1] > since_us:
        return 2 * int(newest[0] - oldest[0] + 1)
    return int(newest[0] - position_as_of(connection, since_us))
