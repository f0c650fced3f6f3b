"""Reads of users and events for the alert rules. Functions of a connection."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from sidecar.alerting.tables.alert_values import AlertFilter
from sidecar.domain.alerts.alert import FIRING
from sidecar.domain.alerts.firing import UserId
from sidecar.domain.alerts.rules.offline_too_long import OfflineTooLong
from sidecar.domain.alerts.watchlist import Crowd, Due
from sidecar.domain.events import LOGIN, TOKEN_RENEWED, Event
from sidecar.domain.kick import Cause, cause_of
from sidecar.domain.status import NOT_LOGGED_IN, OFFLINE, ONLINE
from sidecar.store import mapping
from sidecar.store.log_positions import newest_position, position_as_of
from sidecar.store.users import user_reads
from sidecar.store.users.users_by_id import APPS


class _Details(msgspec.Struct):
    token_expires_at_us: int | None = None


_last_seen: Final = attrgetter("last_seen_at_us", "client_key")
# How many users that are watched a page of one app looks at, because no index has them by app.
LOOKED_AT_MOST: Final = 2_000
_WATCHED_WITH_ID: Final = (
    f"SELECT w.* FROM ({APPS}) AS apps CROSS JOIN offline_watch w WHERE w.app_id = apps.app_id AND w.user_id = :user_id"
)

_details: Final = msgspec.json.Decoder(_Details).decode


def crowd(connection: sa.Connection, app_id: int) -> Crowd:
    """How many users of an app are online and offline, and how many of them gave a sign of life."""
    sql = (
        "SELECT status, unconfirmed, SUM(users) FROM user_groups WHERE app_id = ?"
        f" AND status IN ('{ONLINE}', '{OFFLINE}') GROUP BY status, unconfirmed"
    )
    users = {(row[0], bool(row[1])): int(row[2]) for row in connection.exec_driver_sql(sql, (app_id,))}
    online, online_silent = users.get((ONLINE, False), 0), users.get((ONLINE, True), 0)
    offline, offline_silent = users.get((OFFLINE, False), 0), users.get((OFFLINE, True), 0)
    return Crowd(online + online_silent, offline, heard=online + offline, silent=online_silent + offline_silent)


def offline_since(
    connection: sa.Connection, since_us: int, wanted: AlertFilter
) -> tuple[list[tuple[int, UserId, int]], int | None]:
    """The watched users that went offline after ``since_us``, the last first: the key of each, its id, and since when.

    Without users whose alert fires already: an event of another device can make the moment a later one.

    ``wanted`` may name apps and a user; its cursor is the key of the last user of the page before. Returns one more
    than its limit. Of some apps it looks at :data:`LOOKED_AT_MOST` users, and also returns the key of the last of them
    if there are more.
    """
    watched = f"({_WATCHED_WITH_ID})" if wanted.user_id is not None else "offline_watch"
    looked_at = f"SELECT w.* FROM {watched} AS w WHERE w.state = 'waiting' AND w.since_us > :since_us"
    if wanted.cursor is not None:
        looked_at += (
            " AND (w.since_us, w.app_id, w.user_id) < (SELECT COALESCE(w.since_us, u.since_us), u.app_id, u.user_id"
            " FROM user_status u LEFT JOIN offline_watch w USING (app_id, user_id) WHERE u.user_key = :cursor)"
        )
    order = "ORDER BY w.since_us DESC, w.app_id DESC, w.user_id DESC"
    values = msgspec.structs.asdict(wanted) | {"since_us": since_us, "apps": sorted(wanted.apps or ())}
    last = None
    if wanted.apps is not None:
        looked_at += f" {order} LIMIT {LOOKED_AT_MOST}"
        of_last = (
            f"SELECT user_key FROM ({looked_at}) AS w JOIN user_status u USING (app_id, user_id)"
            f" {order} LIMIT 1 OFFSET {LOOKED_AT_MOST - 1}"
        )
        last = connection.execute(sa.text(of_last), values).scalar()
    sql = (
        f"SELECT user_key, w.app_id, w.user_id, w.since_us FROM ({looked_at}) AS w CROSS JOIN user_status u"
        f" WHERE u.app_id = w.app_id AND u.user_id = w.user_id AND u.status = '{OFFLINE}'"
        " AND NOT EXISTS (SELECT 1 FROM alerts a WHERE a.app_id = u.app_id AND a.user_id = u.user_id"
        f" AND a.kind = '{OfflineTooLong.kind}' AND a.state = '{FIRING}')"
    )
    if wanted.apps is not None:
        sql += " AND w.app_id IN :apps"
    found = sa.text(f"{sql} {order} LIMIT :limit + 1")
    if wanted.apps is not None:
        found = found.bindparams(sa.bindparam("apps", expanding=True))
    rows = connection.execute(found, values)
    return [(row[0], (row[1], row[2]), row[3]) for row in rows], last


def newest_lapse_us(connection: sa.Connection, until_us: int) -> int:
    """The lease time of the newest expiry of a lease up to ``until_us`` of the machine's clock; 0 for none."""
    sql = (
        "SELECT lease_check_us FROM user_status WHERE lease_lapsed = TRUE AND lease_check_us IS NOT NULL"
        " AND lease_until_us <= ? ORDER BY lease_check_us DESC LIMIT 1"
    )
    return int(connection.exec_driver_sql(sql, (until_us,)).scalar() or 0)


def due(row: Sequence[Any], *, late: bool = False) -> Due:
    """A user from app, user id, since when, platform and clients. It counts with the device that was heard last."""
    app_id, user_id, since_us, platform, packed = row
    clients = mapping.unpack(packed)
    # A crowded user's clients are not in its row.
    if not clients:
        return Due((app_id, user_id), since_us, (platform, None, None), late)
    last = clients[0] if len(clients) == 1 else max(clients, key=_last_seen)
    return Due((app_id, user_id), since_us, (last.platform, last.sdk_version, last.app_version), late)


def lost_users(connection: sa.Connection, after_us: int, limit: int) -> tuple[list[Due], int]:
    """The users whose lease expired after a lease time, and the lease time of the last of them; that itself for none.

    The first ``limit`` of them, and all others whose lease expired at the same moment as that of the last.
    """
    sql = (
        "SELECT app_id, user_id, lease_until_us, platform, clients, lease_check_us FROM user_status"
        " WHERE lease_lapsed = TRUE"
        " AND lease_check_us > ? AND lease_check_us <= (SELECT MAX(lease_check_us) FROM"
        " (SELECT lease_check_us FROM user_status WHERE lease_lapsed = TRUE AND lease_check_us > ?"
        " ORDER BY lease_check_us LIMIT ?) AS first) ORDER BY lease_check_us DESC"
    )
    found = connection.exec_driver_sql(sql, (after_us, after_us, limit)).all()
    return [due(row[:-1]) for row in found], found[0][-1] if found else after_us


# About so many users with a firing alert are looked up each second, whether they have a lease again.
_LOOKED_UP = 5_000
_FIRST = (-1, 0)


def with_lease_again(
    connection: sa.Connection, kind: str, after: tuple[int, int] | None, limit: int
) -> tuple[list[UserId], tuple[int, int] | None]:
    """The users with a firing alert of a kind who have a lease again, or no live client that could have one.

    Looks up a part of them, after a place; returns the next place, None at the end.
    """
    firing = f"FROM alerts WHERE state = '{FIRING}' AND kind = ? AND (app_id, id) > (?, ?) ORDER BY app_id, id"
    place = (kind, *(after or _FIRST))
    sql = (
        f"SELECT app_id, user_id FROM (SELECT id, app_id, user_id {firing} LIMIT {_LOOKED_UP}) AS looked"
        " WHERE EXISTS (SELECT 1 FROM user_status u WHERE u.app_id = looked.app_id AND u.user_id = looked.user_id"
        " AND NOT u.lease_lapsed) ORDER BY looked.app_id, looked.id LIMIT ?"
    )
    found = [(row[0], row[1]) for row in connection.exec_driver_sql(sql, (*place, limit))]
    if len(found) == limit:
        return found, after
    last = connection.exec_driver_sql(f"SELECT app_id, id {firing} LIMIT 1 OFFSET {_LOOKED_UP - 1}", place).first()
    return found, None if last is None else (last[0], last[1])


def tokens_ending(connection: sa.Connection, after_us: int, until_us: int) -> list[tuple[int, str, int]]:
    """The logged-in users whose token expires between two moments: app, user, and when it expires."""
    sql = (
        "SELECT app_id, user_id, token_expires_at_us FROM user_status WHERE token_expires_at_us > ?"
        f" AND token_expires_at_us <= ? AND status <> '{NOT_LOGGED_IN}'"
    )
    return [(row[0], row[1], row[2]) for row in connection.exec_driver_sql(sql, (after_us, until_us))]


def tokens_beyond(connection: sa.Connection, until_us: int) -> dict[int, int]:
    """The number of logged-in users whose token expires after a moment, by app."""
    # +app_id reads the rows in storage order; by the index on app_id it takes three times as long.
    sql = (
        "SELECT app, COUNT(*) FROM (SELECT +app_id AS app FROM user_status WHERE token_expires_at_us > ?"
        f" AND status <> '{NOT_LOGGED_IN}') AS beyond GROUP BY app"
    )
    return {row[0]: row[1] for row in connection.exec_driver_sql(sql, (until_us,))}


def reported_tokens(
    connection: sa.Connection, after: int, since_us: int
) -> tuple[int, list[tuple[int, str, int, int]]]:
    """The tokens reported by events after the position ``after`` that were received since a moment.

    Returns the position read up to, and for each token its app, user, expiry and the moment of the event.
    """
    last = newest_position(connection)
    sql = (
        "SELECT app_id, user_id, details, moment_us FROM events WHERE position > ? AND position <= ?"
        f" AND type IN ('{LOGIN}', '{TOKEN_RENEWED}') AND user_id IS NOT NULL AND details IS NOT NULL"
    )
    first = max(after, position_as_of(connection, since_us))
    found = connection.exec_driver_sql(sql, (first, last))
    tokens = ((row[0], row[1], _details(row[2]).token_expires_at_us, row[3]) for row in found)
    return last, [
        (app_id, user_id, ends_us, moment_us) for app_id, user_id, ends_us, moment_us in tokens if ends_us is not None
    ]


# The causes of this many kicks of a commit are searched, each in this many events of the user: more are a storm.
_KICKS_LOOKED_AT = 200
_EVENTS_AROUND_A_KICK = 60


def causes_of_kicks(connection: sa.Connection, kicks: Sequence[Event]) -> dict[bytes, Cause]:
    """The cause of each kick, as far as events show it by now, by the id of the kick's event."""
    found: dict[bytes, Cause] = {}
    for kick in kicks[:_KICKS_LOOKED_AT]:
        if kick.user_id is not None:
            around = user_reads.timeline(
                connection, kick.app_id, kick.user_id, before=None, limit=_EVENTS_AROUND_A_KICK
            )
            found[kick.id] = cause_of(kick, [one.event for one in around])
    return found
