"""The tables that the alert rules watch: offline users and kicks. The windows of storms are in ``storm_rows``."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Final

import sqlalchemy as sa

from sidecar.alerting.tables import alert_log, rule_reads
from sidecar.alerting.tables.storm_rows import SWEPT_AFTER_US
from sidecar.domain.alerts.alert import FIRING
from sidecar.domain.alerts.firing import UserId
from sidecar.domain.alerts.rules import STORMS
from sidecar.domain.alerts.rules.offline_too_long import OfflineTooLong
from sidecar.domain.alerts.watchlist import Due, Kick, Switches, Watch
from sidecar.domain.status import OFFLINE
from sidecar.store.schema import LARGEST

# How many kicks of one user the rules look at.
KICKS_MOST: Final = 100

_WENT_OFFLINE: Final = (
    "INSERT INTO offline_watch (app_id, user_id, since_us, late, state) VALUES (?, ?, ?, ?, 'waiting')"
    " ON CONFLICT (app_id, user_id) DO UPDATE SET since_us = excluded.since_us, late = excluded.late, state = 'waiting'"
)


def write(connection: sa.Connection, watch: Watch) -> None:
    """Writes the changes of a transaction, but for the users that join the windows of storms."""
    # In the order of the key, so that each page of the table is found once.
    offline = sorted(watch.offline.items(), key=_who)
    gone = [(*who, one.since_us, one.late) for who, one in offline if one is not None]
    back = [who for who, one in offline if one is None]
    for sql, values in (
        (_WENT_OFFLINE, gone),
        ("DELETE FROM offline_watch WHERE app_id = ? AND user_id = ?", back),
        ("UPDATE offline_watch SET state = 'alerted' WHERE app_id = ? AND user_id = ?", watch.alerted),
        (
            "INSERT INTO kicks (app_id, user_id, position, device, at_us) VALUES (?, ?, ?, ?, ?)",
            [(*who, one.position, one.device, one.at_us) for who, one in watch.kicked],
        ),
    ):
        if values:
            connection.exec_driver_sql(sql, values)


def kicks_of(connection: sa.Connection, users: Collection[UserId], since_us: int) -> dict[UserId, list[Kick]]:
    """The kicks of these users after a moment, oldest first; of each the newest :data:`KICKS_MOST`."""
    newest = (
        "SELECT position FROM kicks WHERE app_id = wanted.app_id AND user_id = wanted.user_id"
        f" ORDER BY position DESC LIMIT 1 OFFSET {KICKS_MOST}"
    )
    sql = (
        "WITH wanted (app_id, user_id) AS (VALUES {}) SELECT k.app_id, k.user_id, k.position, k.device, k.at_us"
        " FROM wanted CROSS JOIN kicks k WHERE k.app_id = wanted.app_id AND k.user_id = wanted.user_id"
        f" AND k.at_us > {since_us} AND k.position > COALESCE(({newest}), {-LARGEST})"
    )
    found: dict[UserId, dict[int, Kick]] = {}
    for row in alert_log.select_many(connection, sql, sorted(users), mark="(?, ?)"):
        found.setdefault((row[0], row[1]), {})[row[2]] = Kick(row[2], row[3], row[4])
    return {who: [kick for _, kick in sorted(kicks.items())] for who, kicks in found.items()}


def offline_since(connection: sa.Connection, until_us: int, limit: int) -> tuple[list[Due], list[UserId]]:
    """The first users that wait for an alert, offline since ``until_us`` or longer: who still is, and who is not."""
    sql = (
        "SELECT w.app_id, w.user_id, w.since_us, u.platform, u.clients, w.late FROM"
        " (SELECT * FROM offline_watch WHERE state = 'waiting' AND since_us <= ?"
        " ORDER BY since_us, app_id, user_id LIMIT ?) AS w LEFT JOIN user_status u ON u.app_id = w.app_id"
        f" AND u.user_id = w.user_id AND u.status = '{OFFLINE}' ORDER BY w.since_us, w.app_id, w.user_id"
    )
    found = connection.exec_driver_sql(sql, (until_us, limit)).all()
    still = [rule_reads.due(row[:-1], late=bool(row[-1])) for row in found if row[4] is not None]
    return still, [(row[0], row[1]) for row in found if row[4] is None]


def next_offline_us(connection: sa.Connection) -> int | None:
    """Since when the user is offline who has been waiting for an alert for the longest."""
    sql = "SELECT MIN(since_us) FROM offline_watch WHERE state = 'waiting'"
    found: int | None = connection.exec_driver_sql(sql).scalar()
    return found


def sweep_kicks(connection: sa.Connection, until_us: int) -> None:
    """Removes the kicks that have left the window, many at once."""
    oldest_us = connection.exec_driver_sql("SELECT MIN(at_us) FROM kicks").scalar()
    if oldest_us is not None and oldest_us <= until_us - SWEPT_AFTER_US:
        connection.exec_driver_sql("DELETE FROM kicks WHERE at_us <= ?", (until_us,))


def begin(connection: sa.Connection, switches: Switches, longest_since_us: int) -> None:
    """Adapts the tables to the settings and the users at a start.

    Offline users that are not watched yet are watched from now on. No alert opens for one that went offline before
    ``longest_since_us``, or that has had its alert.
    """
    for sql in _unneeded(switches):
        connection.exec_driver_sql(sql)
    if not switches.offline:
        return
    connection.exec_driver_sql(
        "DELETE FROM offline_watch WHERE NOT EXISTS (SELECT 1 FROM user_status u WHERE u.app_id = offline_watch.app_id"
        f" AND u.user_id = offline_watch.user_id AND u.status = '{OFFLINE}')"
    )
    had_alert = (
        f"u.since_us <= {longest_since_us} OR EXISTS (SELECT 1 FROM alerts a WHERE a.app_id = u.app_id"
        f" AND a.user_id = u.user_id AND a.kind = '{OfflineTooLong.kind}'"
        f" AND (a.state = '{FIRING}' OR a.ended_at_us >= u.since_us))"
    )
    connection.exec_driver_sql(
        "INSERT INTO offline_watch (app_id, user_id, since_us, late, state)"
        f" SELECT u.app_id, u.user_id, u.since_us, FALSE, CASE WHEN {had_alert} THEN 'alerted' ELSE 'waiting' END"
        f" FROM user_status u WHERE u.group_key IN (SELECT group_key FROM user_groups WHERE status = '{OFFLINE}')"
        " AND u.since_us IS NOT NULL AND NOT EXISTS (SELECT 1 FROM offline_watch w WHERE w.app_id = u.app_id"
        " AND w.user_id = u.user_id)"
    )


def _unneeded(switches: Switches) -> Iterator[str]:
    if not switches.offline:
        yield "DELETE FROM offline_watch"
    if not switches.kicks:
        yield "DELETE FROM kicks"
    for storm in STORMS:
        if storm not in switches.storms:
            # Alerts that are held open on the next tick.
            yield f"DELETE FROM storm_members WHERE kind = '{storm}' AND NOT held"
            yield f"DELETE FROM storm_windows WHERE kind = '{storm}'"


_MOMENTS: Final[Sequence[tuple[str, str]]] = (
    ("offline_watch", "since_us"),
    ("kicks", "at_us"),
    ("storm_members", "at_us"),
    ("storm_windows", "oldest_us"),
)


def clock_set(connection: sa.Connection, by_us: int) -> None:
    """Moves all moments with the machine's clock, which was set by ``by_us``."""
    for table, column in _MOMENTS:
        connection.exec_driver_sql(f"UPDATE {table} SET {column} = {column} + ?", (by_us,))


def _who(watched: tuple[UserId, object]) -> UserId:
    return watched[0]
