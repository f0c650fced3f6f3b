"""The size of the database, its growth and the free space of its disk."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from sidecar.domain.units import DAY_US
from sidecar.store.log_positions import newest_position, position_as_of
from sidecar.store.values import Storage
from sidecar.system.files import Files


def measure(connection: sa.Connection, path: Path, now_us: int, files: Files) -> Storage:
    """See :meth:`sidecar.store.database.Care.size`."""
    events = newest_position(connection)
    pages = int(connection.exec_driver_sql("PRAGMA page_count").scalar_one())
    page_bytes = int(connection.exec_driver_sql("PRAGMA page_size").scalar_one())
    file_bytes = pages * page_bytes
    last_day = events - position_as_of(connection, now_us - DAY_US)
    grows = round(file_bytes / events * last_day) if events and last_day else None
    free = files.free_bytes(path.resolve().parent)
    return Storage(
        name=str(path),
        file_bytes=file_bytes,
        wal_bytes=files.size_bytes(path.with_name(f"{path.name}-wal")),
        free_bytes=free,
        events=events,
        events_last_day=last_day,
        grows_bytes_a_day=grows,
        full_in_days=free / grows if grows else None,
    )
