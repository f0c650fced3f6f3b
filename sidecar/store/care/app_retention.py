"""Deletes the events of apps that are kept for a shorter time than others, from the middle of the log.

Each such app has a row in ``pruned_apps``: its events before that position are deleted, as those of all apps before
the oldest event of the log are (``log_positions.py``). One slice looks at a bounded number of events, of any app, and
moves the row behind them, so that none is looked at twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa

from sidecar.domain.events import CONNECTION_STATE_CHANGED
from sidecar.store.care.pruned_events import GONE, forget_blocks_of, forget_clients, forget_traces
from sidecar.store.log import forwarding, span_outbox
from sidecar.store.log_positions import first_of_apps, newest_position

_COLUMNS: Final = "position, received_at_us, app_id, user_id, client_id, session_id, starts_trace, type"
_KEEP: Final = (
    "INSERT INTO pruned_apps (app_id, first_position) VALUES (?, ?)"
    " ON CONFLICT (app_id) DO UPDATE SET first_position = excluded.first_position"
)


def prune(connection: sa.Connection, kept_us: Mapping[int, int], now_us: int, limit: int) -> int:
    """Looks at ``limit`` events for one app at most, and deletes those of it that are due; how many it looked at."""
    first_of = first_of_apps(connection) if kept_us else {}
    for app_id, own_us in kept_us.items():
        looked_at = _due(connection, first_of.get(app_id, 0), now_us - own_us, limit)
        if looked_at:
            _delete(connection, [row for row in looked_at if row.app_id == app_id], now_us)
            connection.exec_driver_sql(_KEEP, (app_id, looked_at[-1].position + 1))
            return len(looked_at)
    return 0


def _due(connection: sa.Connection, first: int, before_us: int, limit: int) -> list[Any]:
    """The events from a position on that were received before, but for the newest, whose position the next follows."""
    sql = f"SELECT {_COLUMNS} FROM events WHERE position >= ? AND position < ? ORDER BY position LIMIT ?"
    due = []
    for row in connection.exec_driver_sql(sql, (first, newest_position(connection), limit)):
        if row.received_at_us >= before_us:
            break
        due.append(row)
    return due


def _delete(connection: sa.Connection, own: Sequence[Any], now_us: int) -> None:
    if not own:
        return
    pending = [row.position for row in own if row.type == CONNECTION_STATE_CHANGED]
    span_outbox.give_up_some(connection, pending, now_us, GONE)
    forwarding.note_removal(connection, [(row.position, row.type) for row in own])
    clients = {row.client_id for row in own}
    forget_traces(connection, [row for row in own if row.starts_trace])
    forget_clients(connection, clients, own[-1].position)
    forget_blocks_of(connection, clients, own[0].position, own[-1].position)
    connection.exec_driver_sql("DELETE FROM events WHERE position = ?", [(row.position,) for row in own])
