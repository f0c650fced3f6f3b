"""The tables that the alert rules watch: offline users, kicks, and the windows of storms."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec
import sqlalchemy as sa

from sidecar.alerting.tables import alert_log, rule_reads
from sidecar.alerting.tables.alert_schema import alerts
from sidecar.domain.alerts.alert import FIRING, Alert, Kind
from sidecar.domain.alerts.firing import UserId
from sidecar.domain.alerts.rules import STORMS
from sidecar.domain.alerts.rules.offline_too_long import OfflineTooLong
from sidecar.domain.alerts.watchlist import (
    Crowd,
    Kick,
    Switches,
    Traits,
    Watch,
    WentOffline,
)
from sidecar.domain.status import OFFLINE
from sidecar.store import mapping

# Users stay in a window for up to this much longer than needed, so that many are removed at once.
_SWEPT_AFTER_US: Final = 10_000_000

_WENT_OFFLINE: Final = (
    "INSERT INTO offline_watch (app_id, user_id, since_us, late, state) VALUES (?, ?, ?, ?, 'waiting')"
    " ON CONFLICT (app_id, user_id) DO UPDATE SET since_us = excluded.since_us, late = excluded.late, state = 'waiting'"
)
_MEMBER: Final = (
    "INSERT INTO storm_members (kind, app_id, user_id, at_us, platform, sdk_version, app_version)"
    " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (kind, app_id, user_id) DO UPDATE SET at_us = excluded.at_us,"
    " platform = excluded.platform, sdk_version = excluded.sdk_version, app_version = excluded.app_version"
)
_JOINED: Final = (
    "INSERT INTO storm_windows (kind, app_id, users_at_most, oldest_us) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (kind, app_id) DO UPDATE SET users_at_most = storm_windows.users_at_most + excluded.users_at_most"
    " RETURNING users_at_most"
)
_WINDOW: Final = "kind = ? AND app_id = ? AND at_us > ?"


class Window(msgspec.Struct, frozen=True):
    """The window of one kind of storm and app: at most ``users_at_most`` users, none from before ``oldest_us``."""

    storm: Kind
    app_id: int
    users_at_most: int
    oldest_us: int


def write(connection: sa.Connection, watch: Watch, now_us: int) -> list[Window]:
    """Writes the changes of a transaction; returns the windows that users joined."""
    gone = [(*who, one.since_us, one.late) for who, one in watch.offline.items() if one is not None]
    back = [who for who, one in watch.offline.items() if one is None]
    members = [
        (*window, user_id, one.at_us, *one.traits)
        for window, own in watch.members.items()
        for user_id, one in own.items()
    ]
    for sql, values in (
        (_WENT_OFFLINE, gone),
        ("DELETE FROM offline_watch WHERE app_id = ? AND user_id = ?", back),
        ("UPDATE offline_watch SET state = 'alerted' WHERE app_id = ? AND user_id = ?", watch.alerted),
        (
            "INSERT INTO kicks (app_id, user_id, position, device, at_us) VALUES (?, ?, ?, ?, ?)",
            [(*who, one.position, one.device, one.at_us) for who, one in watch.kicked],
        ),
        (_MEMBER, members),
    ):
        if values:
            connection.exec_driver_sql(sql, values)
    joined = []
    for (storm, app_id), own in watch.members.items():
        at_most = connection.exec_driver_sql(_JOINED, (storm, app_id, len(own), now_us)).scalar_one()
        joined.append(Window(storm, app_id, at_most, now_us))
    return joined


def kicks_of(connection: sa.Connection, users: Collection[UserId], since_us: int) -> dict[UserId, list[Kick]]:
    """The kicks of these users after a moment, oldest first."""
    sql = (
        "WITH wanted (app_id, user_id) AS (VALUES {}) SELECT k.app_id, k.user_id, k.position, k.device, k.at_us"
        " FROM wanted CROSS JOIN kicks k WHERE k.app_id = wanted.app_id AND k.user_id = wanted.user_id"
        f" AND k.at_us > {since_us}"
    )
    found: dict[UserId, dict[int, Kick]] = {}
    for row in alert_log.select_many(connection, sql, sorted(users), mark="(?, ?)"):
        found.setdefault((row[0], row[1]), {})[row[2]] = Kick(row[2], row[3], row[4])
    return {who: [kick for _, kick in sorted(kicks.items())] for who, kicks in found.items()}


def offline_since(connection: sa.Connection, until_us: int, limit: int) -> list[tuple[UserId, WentOffline, bool]]:
    """Users waiting for an alert, offline since ``until_us`` or longer, and whether they still are; longest first."""
    sql = (
        "SELECT app_id, user_id, since_us, late, EXISTS (SELECT 1 FROM user_status u"
        f" WHERE u.app_id = offline_watch.app_id AND u.user_id = offline_watch.user_id"
        f" AND u.status = '{OFFLINE}') FROM offline_watch"
        " WHERE state = 'waiting' AND since_us <= ? ORDER BY since_us, app_id, user_id LIMIT ?"
    )
    found = connection.exec_driver_sql(sql, (until_us, limit))
    return [((row[0], row[1]), WentOffline(row[2], bool(row[3])), bool(row[4])) for row in found]


def next_offline_us(connection: sa.Connection) -> int | None:
    """Since when the user is offline who has been waiting for an alert for the longest."""
    sql = "SELECT MIN(since_us) FROM offline_watch WHERE state = 'waiting'"
    found: int | None = connection.exec_driver_sql(sql).scalar()
    return found


# Storms.


class Windows:
    """Implements :class:`sidecar.domain.alerts.watchlist.Windows` in one transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def crowd(self, app_id: int, /) -> Crowd:
        """How many users the app has."""
        return rule_reads.crowd(self._connection, app_id)

    def count(self, storm: Kind, app_id: int, since_us: int, /) -> int:
        """The number of users in the window that begins at ``since_us``."""
        sql = f"SELECT COUNT(*) FROM storm_members WHERE {_WINDOW}"
        return int(self._connection.exec_driver_sql(sql, (storm, app_id, since_us)).scalar_one())

    def counted(self, storm: Kind, app_id: int, users: int, /) -> None:
        """Records the counted number of users."""
        sql = "UPDATE storm_windows SET users_at_most = ? WHERE kind = ? AND app_id = ?"
        self._connection.exec_driver_sql(sql, (users, storm, app_id))

    def traits(self, storm: Kind, app_id: int, since_us: int, /) -> Mapping[Traits, int]:
        """The traits of the devices of these users, and how many have each."""
        sql = (
            f"SELECT platform, sdk_version, app_version, COUNT(*) FROM storm_members WHERE {_WINDOW}"
            " GROUP BY platform, sdk_version, app_version"
        )
        found = self._connection.exec_driver_sql(sql, (storm, app_id, since_us))
        return {(row[0], row[1], row[2]): row[3] for row in found}

    def gone(self, storm: Kind, app_id: int, since_us: int, /) -> int:
        """How many of these users are offline now."""
        sql = (
            f"SELECT COUNT(*) FROM storm_members WHERE {_WINDOW} AND EXISTS (SELECT 1 FROM user_status u"
            " WHERE u.app_id = storm_members.app_id AND u.user_id = storm_members.user_id"
            f" AND u.status = '{OFFLINE}')"
        )
        return int(self._connection.exec_driver_sql(sql, (storm, app_id, since_us)).scalar_one())

    def singles(self, storm: Kind, app_id: int, since_us: int, kinds: Collection[Kind], /) -> Iterable[Alert]:
        """The firing alerts of these kinds about each of them of which no notification was sent."""
        singles = ", ".join(f"'{kind}'" for kind in sorted(kinds))
        sql = (
            f"SELECT {mapping.columns(alerts, of='a')} FROM alerts a WHERE a.state = '{FIRING}' AND a.app_id = ?"
            f" AND a.kind IN ({singles}) AND a.suppressed_by IS NULL AND NOT a.notified"
            " AND EXISTS (SELECT 1 FROM storm_members m"
            " WHERE m.kind = ? AND m.app_id = a.app_id AND m.user_id = a.user_id AND m.at_us > ?) ORDER BY +a.id"
        )
        found = self._connection.exec_driver_sql(sql, (app_id, storm, since_us))
        return [alert_log.alert_of(row) for row in found]

    def all(self) -> list[Window]:
        """Every window."""
        sql = "SELECT kind, app_id, users_at_most, oldest_us FROM storm_windows ORDER BY kind, app_id"
        return [Window(*row) for row in self._connection.exec_driver_sql(sql)]

    def sweep(self, window: Window, until_us: int, limit: int) -> bool:
        """Removes about ``limit`` users that have left the window; returns whether there may be more."""
        if window.oldest_us > until_us - _SWEPT_AFTER_US:
            return False
        key = (window.storm, window.app_id)
        of_window = "FROM storm_members WHERE kind = ? AND app_id = ?"
        # All users of one commit have the same moment, and are removed together.
        last = f"SELECT at_us {of_window} AND at_us <= ? ORDER BY at_us LIMIT 1 OFFSET ?"
        found = self._connection.exec_driver_sql(last, (*key, until_us, limit - 1)).scalar()
        through_us = until_us if found is None else found
        self._connection.exec_driver_sql(f"DELETE {of_window} AND at_us <= ?", (*key, through_us))
        if through_us < until_us:
            return True
        # Counted once all that have left are removed: until then the old number is an upper bound.
        users, oldest_us = self._connection.exec_driver_sql(f"SELECT COUNT(*), MIN(at_us) {of_window}", key).one()
        if users:
            sql = "UPDATE storm_windows SET users_at_most = ?, oldest_us = ? WHERE kind = ? AND app_id = ?"
            self._connection.exec_driver_sql(sql, (users, oldest_us, *key))
        else:
            self._connection.exec_driver_sql("DELETE FROM storm_windows WHERE kind = ? AND app_id = ?", key)
        return False

    def next_leaves_us(self, storm: Kind, app_id: int, since_us: int) -> int | None:
        """The moment of the user who is the first to leave the window that begins at ``since_us``."""
        sql = f"SELECT MIN(at_us) FROM storm_members WHERE {_WINDOW}"
        found: int | None = self._connection.exec_driver_sql(sql, (storm, app_id, since_us)).scalar()
        return found


def sweep_kicks(connection: sa.Connection, until_us: int) -> None:
    """Removes the kicks that have left the window, many at once."""
    oldest_us = connection.exec_driver_sql("SELECT MIN(at_us) FROM kicks").scalar()
    if oldest_us is not None and oldest_us <= until_us - _SWEPT_AFTER_US:
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
            yield f"DELETE FROM storm_members WHERE kind = '{storm}'"
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
