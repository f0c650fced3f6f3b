"""What happened to users: rows of ``happenings``, by which lists of users are filtered.

:func:`follow` is called once in each transaction that appended events, after its users are written. A row is for a
minute of a user, so that the same event over and over is few rows, and it counts events by their moment, so that any
order of arrival gives the same rows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import Annotated, Any, Final, NamedTuple

import msgspec
import sqlalchemy as sa

from sidecar.domain.app_ids import AppIds
from sidecar.domain.events import Event
from sidecar.domain.happenings import KINDS, Kind, happening
from sidecar.domain.units import MINUTE_US
from sidecar.store import database, mapping, schema
from sidecar.store.conditions import EVERY, Condition, in_apps
from sidecar.store.users.merge import merged
from sidecar.store.users.user_walk import rows_of
from sidecar.store.users.users_by_id import APPS
from sidecar.store.values import Occurrence, Total, UserId

# How many rows a total reads, and how many to find those of one platform or version.
COUNTED_MOST: Final = 10_000
LOOKED_AT_MOST: Final = 50_000

_KEY: Final = tuple(column.name for column in schema.happenings.primary_key)
_ADD: Final = (
    f"INSERT INTO happenings ({', '.join(_KEY)}, app_id, first_us, last_us, times)"
    " SELECT user_key, ?, ?, ?, ?, ?, app_id, ?, ?, ? FROM user_status WHERE app_id = ? AND user_id = ?"
    f" ON CONFLICT ({', '.join(_KEY)}) DO UPDATE SET times = happenings.times + excluded.times,"
    " first_us = CASE WHEN excluded.first_us < happenings.first_us THEN excluded.first_us ELSE happenings.first_us END,"
    " last_us = CASE WHEN excluded.last_us > happenings.last_us THEN excluded.last_us ELSE happenings.last_us END"
)
_DEVICE: Final = ("platform", "sdk_version", "app_version")
_SAME: Final = "n.user_key = h.user_key AND n.kind = h.kind AND n.minute >= h.minute"
_PLACE: Final = "{0}.last_us, {0}.platform, {0}.sdk_version, {0}.app_version"
_LATER: Final = f"({_PLACE.format('n')}) > ({_PLACE.format('h')})"


class Happened(msgspec.Struct, frozen=True, kw_only=True):
    """Users to whom something happened from ``begin_us`` on, and before ``end_us``; None is "any".

    ``platform`` and the versions are those that the event reported.
    """

    kind: Kind
    begin_us: int = 0
    end_us: int = schema.LARGEST
    platform: str | None = None
    sdk_version: str | None = None
    app_version: str | None = None


class Place(NamedTuple):
    """A user's place in the order: when it last happened, and the user's key."""

    last_us: Annotated[int, msgspec.Meta(ge=0, le=schema.LARGEST)]
    user_key: Annotated[int, msgspec.Meta(ge=0, le=schema.LARGEST)]


def follow(connection: sa.Connection, events: Iterable[Event]) -> None:
    """Adds the appended events, whose users are written."""
    rows: dict[tuple[Any, ...], list[int]] = {}
    for event in events:
        kind = happening(event)
        if kind is None or event.user_id is None:
            continue
        at_us = event.moment_us
        device = (event.platform or "", event.sdk_version or "", event.app_version or "")
        row = rows.setdefault((event.app_id, event.user_id, kind, at_us // MINUTE_US, *device), [at_us, at_us, 0])
        row[0], row[1], row[2] = min(row[0], at_us), max(row[1], at_us), row[2] + 1
    if rows:
        connection.exec_driver_sql(_ADD, [(*key[2:], *row, *key[:2]) for key, row in rows.items()])


def delete_old(connection: sa.Connection, before_us: int, limit: int, app_id: int | None = None) -> int:
    """Deletes rows of minutes that ended by ``before_us``, of this app or all, ``limit`` at most; how many."""
    apps = "= ?" if app_id is not None else "IN (SELECT app_id FROM user_groups)"
    own = () if app_id is None else (app_id,)
    kinds = ", ".join(f"'{kind}'" for kind in KINDS)
    sql = f"SELECT {', '.join(_KEY)} FROM happenings WHERE app_id {apps} AND kind IN ({kinds}) AND last_us < ? LIMIT ?"
    found = connection.exec_driver_sql(sql, (*own, before_us // MINUTE_US * MINUTE_US, limit)).all()
    if found:
        delete = f"DELETE FROM happenings WHERE {' AND '.join(f'{name} = ?' for name in _KEY)}"
        connection.exec_driver_sql(delete, [tuple(row) for row in found])
    return len(found)


def walk(
    connection: sa.Connection, happened: Happened, apps: AppIds, after: Place | None
) -> Iterator[tuple[Place, int, int]]:
    """The users in steps, the one to whom it happened last first, behind ``after``.

    A step is a place, the user's key, and 0 where it is not to be listed there: the row is of another device, or the
    user's place is a later one.
    """
    own, (last_us, user_key) = in_apps(apps), after or (_end_us(happened), -1)
    matching = _matching(happened, "h")
    later = _matching(happened, "n") & Condition("n.last_us < ?", (_end_us(happened),))
    listed = (
        f"CASE WHEN {matching.sql} THEN NOT EXISTS"
        f" (SELECT 1 FROM happenings n WHERE {_SAME} AND {_LATER} AND {later.sql}) ELSE FALSE END"
    )
    range_ = "h.kind = ? AND h.last_us >= ? AND h.last_us <= ? AND (h.last_us, h.user_key) < (?, ?)"
    bounds = (happened.kind, happened.begin_us, last_us, last_us, user_key)
    heads = (
        f"SELECT (SELECT MAX(last_us) FROM happenings h WHERE h.app_id = apps.app_id AND {range_}), app_id"
        f" FROM ({APPS} AND {own.sql}) AS apps"
    )
    driver: Any = connection.connection.driver_connection

    def opened(app: int) -> Iterator[tuple[Place, int, int]]:
        sql = (
            f"SELECT h.last_us, h.user_key, {listed} FROM happenings h WHERE h.app_id = ? AND {range_}"
            " ORDER BY h.last_us DESC, h.user_key DESC"
        )
        found = database.of(connection).walk(connection, sql, (*matching.values, *later.values, app, *bounds))
        return ((Place(at_us, key), key, is_listed) for at_us, key, is_listed in found)

    found = driver.execute(heads, (*bounds, *own.values))
    return merged(
        [((-head, -schema.LARGEST), app) for head, app in found if head is not None],
        opened,
        lambda step: (-step[0].last_us, -step[0].user_key),
    )


def occurrences(connection: sa.Connection, happened: Happened, user_keys: Collection[int]) -> dict[int, Occurrence]:
    """When it last happened to each of these users, by key; without those to whom it did not."""
    condition = _matching(happened, "h") & Condition(
        "h.minute >= ? AND h.minute <= ? AND h.last_us >= ? AND h.last_us < ?",
        (
            happened.begin_us // MINUTE_US,
            _end_us(happened) // MINUTE_US,
            happened.begin_us,
            _end_us(happened),
        ),
    )
    found: dict[int, Occurrence] = {}
    for some in mapping.chunks(user_keys):
        sql = (
            "SELECT h.user_key, MAX(h.last_us), SUM(h.times) FROM happenings h"
            f" WHERE h.user_key IN ({', '.join('?' * len(some))}) AND h.kind = ? AND {condition.sql}"
            " GROUP BY h.user_key"
        )
        rows = connection.exec_driver_sql(sql, (*some, happened.kind, *condition.values))
        found |= {row[0]: Occurrence(row[1], int(row[2])) for row in rows}
    return found


def most_often(connection: sa.Connection, happened: Happened, apps: AppIds, limit: int) -> list[tuple[UserId, int]]:
    """The users to whom it happened most often, and how often; of the newest :data:`COUNTED_MOST` rows."""
    newest = islice(walk(connection, happened, apps, None), COUNTED_MOST)
    times = occurrences(connection, happened, [key for _, key, is_listed in newest if is_listed])
    most = sorted(times, key=lambda key: (-times[key].times, -times[key].last_us, key))[:limit]
    rows = rows_of(connection, most)
    return [((row.app_id, row.user_id), times[row.user_key].times) for row in rows]


def total(connection: sa.Connection, happened: Happened, apps: AppIds) -> Total:
    """How many users and events there are, of these apps.

    At least, where more than :data:`COUNTED_MOST` rows had to be read; for one device :data:`LOOKED_AT_MOST`.
    """
    own, matching = in_apps(apps), _matching(happened, "h")
    is_of_any_device = all(getattr(happened, name) is None for name in _DEVICE)
    most = COUNTED_MOST if is_of_any_device else LOOKED_AT_MOST
    sql = (
        "SELECT COUNT(*), COUNT(DISTINCT CASE WHEN matches THEN user_key END),"
        " COALESCE(SUM(CASE WHEN matches THEN times END), 0)"
        f" FROM (SELECT h.user_key, h.times, {matching.sql} AS matches"
        f" FROM ({APPS} AND {own.sql}) AS apps CROSS JOIN happenings h"
        " WHERE h.app_id = apps.app_id AND h.kind = ? AND h.last_us >= ? AND h.last_us < ? LIMIT ?) AS counted"
    )
    values = (*matching.values, *own.values, happened.kind, happened.begin_us, _end_us(happened), most)
    rows, users, events = connection.exec_driver_sql(sql, values).one()
    return Total(users, int(events), is_least=rows == most)


def _end_us(happened: Happened) -> int:
    """The end of the last minute: its row may have events after ``end_us`` too."""
    return min(-(-happened.end_us // MINUTE_US) * MINUTE_US, schema.LARGEST)


def _matching(happened: Happened, row: str) -> Condition:
    """A condition on a row, beside its kind, and its last event within the minutes."""
    condition = EVERY
    if happened.end_us % MINUTE_US and happened.end_us < schema.LARGEST:
        condition &= Condition(f"{row}.first_us < ?", (happened.end_us,))
    for name in _DEVICE:
        if (value := getattr(happened, name)) is not None:
            condition &= Condition(f"{row}.{name} = ?", (value,))
    return condition
