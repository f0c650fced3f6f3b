"""The table of watches. Functions of a connection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from sidecar.alerting.tables.alert_schema import user_watches
from sidecar.domain import app_ids
from sidecar.domain.alerts.user_watches import UserWatch
from sidecar.domain.app_ids import AppIds
from sidecar.store import mapping
from sidecar.store.conditions import in_apps
from sidecar.store.values import Commit, Publishing

# All are read in each transaction that opens an alert about a user.
MOST: Final = 500
MOST_OF_AN_APP: Final = 100
_NAMES: Final = tuple(column.name for column in user_watches.columns)
_COLUMNS: Final = mapping.columns(user_watches)


def lasting(connection: sa.Connection, now_us: int, apps: AppIds = None) -> list[UserWatch]:
    """The watches that have not ended, of these apps, newest first."""
    own = in_apps(apps)
    sql = f"SELECT {_COLUMNS} FROM user_watches WHERE until_us > ? AND {own.sql} ORDER BY id DESC"
    return [_watch_of(row) for row in connection.exec_driver_sql(sql, (now_us, *own.values))]


def of_user(connection: sa.Connection, app_id: int, user_id: str, now_us: int) -> list[UserWatch]:
    """Those of one user, newest first."""
    sql = f"SELECT {_COLUMNS} FROM user_watches WHERE app_id = ? AND user_id = ? AND until_us > ? ORDER BY id DESC"
    return [_watch_of(row) for row in connection.exec_driver_sql(sql, (app_id, user_id, now_us))]


def add(connection: sa.Connection, wanted: UserWatch) -> Publishing[UserWatch | None]:
    """Stores a watch, in the place of an earlier one of its author's of the same user; with its id.

    None where too many last. Those that have ended are deleted.
    """
    connection.exec_driver_sql("DELETE FROM user_watches WHERE until_us <= ?", (wanted.created_at_us,))
    connection.exec_driver_sql(
        "DELETE FROM user_watches WHERE app_id = ? AND user_id = ? AND author = ?",
        (wanted.app_id, wanted.user_id, wanted.author),
    )
    sql = "SELECT COUNT(*), SUM(CASE WHEN app_id = ? THEN 1 ELSE 0 END) FROM user_watches"
    every, of_app = connection.exec_driver_sql(sql, (wanted.app_id,)).one()
    if every >= MOST or (of_app or 0) >= MOST_OF_AN_APP:
        return Publishing(None, _shown(wanted))
    values = msgspec.structs.asdict(wanted)
    del values["id"]
    added = connection.execute(sa.insert(user_watches).values(values).returning(user_watches.c.id)).scalar_one()
    return Publishing(msgspec.structs.replace(wanted, id=added), _shown(wanted))


def end(connection: sa.Connection, watch_id: int, now_us: int, apps: AppIds = None) -> Publishing[UserWatch | None]:
    """Ends a watch now; the watch, None where there is none of these apps."""
    sql = f"SELECT {_COLUMNS} FROM user_watches WHERE id = ? AND until_us > ?"
    row = connection.exec_driver_sql(sql, (watch_id, now_us)).first()
    watch = None if row is None else _watch_of(row)
    if watch is None or not app_ids.has(apps, watch.app_id):
        return Publishing(None, None)
    connection.exec_driver_sql("DELETE FROM user_watches WHERE id = ?", (watch_id,))
    return Publishing(watch, _shown(watch))


def clock_set(connection: sa.Connection, by_us: int) -> None:
    """Moves the ends of the watches with the machine's clock, which was set by ``by_us``."""
    connection.exec_driver_sql("UPDATE user_watches SET until_us = until_us + ?", (by_us,))


def _shown(watch: UserWatch) -> Commit:
    return Commit(alerted=((watch.app_id, watch.user_id),), alert_log=True)


def _watch_of(row: Sequence[Any]) -> UserWatch:
    return UserWatch(**dict(zip(_NAMES, row, strict=True)))
