"""How many devices began to report through an old tap or port, by day: of today and yesterday.

Only what is outdated is counted, so that an app that is up to date costs nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec
import sqlalchemy as sa

from sidecar.domain.app_ids import AppIds
from sidecar.domain.reporters import is_outdated
from sidecar.domain.units import DAY_US
from sidecar.store.conditions import in_apps
from sidecar.store.values import Applied
from sidecar.version import VERSION

# That of the tap that is served here, and of the ports.
CURRENT: Final = VERSION
# A sender may make up any number of old versions.
MOST_OF_AN_APP: Final = 50
_SHOWN: Final = 10
_ADD: Final = (
    "INSERT INTO old_reporters (app_id, day, name, version, devices) SELECT ?, ?, ?, ?, ?"
    " WHERE (SELECT COUNT(*) FROM old_reporters WHERE app_id = ?) < ?"
    " OR EXISTS (SELECT 1 FROM old_reporters WHERE app_id = ? AND day = ? AND name = ? AND version = ?)"
    " ON CONFLICT (app_id, day, name, version) DO UPDATE SET devices = old_reporters.devices + excluded.devices"
)


class OldReporter(msgspec.Struct, frozen=True):
    """So many devices began to report through this version."""

    name: str
    version: str
    devices: int


def follow(connection: sa.Connection, applied: Sequence[Applied]) -> None:
    """Counts the devices of users that these are the first events of, where their reporter is outdated."""
    counts: Counter[tuple[int, int, str, str]] = Counter()
    for one in applied:
        event = one.event
        if (
            one.effect.previous_client_position is None
            and event.user_id is not None
            and event.reporter_name is not None
            and event.reporter_version is not None
            and is_outdated(event.reporter_name, event.reporter_version, CURRENT)
        ):
            day = event.received_at_us // DAY_US
            counts[event.app_id, day, event.reporter_name, event.reporter_version] += 1
    if not counts:
        return
    newest = {app_id: day for app_id, day, _, _ in sorted(counts)}
    sql = "DELETE FROM old_reporters WHERE app_id = ? AND day < ?"
    connection.exec_driver_sql(sql, [(app_id, day - 1) for app_id, day in newest.items()])
    rows = [(*key, count, key[0], MOST_OF_AN_APP, *key) for key, count in sorted(counts.items())]
    connection.exec_driver_sql(_ADD, rows)


def since_yesterday(connection: sa.Connection, now_us: int, apps: AppIds = None) -> list[OldReporter]:
    """The old reporters, of these apps, those of the most devices first."""
    own = in_apps(apps)
    sql = (
        f"SELECT name, version, SUM(devices) AS total FROM old_reporters WHERE day >= ? AND {own.sql}"
        f" GROUP BY name, version ORDER BY total DESC, name, version LIMIT {_SHOWN}"
    )
    found = connection.exec_driver_sql(sql, (now_us // DAY_US - 1, *own.values))
    return [OldReporter(row[0], row[1], int(row[2])) for row in found]
