"""Counts per minute, updated as events are committed, so that a chart never scans the log.

A row has the users by status after the minute's last commit, and how many kick-outs, expired tokens and logins have
their moment in it: a late event counts in the minute in which it happened. A minute without either has no row: the
users by status are those of the minute before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import sqlalchemy as sa

from sidecar.domain.app_ids import AppIds
from sidecar.domain.happenings import Kind, happening
from sidecar.domain.status import STATUSES
from sidecar.domain.units import MINUTE_US
from sidecar.store import database
from sidecar.store.database import Minute
from sidecar.store.users.user_counts import UserCounts
from sidecar.store.values import Applied

KEPT_MINUTES: Final = 90 * 24 * 60
Scope = tuple[bool, int]
"""``every_app`` and ``app_id``: one app, or all together."""
EVERY_APP: Final[Scope] = (True, 0)
# What is counted, as in lists of users, and the column of its count.
COUNTED: Final[dict[Kind, str]] = {"kicked_out": "kicked_out", "token_expired": "token_expired", "logged_in": "logins"}


class Bucket(msgspec.Struct, frozen=True, kw_only=True):
    """Some minutes from ``begin_us`` on: users by status at their end, and what was counted in them."""

    begin_us: int
    online: int
    offline: int
    not_logged_in: int
    kicked_out: int = 0
    token_expired: int = 0
    logins: int = 0

    def __add__(self, other: Bucket) -> Bucket:
        counts = {name: getattr(self, name) + getattr(other, name) for name in _COUNTS}
        return Bucket(begin_us=self.begin_us, **counts)


_COUNTS: Final = tuple(name for name in Bucket.__struct_fields__ if name != "begin_us")


class Minutes:
    """A :class:`sidecar.store.log.followers.Follower`: counts events in their minutes, and the users there are then.

    ``user_counts`` gives the counts of users as of a transaction.
    """

    name = "minutes"

    def __init__(self, user_counts: Callable[[sa.Connection], UserCounts]) -> None:
        self._user_counts = user_counts

    def follow(self, connection: sa.Connection, applied: Sequence[Applied], now_us: int, /) -> None:
        """Adds the events to their minutes, and sets the users by status of the current one."""
        happened: Counter[tuple[int, Scope, str]] = Counter()
        newest_us: dict[int, int] = {}
        for event in (one.event for one in applied):
            app_id, received_us = event.app_id, event.received_at_us
            if received_us > newest_us.get(app_id, 0):
                newest_us[app_id] = received_us
            kind = happening(event)
            counted = None if kind is None else COUNTED.get(kind)
            if counted is None:
                continue
            at = event.moment_us // MINUTE_US
            if at > received_us // MINUTE_US - KEPT_MINUTES:
                happened[at, (False, app_id), counted] += 1
                happened[at, EVERY_APP, counted] += 1
        minutes: dict[Scope, int] = {(False, app_id): at_us // MINUTE_US for app_id, at_us in newest_us.items()}
        user_counts = self._user_counts(connection)
        users = {scope: tuple(user_counts.by_status[scope[1], status] for status in STATUSES) for scope in minutes}
        minutes[EVERY_APP] = max(minutes.values())
        users[EVERY_APP] = tuple(user_counts.total[status] for status in STATUSES)
        now = {(minute, scope) for scope, minute in minutes.items()}
        # Of a minute that ended earlier it is unknown how many users there were.
        lasts_from = now_us // MINUTE_US - 1
        changed = [
            Minute(
                minute,
                *scope,
                users[scope] if (minute, scope) in now and minute >= lasts_from else None,
                tuple(happened[minute, scope, name] for name in COUNTED.values()),
            )
            for minute, scope in sorted(now.union((minute, scope) for minute, scope, _ in happened))
        ]
        database.of(connection).count(connection, minutes=changed)


def delete_old(connection: sa.Connection, now_us: int) -> int:
    """Deletes the minutes older than :data:`KEPT_MINUTES`; how many rows."""
    # App by app, because the minute alone is in no index.
    apps = "SELECT app_id FROM user_groups UNION SELECT 0"
    sql = f"DELETE FROM rollups WHERE every_app IN (FALSE, TRUE) AND app_id IN ({apps}) AND minute < ?"
    return connection.exec_driver_sql(sql, (now_us // MINUTE_US - KEPT_MINUTES,)).rowcount


def buckets(connection: sa.Connection, apps: AppIds, *, begin_us: int, end_us: int, step_minutes: int) -> list[Bucket]:
    """Buckets of ``step_minutes`` from ``begin_us`` to ``end_us``, without those before the first minute counted."""
    scopes: list[Scope] = [EVERY_APP] if apps is None else [(False, app_id) for app_id in sorted(apps)]
    together: dict[int, Bucket] = {}
    for scope in scopes:
        for one in _of_scope(connection, scope, begin_us=begin_us, end_us=end_us, step_minutes=step_minutes):
            found = together.get(one.begin_us)
            together[one.begin_us] = one if found is None else found + one
    return [together[begin] for begin in sorted(together)]


def _of_scope(
    connection: sa.Connection, scope: Scope, *, begin_us: int, end_us: int, step_minutes: int
) -> list[Bucket]:
    first, last = begin_us // MINUTE_US // step_minutes, end_us // MINUTE_US // step_minutes
    before = connection.exec_driver_sql(
        "SELECT online, offline, not_logged_in FROM rollups WHERE every_app = ? AND app_id = ? AND minute < ?"
        " ORDER BY minute DESC LIMIT 1",
        (*scope, first * step_minutes),
    ).first()
    of_scope = "every_app = ? AND app_id = ?"
    sql = (
        "SELECT number, online, offline, not_logged_in, sums.kicked_out, sums.token_expired, sums.logins"
        " FROM (SELECT minute / ? AS number, MAX(minute) AS newest, SUM(kicked_out) AS kicked_out,"
        " SUM(token_expired) AS token_expired, SUM(logins) AS logins FROM rollups"
        f" WHERE {of_scope} AND minute >= ? GROUP BY 1) AS sums CROSS JOIN rollups WHERE {of_scope} AND minute = newest"
    )
    values = (step_minutes, *scope, first * step_minutes, *scope)
    found = {row[0]: row[1:] for row in connection.exec_driver_sql(sql, values)}
    result = []
    users = tuple(before) if before is not None else None
    for number in range(first, last + 1):
        row = found.get(number)
        if row is not None:
            users = row[:3]
        if users is None:
            continue
        kicked_out, token_expired, logins = row[3:] if row is not None else (0, 0, 0)
        result.append(
            Bucket(
                begin_us=number * step_minutes * MINUTE_US,
                online=users[0],
                offline=users[1],
                not_logged_in=users[2],
                kicked_out=kicked_out,
                token_expired=token_expired,
                logins=logins,
            )
        )
    return result
