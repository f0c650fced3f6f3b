"""Counts of groups and of minutes, updated in the commit that changes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa

from sidecar.store.database import Minute

_GROUP: Final = "UPDATE user_groups SET users = users + ? WHERE group_key = ?"
_ADDED: Final = (
    "kicked_out = rollups.kicked_out + excluded.kicked_out,"
    " token_expired = rollups.token_expired + excluded.token_expired, logins = rollups.logins + excluded.logins"
)
_NOW: Final = (
    "INSERT INTO rollups (minute, every_app, app_id, online, offline, not_logged_in, kicked_out, token_expired, logins)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (every_app, app_id, minute) DO UPDATE SET"
    f" online = excluded.online, offline = excluded.offline, not_logged_in = excluded.not_logged_in, {_ADDED}"
)
_EARLIER: Final = (
    "INSERT INTO rollups (minute, every_app, app_id, kicked_out, token_expired, logins, online, offline, not_logged_in)"
    " SELECT added.*, COALESCE(online, 0), COALESCE(offline, 0), COALESCE(not_logged_in, 0)"
    " FROM (SELECT ?, ?, ?, ?, ?, ?) AS added LEFT JOIN (SELECT online, offline, not_logged_in FROM rollups"
    " WHERE every_app = ? AND app_id = ? AND minute < ? ORDER BY minute DESC LIMIT 1) AS before ON TRUE WHERE TRUE"
    f" ON CONFLICT (every_app, app_id, minute) DO UPDATE SET {_ADDED}"
)


def add(connection: sa.Connection, groups: Sequence[tuple[int, int]], minutes: Sequence[Minute]) -> None:
    """See :meth:`sidecar.store.database.Database.count`."""
    if groups:
        connection.exec_driver_sql(_GROUP, list(groups))
    now = [
        (one.minute, one.every_app, one.app_id, *one.users, *one.happened) for one in minutes if one.users is not None
    ]
    if now:
        connection.exec_driver_sql(_NOW, now)
    # Oldest first: a minute without a row takes the users of the one before.
    earlier = [
        (one.minute, one.every_app, one.app_id, *one.happened, one.every_app, one.app_id, one.minute)
        for one in minutes
        if one.users is None
    ]
    if earlier:
        connection.exec_driver_sql(_EARLIER, earlier)
