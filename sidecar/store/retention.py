"""Lets the oldest go: events and alerts by age and by the size of the file; what was rejected, and minutes, by age.

In slices, each one a work of the writer's that holds it for some milliseconds, so that commits go on between them. What
follows from events stays when they go: a user keeps its status, and a timeline ends where its next event is gone.

- A late event of a client whose older events are gone is on the record, and changes nothing: what it would have to be
  put in order with is not known any more.
- A rebuild leaves users whose older events are gone as they are, and makes the others anew (see ``rebuild.py``).
- A span that is still owed when its event goes is lost, counted and recorded, the oldest first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from sidecar.clock import Clock
from sidecar.domain.alerting.thresholds import Thresholds
from sidecar.domain.events import CONNECTION_STATE_CHANGED
from sidecar.domain.status import NOT_LOGGED_IN
from sidecar.settings import Settings, duration_us
from sidecar.store import alert_retention, outbox, rollups, rows

# What a slice aims at; the writer is promised 50 ms.
SLICE_US: Final = 15_000
SLICE_EVENTS: Final = (50, 5_000)
VACUUM_PAGES: Final = 200
# So many free pages are left for the events to come.
SPARE_PAGES: Final = 1_024
# How often the old alerts are gone through: those that have to stay are looked at each time.
LEDGER_EVERY_US: Final = 60_000_000
_GONE: Final = "its event is no longer in the log"
_TOO_OLD: Final = "it was owed for longer than export.max_age"


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """How long and how much is kept. ``owed_us`` is how long a span may be owed to the collector.

    ``rules_us`` is how far the alert rules look back after a start: no alert goes before.
    """

    events_us: int = 30 * 86_400_000_000
    max_bytes: int = 10 * 1_073_741_824
    rejected_us: int = 30 * 86_400_000_000
    owed_us: int = 7 * 86_400_000_000
    alerts_us: int = 30 * 86_400_000_000
    rules_us: int = Thresholds().looks_back_us

    @classmethod
    def of(cls, settings: Settings) -> Retention:
        """As the settings have it."""
        kept = settings.retention
        return cls(
            events_us=duration_us(kept.events),
            max_bytes=kept.max_bytes,
            rejected_us=duration_us(kept.rejected),
            owed_us=duration_us(settings.export.max_age),
            alerts_us=duration_us(kept.alerts),
            rules_us=settings.alerts.thresholds().looks_back_us,
        )


class Pruner:
    """Does one slice at a time; the size of a slice follows from how long the last one took."""

    def __init__(self, retention: Retention, steady: Clock) -> None:
        self._retention = retention
        self._steady = steady
        self._events = 200
        # How far the old alerts were gone through (None: to the end), and when that began last.
        self._after: int | None = None
        self._began_us: int | None = None

    def slice(self, connection: sa.Connection, now_us: int) -> int | None:
        """Removes some of what is due; how many rows that was, None when nothing is due any more."""
        begun_us = self._steady()
        removed = self._prune(connection, now_us)
        took_us = max(1, self._steady() - begun_us)
        least, most = SLICE_EVENTS
        if removed:
            self._events = min(most, max(least, self._events * SLICE_US // took_us))
        return removed if removed or self._after is not None else None

    def _prune(self, connection: sa.Connection, now_us: int) -> int:
        kept = self._retention
        alerts_before_us = now_us - kept.alerts_us
        removed = _expire(connection, now_us, now_us - kept.owed_us, self._events)
        oldest = connection.exec_driver_sql(
            "SELECT position, received_at_us FROM events ORDER BY position LIMIT 1"
        ).first()
        if oldest is not None:
            before_us = now_us - kept.events_us
            if oldest[1] < before_us:
                removed += _prune_events(connection, oldest[0], self._events, before_us, now_us)
            elif used_bytes(connection) > kept.max_bytes:
                # Alerts that are older than every event go as well, or they would leave no room for events.
                alerts_before_us = max(alerts_before_us, oldest[1])
                removed += _prune_events(connection, oldest[0], self._events, None, now_us)
        removed += self._prune_alerts(connection, min(alerts_before_us, now_us - kept.rules_us), now_us)
        for table, column in (("rejected_events", "received_at_us"), ("span_losses", "lost_at_us")):
            # They stand in the order of their moments, so that there is no need to look at more than the first.
            first = f"SELECT rowid, {column} AS at_us FROM {table} ORDER BY rowid LIMIT {SLICE_EVENTS[0]}"
            sql = f"DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM ({first}) WHERE at_us < ?)"
            removed += connection.exec_driver_sql(sql, (now_us - kept.rejected_us,)).rowcount
        removed += rollups.forget(connection, now_us)
        return removed + _vacuum(connection)

    def _prune_alerts(self, connection: sa.Connection, before_us: int, now_us: int) -> int:
        if self._after is None:
            if self._began_us is not None and 0 <= now_us - self._began_us < LEDGER_EVERY_US:
                return 0
            self._after, self._began_us = 0, now_us
        done = alert_retention.prune(connection, before_us, self._after, self._events)
        self._after = done.after
        return done.removed


def used_bytes(connection: sa.Connection) -> int:
    """What the file holds, without its free pages."""
    pages, free, size = (
        int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())
        for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size


def _prune_events(connection: sa.Connection, first: int, limit: int, before_us: int | None, now_us: int) -> int:
    """Removes the oldest events, ``limit`` at most; with ``before_us`` only those that were received before.

    The newest one stays, whatever its age: positions go on from it.
    """
    sql = (
        "SELECT position, received_at_us, starts_trace, app_id, user_id, client_id, session_id FROM events"
        " WHERE position >= ? AND position < (SELECT MAX(position) FROM events) ORDER BY position LIMIT ?"
    )
    going = []
    for row in connection.exec_driver_sql(sql, (first, limit)):
        if before_us is not None and row.received_at_us >= before_us:
            break
        going.append(row)
    if not going:
        return 0
    last = going[-1].position
    outbox.give_up(connection, last, now_us, _GONE)
    _forget_traces(connection, [row for row in going if row.starts_trace])
    _forget_clients(connection, {row.client_id for row in going}, last)
    connection.exec_driver_sql("DELETE FROM events WHERE position <= ?", (last,))
    return len(going)


def _forget_traces(connection: sa.Connection, roots: Sequence[Any]) -> None:
    """A trace that may go on keeps its row, or it would get a second root."""
    gone = []
    for root in roots:
        found = connection.exec_driver_sql(
            "SELECT clients FROM user_status WHERE app_id = ? AND user_id = ?", (root.app_id, root.user_id)
        ).first()
        packed = rows.unpack(found[0]) if found is not None and found[0] is not None else []
        live = {one.state.session_id or one.client_id for one in packed if one.state.status != NOT_LOGGED_IN}
        trace_id = root.session_id or root.client_id
        if trace_id not in live:
            gone.append((trace_id,))
    if gone:
        connection.exec_driver_sql("DELETE FROM traces WHERE trace_id = ?", gone)


def _forget_clients(connection: sa.Connection, client_ids: set[bytes], last: int) -> None:
    """A client that decides nothing, and whose every event is gone, goes with the last of them."""
    sql = f"DELETE FROM clients WHERE client_id = ? AND last_position <= ? AND status = '{NOT_LOGGED_IN}'"
    connection.exec_driver_sql(sql, [(client_id, last) for client_id in sorted(client_ids)])


def _expire(connection: sa.Connection, now_us: int, before_us: int, limit: int) -> int:
    """Gives up spans that were owed since before ``before_us``."""
    first = connection.exec_driver_sql("SELECT MIN(first_position) FROM span_outbox WHERE spans > 0").scalar()
    if first is None:
        return 0
    sql = (
        f"SELECT position, received_at_us FROM events WHERE position >= ? AND type = '{CONNECTION_STATE_CHANGED}'"
        " ORDER BY position LIMIT ?"
    )
    last = 0
    for position, received_at_us in connection.exec_driver_sql(sql, (first, limit)):
        if received_at_us >= before_us:
            break
        last = position
    return outbox.give_up(connection, last, now_us, _TOO_OLD) if last else 0


def _vacuum(connection: sa.Connection) -> int:
    """Gives free pages back to the file system, and keeps some; how many."""
    free = _free_pages(connection)
    if free <= SPARE_PAGES + VACUUM_PAGES:
        return 0
    # The pragma gives a row without columns for each page, and Python takes no more than one step of such a statement.
    driver: Any = connection.connection.driver_connection
    for _ in range(VACUUM_PAGES):
        driver.execute("PRAGMA incremental_vacuum(1)").fetchall()
    # None where the file cannot do it, because it was made anew from a dump.
    return free - _free_pages(connection)


def _free_pages(connection: sa.Connection) -> int:
    return int(connection.exec_driver_sql("PRAGMA freelist_count").scalar_one())
