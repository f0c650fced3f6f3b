"""Lets the oldest of the ledger of alerts go: what is over, with its story, its notifications and their messages.

What somebody may still have to act on stays, however old it is: an alert that fires, one of which something is owed,
and one with a message on the list of those that could not be delivered. The newest alert and the newest silence stay
too, so that no id that people know is given a second time.
"""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from sidecar.domain.alerting.alert import RESOLVED

_SILENCES = 50


class Slice(msgspec.Struct, frozen=True):
    """How many rows went, and the alert at which the next slice goes on; None where all have been looked at."""

    removed: int
    after: int | None


def prune(connection: sa.Connection, before_us: int, after: int, limit: int) -> Slice:
    """Looks at ``limit`` alerts behind the one with the id ``after``; what has not changed since ``before_us`` goes."""
    # Ids and times of opening grow together, and an alert does not change before it opens.
    sql = f"""
        SELECT a.id, a.opened_at_us, a.state = '{RESOLVED}' AND a.changed_at_us < ? AND NOT EXISTS (
            SELECT 1 FROM alert_notifications n LEFT JOIN alert_messages m ON m.id = n.message_id
            WHERE n.alert_id = a.id AND (n.state = 'waiting' OR m.state IN ('pending', 'dead')))
        FROM alerts a WHERE a.id > ? AND a.id < (SELECT MAX(id) FROM alerts) ORDER BY a.id LIMIT ?
    """
    seen = connection.exec_driver_sql(sql, (before_us, after, limit)).all()
    removed = _remove(connection, [row[0] for row in seen if row[2]]) + _prune_silences(connection, before_us)
    goes_on = len(seen) == limit and seen[-1][1] < before_us
    return Slice(removed, seen[-1][0] if goes_on else None)


def _remove(connection: sa.Connection, ids: list[int]) -> int:
    """Whole alerts; a message goes with the last alert that it tells of."""
    if not ids:
        return 0
    going = [(one,) for one in ids]
    sql = "SELECT DISTINCT message_id FROM alert_notifications WHERE alert_id = ? AND message_id IS NOT NULL"
    messages = sorted({(row[0],) for one in going for row in connection.exec_driver_sql(sql, one)})
    for table, column in (("alert_notifications", "alert_id"), ("alert_history", "alert_id"), ("alerts", "id")):
        connection.exec_driver_sql(f"DELETE FROM {table} WHERE {column} = ?", going)
    if messages:
        sql = (
            "DELETE FROM alert_messages WHERE id = ?"
            " AND NOT EXISTS (SELECT 1 FROM alert_notifications WHERE message_id = alert_messages.id)"
        )
        connection.exec_driver_sql(sql, messages)
    return len(ids)


def _prune_silences(connection: sa.Connection, before_us: int) -> int:
    sql = (
        "DELETE FROM alert_silences WHERE id IN (SELECT id FROM alert_silences WHERE ends_at_us < ?"
        f" AND id < (SELECT MAX(id) FROM alert_silences) ORDER BY id LIMIT {_SILENCES})"
    )
    return connection.exec_driver_sql(sql, (before_us,)).rowcount
