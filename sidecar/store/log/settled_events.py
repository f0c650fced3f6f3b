"""Cursors behind the log that wait until events have settled, for what follows from several events of a client.

A cursor is a row of ``followers``. It moves once what follows from the events before it was exported.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from sidecar.domain.episodes import TYPES, Reported
from sidecar.domain.events import LOGIN_RESULT
from sidecar.domain.sdk_words import CONNECTED, RECONNECTING
from sidecar.domain.units import SECOND_US
from sidecar.store.log import span_outbox
from sidecar.store.log_positions import NEWEST, position_as_of
from sidecar.store.values import Loss

SETTLE_US: Final = 30 * SECOND_US
# An event is committed so much later than it was received at the latest.
COMMITTED_US: Final = 10 * SECOND_US
# How many events of a client are read back: from a session's end, and from any other event.
SESSION_MOST: Final = 5_000
EVENTS_MOST: Final = 200
_NAMES: Final = tuple(name for name in Reported.__struct_fields__ if name != "code")
_COLUMNS: Final = ", ".join([*(f"events.{name}" for name in _NAMES), "events.details"])
_OF_TYPES: Final = f"events.type IN ({', '.join(repr(one) for one in TYPES)})"

Settled = tuple[Reported, Sequence[Reported]]
"""An event, and what is known of its client around it, in no order."""


def begin(connection: sa.Connection, cursor: str, *, is_on: bool) -> None:
    """Has the cursor begin with the events from now on, unless it has begun; or ends it."""
    if is_on:
        sql = f"INSERT INTO followers (name, position) VALUES (?, ({NEWEST})) ON CONFLICT (name) DO NOTHING"
    else:
        sql = "DELETE FROM followers WHERE name = ?"
    connection.exec_driver_sql(sql, (cursor,))


def acknowledge(connection: sa.Connection, cursor: str, through: int, losses: Sequence[Loss] = ()) -> None:
    """Moves the cursor to the position ``through``. Idempotent, apart from the losses."""
    sql = "UPDATE followers SET position = ? WHERE name = ? AND position < ?"
    connection.exec_driver_sql(sql, (through, cursor, through))
    span_outbox.record_losses(connection, losses)


def claim(
    connection: sa.Connection, cursor: str, after: int, limit: int, *, now_us: int, max_age_us: int
) -> tuple[list[Settled], int]:
    """The next settled events behind the cursor and the position ``after``, and the position up to which they are all.

    ``limit`` is how many events are read at most. Events that are older than ``max_age_us`` are passed over.
    """
    at = connection.exec_driver_sql("SELECT position FROM followers WHERE name = ?", (cursor,)).scalar()
    if at is None:
        return [], after
    begin_at = max(after, int(at), position_as_of(connection, now_us - max_age_us))
    sql = f"SELECT {_COLUMNS} FROM events WHERE position > ? AND {_OF_TYPES} ORDER BY position LIMIT ?"
    events = []
    for event in _read(connection, sql, (begin_at, limit)):
        if event.received_at_us > now_us - SETTLE_US - COMMITTED_US:
            break
        events.append(event)
    if not events:
        return [], begin_at
    later = _received_after(connection, [one for one in events if _has_history(one)])
    return [(one, _history(connection, one, later)) for one in events], events[-1].position


def _has_history(event: Reported) -> bool:
    """Whether something may begin or end with the event."""
    return event.connection_state != RECONNECTING or bool(event.starts_trace)


def _history(connection: sa.Connection, event: Reported, later: dict[bytes, list[Reported]]) -> Sequence[Reported]:
    if not _has_history(event):
        return ()
    same = (event.app_id, event.user_id)
    behind = [one for one in later.get(event.client_id, ()) if (one.app_id, one.user_id) == same]
    most = EVENTS_MOST if event.connection_state == CONNECTED else SESSION_MOST
    sql = (
        "WITH RECURSIVE chain (position, length) AS (SELECT ?, 1"
        " UNION ALL SELECT previous_client_position, length + 1"
        " FROM chain JOIN events USING (position) WHERE previous_client_position > 0 AND length < ?)"
        f" SELECT {_COLUMNS} FROM chain JOIN events USING (position) WHERE {_OF_TYPES}"
    )
    return [*_read(connection, sql, (event.position, most)), *behind]


def _received_after(connection: sa.Connection, events: Sequence[Reported]) -> dict[bytes, list[Reported]]:
    """By client, what its clients sent after the first of these events until the last had settled."""
    found: dict[bytes, list[Reported]] = {}
    clients = list({one.client_id for one in events})
    if not clients:
        return found
    first = min(one.position for one in events)
    last = position_as_of(connection, max(one.received_at_us for one in events) + SETTLE_US)
    sql = (
        f"SELECT {_COLUMNS} FROM events WHERE position > ? AND position <= ? AND {_OF_TYPES}"
        f" AND client_id IN ({', '.join('?' * len(clients))})"
    )
    for event in _read(connection, sql, (first, last, *clients)):
        found.setdefault(event.client_id, []).append(event)
    return found


def _read(connection: sa.Connection, sql: str, values: tuple[Any, ...]) -> Iterator[Reported]:
    for *row, details in connection.exec_driver_sql(sql, values):
        code = msgspec.json.decode(details).get("code") if details and row[2] == LOGIN_RESULT else None
        row.append(code)
        yield Reported(*row)
