"""In which minutes each app sent something, events or heartbeats, and how many users it had then: for some days.

A minute is recorded in the commit of the first event or heartbeat that was received in it. Reports of ZEGO's server are
not the app's.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec
import sqlalchemy as sa

from sidecar.domain.activity import HOUR_MINUTES, HOURS_KEPT, LONGEST_MINUTES, Hour, is_unusual, newest_minute
from sidecar.domain.events import SERVER_USER_ACTION, Event
from sidecar.domain.lease import Now
from sidecar.domain.status import OFFLINE, ONLINE
from sidecar.domain.units import HOUR_US, MINUTE_US

_NOTED: Final = (
    "INSERT INTO app_hours (app_id, hour, minutes) VALUES (?, ?, ?)"
    " ON CONFLICT (app_id, hour) DO UPDATE SET minutes = app_hours.minutes | excluded.minutes"
)
_APPS: Final = "SELECT DISTINCT app_id FROM user_groups"


class Activity(msgspec.Struct, frozen=True):
    """Which apps sent something lately; and since when each of the others is silent whose silence is unusual."""

    sending: frozenset[int] = frozenset()
    missed_since_us: dict[int, int] = {}


class SendingApps:
    """Notes the minutes in which apps send. Belongs to committed transactions: to be discarded after a failed one."""

    def __init__(self) -> None:
        self._noted: dict[int, int] = {}

    def note(self, connection: sa.Connection, events: Iterable[Event]) -> None:
        """These were received. A statement for each minute and app that is new."""
        minutes = {(one.app_id, one.received_at_us // MINUTE_US) for one in events if one.type != SERVER_USER_ACTION}
        new = sorted((app_id, minute) for app_id, minute in minutes if self._noted.get(app_id) != minute)
        if new:
            self._noted.update(new)
            connection.exec_driver_sql(_NOTED, [_bit(app_id, minute) for app_id, minute in new])


def sample(connection: sa.Connection, now_us: int) -> None:
    """Counts the users of each app that sent in this hour. To be called once a minute."""
    sql = (
        "SELECT app_id, SUM(CASE WHEN unconfirmed THEN 0 ELSE users END) FROM user_groups"
        f" WHERE status IN ('{ONLINE}', '{OFFLINE}') GROUP BY app_id"
    )
    counts = [(int(row[1]), row[0], now_us // HOUR_US, int(row[1])) for row in connection.exec_driver_sql(sql)]
    if counts:
        sql = "UPDATE app_hours SET users = ? WHERE app_id = ? AND hour = ? AND (users IS NULL OR users > ?)"
        connection.exec_driver_sql(sql, counts)


def activity(connection: sa.Connection, now: Now, least_us: int, least_users: int) -> Activity:
    """Which apps sent within ``least_us``, and the unusual silences that last longer, in lease time.

    So neither a stop of Zimwatch nor a change of the clock is an app's silence.
    """
    time = now.time
    minute = time.machine_us // MINUTE_US
    sending, missed = set(), {}
    lately = minute // HOUR_MINUTES - LONGEST_MINUTES // HOUR_MINUTES
    for app_id, hours in _hours(connection, lately).items():
        newest = newest_minute(hours)
        if newest is None:
            continue
        end_us = min((newest + 1) * MINUTE_US, time.machine_us)
        silent_us = time.now_us - time.lease_us(end_us)
        if silent_us < least_us:
            sending.add(app_id)
        elif is_unusual(_hours(connection, 0, app_id)[app_id], minute, silent_us // MINUTE_US, least_users):
            missed[app_id] = time.machine_us - silent_us
    return Activity(frozenset(sending), missed)


def _hours(connection: sa.Connection, since: int, app_id: int | None = None) -> dict[int, dict[int, Hour]]:
    """By app, from an hour on."""
    apps = _APPS if app_id is None else "SELECT ? AS app_id"
    sql = (
        f"SELECT h.app_id, h.hour, h.minutes, h.users FROM ({apps}) AS apps CROSS JOIN app_hours h"
        " WHERE h.app_id = apps.app_id AND h.hour >= ?"
    )
    found: dict[int, dict[int, Hour]] = {}
    values = (since,) if app_id is None else (app_id, since)
    for row in connection.exec_driver_sql(sql, values):
        found.setdefault(row[0], {})[row[1]] = Hour(row[2], row[3] or 0)
    return found


def delete_old(connection: sa.Connection, now_us: int) -> int:
    """Deletes the hours that nothing is compared with any more; how many."""
    # App by app, because the hour alone is in no index.
    sql = f"DELETE FROM app_hours WHERE app_id IN ({_APPS}) AND hour < ?"
    return connection.exec_driver_sql(sql, (now_us // HOUR_US - HOURS_KEPT,)).rowcount


def clock_set(connection: sa.Connection, now_us: int) -> None:
    """The machine's clock was set to ``now_us``: what lies in the future was received now."""
    hour, minute = now_us // HOUR_US, now_us // MINUTE_US % HOUR_MINUTES
    later = ~((1 << minute + 1) - 1) & (1 << HOUR_MINUTES) - 1
    sql = "SELECT app_id FROM app_hours WHERE hour > ? OR (hour = ? AND minutes & ? <> 0) GROUP BY app_id"
    apps = [row[0] for row in connection.exec_driver_sql(sql, (hour, hour, later))]
    if not apps:
        return
    connection.exec_driver_sql("DELETE FROM app_hours WHERE hour > ?", (hour,))
    connection.exec_driver_sql("UPDATE app_hours SET minutes = minutes & ? WHERE hour = ?", (~later, hour))
    connection.exec_driver_sql(_NOTED, [_bit(app_id, now_us // MINUTE_US) for app_id in apps])


def _bit(app_id: int, minute: int) -> tuple[int, int, int]:
    return app_id, minute // HOUR_MINUTES, 1 << minute % HOUR_MINUTES
