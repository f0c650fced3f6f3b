"""How big the database is, how fast it grows and how much room its disk has left."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

import msgspec
import sqlalchemy as sa

from sidecar.store.past import position_at

_DAY_US: Final = 86_400_000_000


class Storage(msgspec.Struct, frozen=True, kw_only=True):
    """``grows_bytes_a_day`` and ``full_in_days`` are estimates from the last day's events; None where none came."""

    path: str
    file_bytes: int
    free_bytes: int
    events: int
    events_last_day: int
    grows_bytes_a_day: int | None
    full_in_days: float | None


def measure(connection: sa.Connection, path: Path, now_us: int) -> Storage:
    """Reads a few pages and asks the file system; never scans."""
    events = int(connection.exec_driver_sql("SELECT COALESCE(MAX(position), 0) FROM events").scalar_one())
    pages = int(connection.exec_driver_sql("PRAGMA page_count").scalar_one())
    page_bytes = int(connection.exec_driver_sql("PRAGMA page_size").scalar_one())
    file_bytes = pages * page_bytes
    last_day = events - position_at(connection, now_us - _DAY_US)
    grows = round(file_bytes / events * last_day) if events and last_day else None
    free = shutil.disk_usage(path.resolve().parent).free
    return Storage(
        path=str(path),
        file_bytes=file_bytes,
        free_bytes=free,
        events=events,
        events_last_day=last_day,
        grows_bytes_a_day=grows,
        full_in_days=free / grows if grows else None,
    )
