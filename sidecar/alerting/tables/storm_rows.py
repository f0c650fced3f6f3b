"""The windows of storms: the users to whom something happened lately; and the records of the storms that opened."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

import msgspec
import sqlalchemy as sa

from sidecar.alerting.tables import alert_log, rule_reads
from sidecar.alerting.tables.alert_schema import alerts
from sidecar.domain.alerts.alert import FIRING, Alert, Kind
from sidecar.domain.alerts.firing import UserId
from sidecar.domain.alerts.rules import STORM_OF
from sidecar.domain.alerts.rules.client_lost import ClientLost
from sidecar.domain.alerts.rules.offline_too_long import OfflineTooLong
from sidecar.domain.alerts.watchlist import Crowd, Measure, Member, Traits
from sidecar.domain.status import OFFLINE
from sidecar.store import mapping

# Users stay in a window for up to this much longer than needed, so that many are removed at once.
SWEPT_AFTER_US: Final = 10_000_000
# Of a user's storms so many are looked at for one that fired at a moment.
_LOOKED_AT: Final = 100
# What the devices of a storm share is read from so many of them.
_SAMPLED: Final = 10_000

Joining = Mapping[tuple[Kind, int], Mapping[str, Member]]
"""By kind of storm and app: the users that join its window."""

_MEMBER: Final = (
    "INSERT INTO storm_members (kind, app_id, user_id, at_us, platform, sdk_version, app_version, held, code)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (kind, app_id, user_id) DO UPDATE SET at_us = excluded.at_us,"
    " platform = excluded.platform, sdk_version = excluded.sdk_version, app_version = excluded.app_version,"
    " held = excluded.held, code = excluded.code"
)
_JOINED: Final = (
    "INSERT INTO storm_windows (kind, app_id, users_at_most, oldest_us) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (kind, app_id) DO UPDATE SET users_at_most = storm_windows.users_at_most + excluded.users_at_most"
    " RETURNING users_at_most"
)
_RECORDED: Final = (
    "INSERT INTO alert_members (alert_id, app_id, user_id, at_us) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
)
_WINDOW: Final = "kind = ? AND app_id = ? AND at_us > ?"
_IS_MEASURED: Final[Mapping[Measure, str]] = {"offline": f"u.status = '{OFFLINE}'", "silent": "u.lease_lapsed = TRUE"}
# By the kind of the single alert: since when its cause lasts (NULL: it is over), and whether that was received late.
_CAUSE: Final[Mapping[Kind, str]] = {
    ClientLost.kind: (
        "SELECT m.user_id, u.lease_until_us, FALSE FROM storm_members m LEFT JOIN user_status u"
        " ON u.app_id = m.app_id AND u.user_id = m.user_id AND u.lease_lapsed = TRUE"
    ),
    OfflineTooLong.kind: (
        "SELECT m.user_id, CASE WHEN u.user_key IS NOT NULL THEN w.since_us END, w.late FROM storm_members m"
        " LEFT JOIN offline_watch w ON w.app_id = m.app_id AND w.user_id = m.user_id AND w.state = 'alerted'"
        f" LEFT JOIN user_status u ON u.app_id = w.app_id AND u.user_id = w.user_id AND u.status = '{OFFLINE}'"
    ),
}

_SINGLES: Final = {storm.kind: single for single, storm in STORM_OF.items()}


class Window(msgspec.Struct, frozen=True):
    """The window of one kind of storm and app: at most ``users_at_most`` users, none from before ``oldest_us``."""

    storm: Kind
    app_id: int
    users_at_most: int
    oldest_us: int


class Holds(msgspec.Struct, frozen=True):
    """A window with users whose ``single`` alerts are held; it has at most ``users_at_most`` users."""

    storm: Kind
    single: Kind
    app_id: int
    users_at_most: int


class Held(msgspec.Struct, frozen=True):
    """A user whose alert is held, and since when its cause lasts; None where it is over."""

    who: UserId
    since_us: int | None
    late: bool


class Recorded(msgspec.Struct, frozen=True):
    """A user on the record of a storm, and when it happened to the user first."""

    app_id: int
    user_id: str
    at_us: int


def join(connection: sa.Connection, members: Joining, now_us: int) -> list[Window]:
    """Writes the users that join windows in a transaction; returns those windows."""
    rows = [
        (*window, user_id, one.at_us, *one.traits, one.held, one.code)
        for window, own in members.items()
        for user_id, one in sorted(own.items())
    ]
    if rows:
        connection.exec_driver_sql(_MEMBER, rows)
    joined = []
    for (storm, app_id), own in members.items():
        at_most = connection.exec_driver_sql(_JOINED, (storm, app_id, len(own), now_us)).scalar_one()
        joined.append(Window(storm, app_id, at_most, now_us))
    return joined


def holding(connection: sa.Connection) -> list[Holds]:
    """The windows with users whose alerts are held."""
    sql = (
        "SELECT h.kind, h.app_id, COALESCE(w.users_at_most, 0) FROM"
        " (SELECT DISTINCT kind, app_id FROM storm_members WHERE held) AS h"
        " LEFT JOIN storm_windows w ON w.kind = h.kind AND w.app_id = h.app_id ORDER BY h.kind, h.app_id"
    )
    return [Holds(row[0], _SINGLES[row[0]], row[1], row[2]) for row in connection.exec_driver_sql(sql)]


def release(connection: sa.Connection, holds: Holds, before_us: int, limit: int) -> list[Held]:
    """The first users that joined before a moment and whose alerts are held; from now on they are not."""
    storm, app_id = holds.storm, holds.app_id
    sql = (
        f"{_CAUSE[holds.single]} WHERE m.held AND m.kind = ? AND m.app_id = ? AND m.at_us < ? ORDER BY m.at_us LIMIT ?"
    )
    found = connection.exec_driver_sql(sql, (storm, app_id, before_us, limit)).all()
    if found:
        sql = "UPDATE storm_members SET held = FALSE WHERE kind = ? AND app_id = ? AND user_id = ?"
        connection.exec_driver_sql(sql, [(storm, app_id, row[0]) for row in found])
    return [Held((app_id, row[0]), row[1], bool(row[2])) for row in found]


def members(connection: sa.Connection, storm: Alert, limit: int, *, after: str = "") -> list[Recorded]:
    """The first users on the record of a storm whose ids come after this one."""
    sql = (
        "SELECT app_id, user_id, at_us FROM alert_members WHERE alert_id = ? AND app_id = ? AND user_id > ?"
        " ORDER BY user_id LIMIT ?"
    )
    found = connection.exec_driver_sql(sql, (storm.id, storm.subject.app_id, after, limit))
    return [Recorded(*row) for row in found]


def of_user(connection: sa.Connection, app_id: int, user_id: str, limit: int) -> list[Alert]:
    """The newest storms with this user on their record, newest first."""
    sql = (
        f"SELECT {mapping.columns(alerts, of='a')} FROM alert_members m JOIN alerts a ON a.id = m.alert_id"
        " WHERE m.app_id = ? AND m.user_id = ? ORDER BY m.alert_id DESC LIMIT ?"
    )
    return [alert_log.alert_of(row) for row in connection.exec_driver_sql(sql, (app_id, user_id, limit))]


def of_user_at(connection: sa.Connection, app_id: int, user_id: str, at_us: int, limit: int) -> list[Alert]:
    """The newest storms with this user on their record that fired at a moment, newest first.

    Of a user's storms the newest :data:`_LOOKED_AT` are looked at.
    """
    sql = (
        f"SELECT {mapping.columns(alerts, of='a')} FROM (SELECT alert_id, at_us FROM alert_members"
        f" WHERE app_id = ? AND user_id = ? ORDER BY alert_id DESC LIMIT {_LOOKED_AT}) AS m"
        " JOIN alerts a ON a.id = m.alert_id WHERE m.at_us <= ? AND a.opened_at_us <= ?"
        f" AND (a.state = '{FIRING}' OR a.ended_at_us > ?) ORDER BY m.alert_id DESC LIMIT ?"
    )
    found = connection.exec_driver_sql(sql, (app_id, user_id, at_us, at_us, at_us, limit))
    return [alert_log.alert_of(row) for row in found]


def next_release_us(connection: sa.Connection) -> int | None:
    """When the user joined who was the first of those whose alerts are held."""
    found: int | None = connection.exec_driver_sql("SELECT MIN(at_us) FROM storm_members WHERE held").scalar()
    return found


class Windows:
    """Implements :class:`sidecar.domain.alerts.watchlist.Windows` in one transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def crowd(self, app_id: int, /) -> Crowd:
        """How many users the app has."""
        return rule_reads.crowd(self._connection, app_id)

    def newest_us(self, storm: Kind, app_id: int, /) -> int | None:
        """When the last user joined the window."""
        sql = "SELECT MAX(at_us) FROM storm_members WHERE kind = ? AND app_id = ?"
        found: int | None = self._connection.exec_driver_sql(sql, (storm, app_id)).scalar()
        return found

    def count(self, storm: Kind, app_id: int, since_us: int, /) -> int:
        """The number of users in the window that begins at ``since_us``."""
        sql = f"SELECT COUNT(*) FROM storm_members WHERE {_WINDOW}"
        return int(self._connection.exec_driver_sql(sql, (storm, app_id, since_us)).scalar_one())

    def counted(self, storm: Kind, app_id: int, users: int, /) -> None:
        """Records the counted number of users."""
        sql = "UPDATE storm_windows SET users_at_most = ? WHERE kind = ? AND app_id = ?"
        self._connection.exec_driver_sql(sql, (users, storm, app_id))

    def traits(self, storm: Kind, app_id: int, since_us: int, /) -> Mapping[Traits, int]:
        """The traits of the devices of these users, and how many have each; of very many, of the newest."""
        sql = (
            "SELECT platform, sdk_version, app_version, COUNT(*) FROM (SELECT platform, sdk_version, app_version"
            f" FROM storm_members WHERE {_WINDOW} ORDER BY at_us DESC LIMIT {_SAMPLED}) AS newest"
            " GROUP BY platform, sdk_version, app_version"
        )
        found = self._connection.exec_driver_sql(sql, (storm, app_id, since_us))
        return {(row[0], row[1], row[2]): row[3] for row in found}

    def codes(self, storm: Kind, app_id: int, since_us: int, /) -> Mapping[int, int]:
        """The error codes of these users, and how many have each; of very many, of the newest."""
        sql = (
            f"SELECT code, COUNT(*) FROM (SELECT code FROM storm_members WHERE {_WINDOW}"
            f" ORDER BY at_us DESC LIMIT {_SAMPLED}) AS newest WHERE code IS NOT NULL GROUP BY code"
        )
        return {row[0]: row[1] for row in self._connection.exec_driver_sql(sql, (storm, app_id, since_us))}

    def affected(self, storm: Kind, app_id: int, since_us: int, measure: Measure, /) -> int:
        """How many of these users are ``offline`` or ``silent`` now."""
        sql = (
            f"SELECT COUNT(*) FROM storm_members WHERE {_WINDOW} AND EXISTS (SELECT 1 FROM user_status u"
            " WHERE u.app_id = storm_members.app_id AND u.user_id = storm_members.user_id"
            f" AND {_IS_MEASURED[measure]})"
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

    def begin(self, alert: Alert, since_us: int, /) -> None:
        """Begins the record of a storm with all users of its window, and holds none of their alerts any more."""
        window = (alert.kind, alert.subject.app_id)
        sql = (
            "INSERT INTO alert_members (alert_id, app_id, user_id, at_us)"
            f" SELECT {alert.id}, app_id, user_id, at_us FROM storm_members WHERE {_WINDOW} ON CONFLICT DO NOTHING"
        )
        self._connection.exec_driver_sql(sql, (*window, since_us))
        sql = "UPDATE storm_members SET held = FALSE WHERE held AND kind = ? AND app_id = ?"
        self._connection.exec_driver_sql(sql, window)

    def record(self, alert: Alert, users: Collection[str], at_us: int, /) -> None:
        """Adds users to the record of a storm."""
        rows = [(alert.id, alert.subject.app_id, user_id, at_us) for user_id in sorted(users)]
        self._connection.exec_driver_sql(_RECORDED, rows)

    def all(self) -> list[Window]:
        """Every window."""
        sql = "SELECT kind, app_id, users_at_most, oldest_us FROM storm_windows ORDER BY kind, app_id"
        return [Window(*row) for row in self._connection.exec_driver_sql(sql)]

    def sweep(self, window: Window, until_us: int, limit: int) -> bool:
        """Removes about ``limit`` users that have left the window; returns whether there may be more."""
        if window.oldest_us > until_us - SWEPT_AFTER_US:
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
