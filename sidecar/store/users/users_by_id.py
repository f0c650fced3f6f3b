"""Looks up users by app and id, or by an id in every app."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from sidecar.domain.app_ids import AppIds
from sidecar.store import mapping
from sidecar.store.conditions import in_apps
from sidecar.store.values import UserId

# How many pairs of app and id one page looks up: some tenths of a second in an index.
LOOKED_UP_MOST: Final = 100_000
APPS: Final = "SELECT DISTINCT app_id FROM user_groups WHERE users > 0"

Place = tuple[int, int]
"""The number of the id among those given, and the app."""
BEGIN: Final[Place] = (0, -2)
_UNKNOWN: Final = -1


class IdMatches(msgspec.Struct, frozen=True):
    """``users`` has the key of each user with one of the ids, None where no app knows the id.

    ``next_place`` is where more ids follow, None at the end.
    """

    users: list[tuple[Place, int | None]]
    next_place: Place | None


def rows_of_users(
    connection: sa.Connection, table: sa.Table, users: Collection[UserId], columns: Sequence[str] = ()
) -> Iterator[Any]:
    """The rows of a table, which is keyed by app and user id, of those of ``users`` that it has; in any order.

    Without ``columns`` all of them.
    """
    selected = ", ".join(f"t.{name}" for name in columns) or mapping.columns(table, of="t")
    for some in mapping.chunks(sorted(users)):
        # A join, because SQLite would read the whole index for a pair of columns IN a list.
        sql = (
            f"WITH wanted (app_id, user_id) AS (VALUES {', '.join(['(?, ?)'] * len(some))})"
            f" SELECT {selected} FROM wanted CROSS JOIN {table.name} t"
            " WHERE t.app_id = wanted.app_id AND t.user_id = wanted.user_id"
        )
        yield from connection.exec_driver_sql(sql, tuple(part for user in some for part in user)).all()


def users_with_ids(connection: sa.Connection, ids: Sequence[str], apps: AppIds, after: Place) -> IdMatches:
    """The users with these ids in these apps, after a place."""
    own = in_apps(apps)
    among = f"{APPS} AND {own.sql}"
    count = connection.exec_driver_sql(f"SELECT COUNT(*) FROM ({among}) AS apps", own.values).scalar_one()
    first = after[0]
    end = min(len(ids), first + max(1, LOOKED_UP_MOST // max(1, count)))
    wanted = [(number, ids[number]) for number in range(first, end)]
    found: dict[int, list[tuple[Place, int | None]]] = {number: [] for number, _ in wanted}
    if wanted:
        sql = (
            f"WITH wanted (number, user_id) AS (VALUES {', '.join(['(?, ?)'] * len(wanted))})"
            " SELECT number, apps.app_id, user_key FROM wanted"
            f" CROSS JOIN ({among}) AS apps CROSS JOIN user_status u"
            " WHERE u.app_id = apps.app_id AND u.user_id = wanted.user_id ORDER BY number, apps.app_id"
        )
        values = (*(part for pair in wanted for part in pair), *own.values)
        for number, app, user_key in connection.exec_driver_sql(sql, values):
            found[number].append(((number, app), user_key))
    users = [user for number, own in found.items() for user in own or [((number, _UNKNOWN), None)] if user[0] > after]
    return IdMatches(users, (end, BEGIN[1]) if end < len(ids) else None)
