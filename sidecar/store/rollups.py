"""What a day looked like, minute by minute: kept as events are committed, so that a chart never scans the log.

A row holds the users by status as they stood after the minute's last commit, and how often each noted thing happened in
it, by the time of receipt. A minute without a commit has no row: the counts of the one before still hold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import sqlalchemy as sa

from sidecar.domain.connection import KICKED_OUT, TOKEN_EXPIRED
from sidecar.domain.events import LOGIN, Event
from sidecar.domain.status import STATUSES, Status

MINUTE_US: Final = 60_000_000
KEPT_MINUTES: Final = 90 * 24 * 60
# The rows over all apps; AppIDs are never negative.
EVERY_APP: Final = -1
NOTED: Final = ("kicked_out", "token_expired", "logins")


class Bucket(msgspec.Struct, frozen=True, kw_only=True):
    """Some minutes from ``begin_us`` on: users by status at their end, and what happened in them."""

    begin_us: int
    online: int
    offline: int
    not_logged_in: int
    kicked_out: int = 0
    token_expired: int = 0
    logins: int = 0


def record(connection: sa.Connection, events: Sequence[Event], users: Mapping[tuple[int, Status], int]) -> None:
    """Adds what was just appended to its minutes; ``users`` is how many there are now, by app and status."""
    happened: Counter[tuple[int, int, str]] = Counter()
    minutes: dict[int, int] = {}
    for event in events:
        minute = event.received_at_us // MINUTE_US
        minutes[event.app_id] = max(minute, minutes.get(event.app_id, 0))
        noted = _noted(event)
        if noted is not None:
            happened[minute, event.app_id, noted] += 1
            happened[minute, EVERY_APP, noted] += 1
    if not minutes:
        return
    counts = {app_id: [users.get((app_id, status), 0) for status in STATUSES] for app_id in minutes}
    minutes[EVERY_APP] = max(minutes.values())
    counts[EVERY_APP] = [sum(of for (_, status), of in users.items() if status == one) for one in STATUSES]
    rows = {(minute, app_id) for minute, app_id, _ in happened} | {(minute, app) for app, minute in minutes.items()}
    upsert = (
        "INSERT INTO rollups (minute, app_id, online, offline, not_logged_in, kicked_out, token_expired, logins)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (minute, app_id) DO UPDATE SET online = excluded.online,"
        " offline = excluded.offline, not_logged_in = excluded.not_logged_in,"
        " kicked_out = kicked_out + excluded.kicked_out, token_expired = token_expired + excluded.token_expired,"
        " logins = logins + excluded.logins"
    )
    values = [
        (minute, app_id, *counts[app_id], *(happened[minute, app_id, name] for name in NOTED))
        for minute, app_id in sorted(rows)
    ]
    connection.exec_driver_sql(upsert, values)


def forget(connection: sa.Connection, now_us: int) -> int:
    """Removes the minutes that are kept no longer; how many rows that was."""
    # App by app, because the minute alone is in no index.
    apps = "SELECT app_id FROM user_groups UNION SELECT ?"
    sql = f"DELETE FROM rollups WHERE app_id IN ({apps}) AND minute < ?"
    return connection.exec_driver_sql(sql, (EVERY_APP, now_us // MINUTE_US - KEPT_MINUTES)).rowcount


def read(
    connection: sa.Connection, app_id: int | None, *, begin_us: int, end_us: int, step_minutes: int
) -> list[Bucket]:
    """Buckets of ``step_minutes`` from ``begin_us`` to ``end_us``; those before anything was known are left out."""
    app = EVERY_APP if app_id is None else app_id
    first, last = begin_us // MINUTE_US // step_minutes, end_us // MINUTE_US // step_minutes
    before = connection.exec_driver_sql(
        "SELECT online, offline, not_logged_in FROM rollups WHERE app_id = ? AND minute < ?"
        " ORDER BY minute DESC LIMIT 1",
        (app, first * step_minutes),
    ).first()
    # The counts beside MAX(minute) are those of that minute: https://www.sqlite.org/lang_select.html#bareagg
    sql = (
        "SELECT minute / ?, MAX(minute), online, offline, not_logged_in,"
        " SUM(kicked_out), SUM(token_expired), SUM(logins) FROM rollups WHERE app_id = ? AND minute >= ? GROUP BY 1"
    )
    found = {row[0]: row[2:] for row in connection.exec_driver_sql(sql, (step_minutes, app, first * step_minutes))}
    buckets = []
    held = tuple(before) if before is not None else None
    for number in range(first, last + 1):
        row = found.get(number)
        if row is not None:
            held = row[:3]
        if held is None:
            continue
        kicked_out, token_expired, logins = row[3:] if row is not None else (0, 0, 0)
        buckets.append(
            Bucket(
                begin_us=number * step_minutes * MINUTE_US,
                online=held[0],
                offline=held[1],
                not_logged_in=held[2],
                kicked_out=kicked_out,
                token_expired=token_expired,
                logins=logins,
            )
        )
    return buckets


def _noted(event: Event) -> str | None:
    if event.connection_event == KICKED_OUT:
        return "kicked_out"
    if event.connection_event == TOKEN_EXPIRED:
        return "token_expired"
    return "logins" if event.type == LOGIN else None
